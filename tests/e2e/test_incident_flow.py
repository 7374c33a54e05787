# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An incident of a broken pipeline, opened, mended and closed, with people who are told and a channel that is dead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.integration.listeners import Post, Web, free_port, mail_server
from tests.integration.modules import call

GOLD = {"title": "gold is an hour behind", "severity": "high", "incident": "INC-2041"}
SECRET = "R0UTINGKEY"


class Team:
    """Who is told: machines by a webhook, somebody on call, people by email, and a server that is not there."""

    def __init__(self, web: Web, post: Post, port: int) -> None:
        self.web, self.post = web, post
        self.channels: list[dict[str, Any]] = [
            {"name": "hub", "kind": "webhook", "url": web.url("/hub")},
            {"name": "oncall", "kind": "pagerduty", "routing_key": SECRET, "url": web.url("/pager")},
            {"name": "mail", "kind": "email", "host": "127.0.0.1", "port": port, "security": "none",
             "from": "scout@example.org", "to": ["lead@example.org"]},
            {"name": "old chat", "kind": "slack", "url": f"http://127.0.0.1:{free_port()}/", "attempts": 1},
        ]  # fmt: skip

    def documents(self) -> list[dict[str, Any]]:
        """What machines were told."""
        return [got.body for got in self.web.got if got.path == "/hub"]

    def actions(self) -> list[str]:
        """What PagerDuty was asked to do."""
        return [got.body["event_action"] for got in self.web.got if got.path == "/pager"]

    def subjects(self) -> list[str]:
        """What people found in their mail."""
        return [str(letter.message["Subject"]) for letter in self.post.letters]


@pytest.fixture
def team() -> Iterator[Team]:
    """A team that listens."""
    post = Post()
    with Web() as web, mail_server(post) as port:
        yield Team(web, post, port)


def ran(played: Played, outcome: str) -> Played:
    """A run that came to a good end, and shows no secret."""
    assert (played.rc, played.result["outcome"]) == (0, outcome), played.text
    assert SECRET not in played.text + str(played.results)
    screen = played.lines[-played.lines[::-1].index("") :]
    assert len(screen) <= 20
    assert max(map(len, screen)) <= 80, played.text
    return played


def unchanged(played: Played, outcome: str = "unchanged") -> None:
    """The same command once more."""
    assert ran(played, outcome).recap()["changed"] == 0


def test_from_the_alarm_to_a_record_that_lacks_only_what_people_know(
    broken: Pipeline, quick: Quick, team: Team
) -> None:
    tell = {"notify_channels": team.channels, "time_zone": "Asia/Manila"}
    before = broken.fingerprint()
    planned = ran(quick.play("incident_open", broken.dsn, "--check", **GOLD, **tell), "planned")
    assert "[local] would notify hub, oncall, mail, old chat:" in planned.lines
    assert "[local]   HIGH: Scout pipeline incident INC-2041: gold is an hour behind" in planned.lines
    assert (team.web.got, team.post.letters) == ([], [])
    assert broken.fingerprint() == before

    opened = ran(quick.play("incident_open", broken.dsn, **GOLD, **tell), "done")
    assert "notified hub, oncall, mail of INC-2041, opened; not old chat" in opened.summary
    assert "old chat was not notified: " in opened.summary
    assert "stakeholders notified" not in opened.summary, "it is done"
    assert team.documents()[0]["title"] == GOLD["title"]
    assert team.documents()[0]["escalation"] == ["on-call engineer", "team lead"]
    unchanged(quick.play("incident_open", broken.dsn, **GOLD, **tell))

    reset = ran(quick.play("emergency_reset", broken.dsn), "recovered")
    assert reset.result["incident"] == "INC-2041"
    unchanged(quick.play("emergency_reset", broken.dsn), "nothing_to_do")

    ids = broken.rows("SELECT event_id::text FROM scout.etl_processed ORDER BY event_id LIMIT 40")
    chosen = {"event_ids": [row[0] for row in ids]}
    aside = ran(quick.play("quarantine", broken.dsn, **chosen), "done")
    assert (aside.result["incident"], aside.result["move"]["moved"]["events"]) == ("INC-2041", 40)
    unchanged(quick.play("quarantine", broken.dsn, **chosen))

    told = ran(quick.play("incident_update", broken.dsn, text="it runs again", severity="medium", **tell), "done")
    assert "notified hub, oncall, mail of INC-2041, update" in told.summary
    unchanged(quick.play("incident_update", broken.dsn, text="it runs again", severity="medium", **tell))

    broken.link_and_wait()
    closed = ran(quick.play("incident_close", broken.dsn, **tell), "done")
    assert "notified hub, oncall, mail of INC-2041, closed; not old chat" in closed.summary
    unchanged(quick.play("incident_close", broken.dsn, **tell))

    assert [document["event"] for document in team.documents()] == ["opened", "update", "closed"]
    assert team.documents()[1]["happened"] == "severity medium, was high; it runs again"
    assert team.documents()[2]["missing"] == ["root_cause", "external_dependencies", "retrospective"]
    assert team.actions() == ["trigger", "acknowledge", "resolve"]
    assert [subject.partition(":")[0] for subject in team.subjects()] == ["HIGH", "MEDIUM", "MEDIUM"]
    story(broken, closed)


def story(broken: Pipeline, closed: Played) -> None:
    """The record has all that was done and said, in order, and ticks what really ran."""
    told = call("scout_incident_info", broken.dsn, incident="INC-2041", time_zone="Asia/Manila")
    done = [event["what"] for event in told["timeline"]]
    move = done.index("quarantine")
    # What shares a sale with an event that went is loaded again, where there is any.
    done[move:] = [done[move], *(what for what in done[move + 1 :] if what != "drain")]
    assert done == [
        *("opened", "notified"),
        *("assess", "evidence", "pause", "drain", "refresh_gold", "resume"),
        *("evidence", "pause", "quarantine", "refresh_gold", "resume"),
        *("told", "notified", "gate", "closed", "notified"),
    ]
    assert told["timeline"][1]["effect"].startswith("HIGH: Scout pipeline incident INC-2041")
    undo = [event["what"] for event in told["timeline"] if event["undo"]]
    assert "quarantine" in undo
    for record in (told["record"], closed.result["record"]):
        assert record["missing"] == ["root_cause", "external_dependencies", "retrospective"]
        left = {item["item"] for phase in record["phases"] for item in phase["items"] if not item["done"]}
        # On a slow machine the data have become a little old until the gate is asked, which is a warning.
        warned = [] if closed.result["gate"]["verdict"] == "pass" else ["acceptance_gate"]
        assert left == {
            *warned,
            *("root_cause", "external_dependencies", "retrospective", "update_monitoring", "update_runbook"),
            *("recent_changes", "monitor_recovery"),
        }


def test_a_team_that_nobody_could_reach_hears_it_from_the_same_command(
    healthy: Pipeline, quick: Quick, team: Team
) -> None:
    dead, alive = team.channels[3:], team.channels[:1]
    opened = ran(quick.play("incident_open", healthy.dsn, notify_channels=dead, **GOLD), "done")
    assert "old chat was not notified: " in opened.summary
    assert "open in phase 1" in opened.summary
    assert "stakeholders notified" in opened.summary
    unchanged(quick.play("incident_open", healthy.dsn, notify_channels=dead, **GOLD))
    again = ran(quick.play("incident_open", healthy.dsn, notify_channels=alive, **GOLD), "done")
    assert again.recap()["changed"] == 1
    assert "notified hub of INC-2041, opened" in again.summary
    unchanged(quick.play("incident_open", healthy.dsn, notify_channels=alive, **GOLD))
    assert [document["event"] for document in team.documents()] == ["opened"]


def test_one_channel_that_could_not_be_reached_hears_it_alone_from_the_same_command(
    healthy: Pipeline, quick: Quick, team: Team
) -> None:
    hub, dead = team.channels[0], team.channels[3]
    opened = ran(quick.play("incident_open", healthy.dsn, notify_channels=[hub, dead], **GOLD), "done")
    assert "old chat was not notified: " in opened.summary
    again = ran(
        quick.play("incident_open", healthy.dsn, notify_channels=[hub, hub | {"name": dead["name"]}], **GOLD), "done"
    )
    assert "notified old chat of INC-2041, opened" in again.summary
    assert [document["event"] for document in team.documents()] == ["opened", "opened"]
    unchanged(quick.play("incident_open", healthy.dsn, notify_channels=[hub, dead], **GOLD))
    assert len(team.documents()) == 2


def test_who_is_second_hears_which_incident_is_open_and_who_opened_it(
    healthy: Pipeline, stage: Stage, tmp_path: Any
) -> None:
    other = Stage(tmp_path / "other")
    other.home.mkdir()
    mine, theirs = {"title": "gold is stale", "severity": "high"}, {"title": "silver is wrong", "severity": "critical"}
    with (
        stage.start("incident_open", healthy.dsn, env={"USER": "maria", "LOGNAME": "maria"}, **mine) as one,
        other.start("incident_open", healthy.dsn, env={"USER": "juan", "LOGNAME": "juan"}, **theirs) as two,
    ):
        ends = [one.wait(), two.wait()]
    assert sorted(end.rc for end in ends) == [0, 2], [end.text for end in ends]
    second = next(end for end in ends if end.rc)
    [(incident, title, opened_by)] = healthy.rows("SELECT incident, title, opened_by FROM scout_ops.incidents")
    assert "refused to open a second incident" in second.summary
    assert f"{incident} is open since" in second.summary
    assert f"by {opened_by}: {title}" in second.summary, second.text
    assert healthy.lease_owner() is None


REFUSE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT ON scout.bronze_events_dlq FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
)


def test_recoveries_tell_where_they_are_told_to(broken: Pipeline, quick: Quick, team: Team) -> None:
    tell = {"notify_channels": team.channels, "notify_recoveries": True}
    ran(quick.play("incident_open", broken.dsn, **GOLD), "done")
    broken.execute(*REFUSE)
    failed = quick.play("emergency_reset", broken.dsn, **tell)
    assert (failed.rc, failed.result["outcome"], failed.result["ingestion"]) == (2, "failed", "paused"), failed.text
    assert "old chat was not notified: " in " ".join(failed.result["warnings"])
    broken.execute("DROP FUNCTION refuse() CASCADE")
    reset = ran(quick.play("emergency_reset", broken.dsn, **tell), "recovered")
    assert "notified hub, oncall, mail of INC-2041, recovered" in reset.summary
    unchanged(quick.play("emergency_reset", broken.dsn, **tell), "nothing_to_do")
    left, back = team.documents()
    assert (left["event"], back["event"]) == ("update", "recovered")
    assert left["happened"].startswith("ingestion stays paused after the emergency reset: ")
    assert "not now" in left["happened"]
    assert "loaded" in back["done"]
    assert team.actions() == ["acknowledge", "resolve"]
    told = call("scout_incident_info", broken.dsn, incident="INC-2041")
    assert [event["what"] for event in told["timeline"]].count("notified") == 2


def test_a_channel_that_fails_is_shown_where_recoveries_are_told_too(
    healthy: Pipeline, quick: Quick, team: Team
) -> None:
    tell = {"notify_channels": team.channels, "notify_recoveries": True}
    opened = ran(quick.play("incident_open", healthy.dsn, **GOLD, **tell), "done")
    closed = ran(quick.play("incident_close", healthy.dsn, force=True, **tell), "done")
    for played, event in ((opened, "opened"), (closed, "closed")):
        assert f"notified hub, oncall, mail of INC-2041, {event}; not old chat" in " ".join(played.summary.split())
        assert "old chat was not notified: " in " ".join(played.result["warnings"])
    assert team.actions() == ["trigger", "resolve"]


def test_a_recovery_for_no_incident_tells_nobody_and_one_that_cannot_tell_goes_on(
    broken: Pipeline, quick: Quick, team: Team
) -> None:
    tell = {"notify_channels": team.channels, "notify_recoveries": True}
    ran(quick.play("pause_ingestion", broken.dsn, **tell), "done")
    ran(quick.play("resume_ingestion", broken.dsn, proof=False, **tell), "done")
    ran(quick.play("incident_open", broken.dsn, notify_enabled=False, **GOLD, **tell), "done")
    reset = ran(quick.play("emergency_reset", broken.dsn, notify_attempts=0, **tell), "recovered")
    assert "timeout_seconds or attempts is not usable" in reset.text
    assert team.web.got == []
