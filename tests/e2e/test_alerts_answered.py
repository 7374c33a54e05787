# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rulebook does on an alert, through the real ansible-rulebook: posted as Alertmanager posts it, judged by the database."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests import CHECKOUT, rulebook
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, environment
from tests.integration.modules import call

pytestmark = pytest.mark.eda

TOKEN = "n0t-for-the-screen"
JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
PAUSES = "SELECT reason FROM scout_ops.pauses JOIN scout_ops.runs USING (run_id) WHERE resumed_at IS NULL"
LEFT_ALONE = "Left alone: an alert"
#: Ends each playbook.
RECAP = "PLAY RECAP"
SECONDS = 90


def notice(pipeline: Any, status: str = "firing", severity: str = "critical", **more: Any) -> dict[str, Any]:
    """What Alertmanager sends to a webhook, in its fourth form, with a group by pipeline and severity."""
    labels = {
        "alertname": "ScoutEtlFailing",
        "pipeline": pipeline,
        "severity": severity,
        "incident_severity": "critical",
    }
    alert = {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"{pipeline}: an event that cannot be loaded blocks the ETL"},
        "startsAt": "2026-11-28T02:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "0bd1a4dbc3e5ac2e",
    }
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "scout-eda",
        "groupLabels": {"pipeline": pipeline, "severity": severity},
        "commonLabels": labels,
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://alertmanager:9093",
        "alerts": [alert],
        **more,
    }


class Rulebook:
    """ansible-rulebook with extensions/eda/rulebooks/scout.yml; a context manager that leaves nothing of it behind."""

    def __init__(self, stage: Stage, pipelines: Mapping[str, Pipeline], **variables: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        given = {
            "scout_eda_token": TOKEN,
            "scout_eda_port": self.port,
            "scout_eda_pipelines": list(pipelines),
            **variables,
        }
        (stage.home / "vars.yml").write_text(yaml.safe_dump(given))
        interpreter = {"ansible_python_interpreter": str(rulebook.HOME / "bin" / "python")}
        inventory = stage.inventory({name: {"scout_dsn": made.dsn} for name, made in pipelines.items()}, **interpreter)
        command = [
            str(rulebook.HOME / "bin" / "ansible-rulebook"),
            "-i",
            inventory,
            "--vars",
            str(stage.home / "vars.yml"),
        ]
        command += ["--rulebook", "extensions/eda/rulebooks/scout.yml"]
        made = environment(stage.home, rulebook.java())
        made["PATH"] = f"{rulebook.HOME / 'bin'}{os.pathsep}{made['PATH']}"
        self._screen = stage.home / "rulebook.log"
        with self._screen.open("w") as screen:
            self.process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=made,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=screen,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self._wait(self._listens, "to listen")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def text(self) -> str:
        """All it said so far."""
        return self._screen.read_text()

    def post(self, body: Any, token: str | None = TOKEN) -> int:
        """The status that a notice is answered with."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    def said(self, words: str, times: int) -> None:
        """Waits until it has said this so many times, and shows that it has not said it more often."""
        self._wait(lambda: self.text.count(words) >= times, f"for {times} of {words!r}")
        assert self.text.count(words) == times, self.text

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, f"waited {what}: {self.text}"
            time.sleep(0.1)


@pytest.fixture
def other(another_broken: Callable[[], Pipeline]) -> Pipeline:
    """One more, to tell that all before it has been answered: alerts are answered one after the other."""
    return another_broken()


def test_a_broken_pipeline_is_paused_once_and_a_healthy_one_left_as_it_is(
    broken: Pipeline, healthy: Pipeline, stage: Stage
) -> None:
    well, events, pending = healthy.fingerprint(), broken.events(), broken.pending()
    with Rulebook(stage, {"luzon": broken, "visayas": healthy}) as running:
        assert running.post(notice("luzon")) == 200
        running.said(RECAP, 1)
        assert running.post(notice("luzon")) == 200
        assert running.post(notice("visayas")) == 200
        # The second about luzon ran nothing.
        running.said(RECAP, 2)
        said = running.text
    assert not broken.active_jobs() & JOBS
    assert broken.rows(PAUSES) == [("an alert was critical, and the acceptance gate failed",)]
    assert (broken.events(), broken.pending(), broken.lease_owner()) == (events, pending, None)
    assert broken.one("SELECT count(*) FROM scout.bronze_events_dlq") == 0
    assert healthy.fingerprint() == well
    assert TOKEN not in said
    assert "resume_ingestion" in said


ATTACKS = [
    "{{ lookup('pipe', 'touch hacked') }}",
    "{% for x in [1] %}{{ lookup('pipe', 'touch hacked') }}{% endfor %}",
    "luzon --limit all",
    "luzon,visayas",
    "luzon:&all",
    "~luz.*",
    "all",
    "scout",
    "*",
    "!visayas",
    "luzon\n",
    "LUZON",
    "-e@/etc/passwd",
    "@/etc/passwd",
    "",
    ["luzon"],
    {"luzon": "luzon"},
    ["luzon", "visayas"],
    True,
    None,
    1,
]
NOTHING: list[Any] = [{}, [], "text", 4, {"alerts": []}, {"commonLabels": None}, [{"payload": notice("luzon")}]]


def test_what_an_alert_says_never_becomes_more_than_the_name_of_a_pipeline(
    broken: Pipeline, other: Pipeline, stage: Stage
) -> None:
    hidden = notice("luzon")
    hidden["commonLabels"] = {**hidden["commonLabels"], "pipeline": "all"}
    hidden["commonLabels.pipeline"] = "luzon"
    marked = notice("visayas")
    marked["commonLabels"]["alertname"] = marked["alerts"][0]["annotations"]["summary"] = ATTACKS[0]
    before = broken.fingerprint()
    with Rulebook(stage, {"luzon": broken, "visayas": other}) as running:
        for attack in ATTACKS:
            assert running.post(notice(attack)) == 200, attack
        assert running.post(hidden) == 200
        for nothing in NOTHING:
            assert running.post(nothing) == 200, nothing
        assert running.post(marked) == 200
        running.said(RECAP, 1)
        said = running.text
    assert "[luzon]" not in said
    assert broken.fingerprint() == before
    assert not other.active_jobs() & JOBS
    assert not [*CHECKOUT.glob("**/hacked"), *Path(stage.home).glob("**/hacked")]


def test_what_is_over_or_no_more_than_a_warning_or_from_nobody_runs_nothing(
    broken: Pipeline, other: Pipeline, stage: Stage
) -> None:
    before = broken.fingerprint()
    with Rulebook(stage, {"luzon": broken, "visayas": other}) as running:
        assert running.post(notice("luzon", "resolved")) == 200
        assert running.post(notice("luzon", severity="warning")) == 200
        assert running.post(notice("palawan")) == 200
        assert [running.post(notice("luzon"), token) for token in (None, "guessed", "")] == [401, 401, 401]
        assert running.post(notice("visayas")) == 200
        running.said(RECAP, 1)
        running.said(LEFT_ALONE, 2)
    assert broken.fingerprint() == before
    assert not other.active_jobs() & JOBS


def test_a_pipeline_that_somebody_works_on_is_left_to_them(broken: Pipeline, stage: Stage) -> None:
    assert call("scout_lease", broken.dsn, state="held", incident="INC-9", ttl_seconds=600)["token"]
    active = broken.active_jobs()
    with Rulebook(stage, {"luzon": broken}) as running:
        assert running.post(notice("luzon")) == 200
        running.said(RECAP, 1)
        assert "INC-9" in running.text
    assert broken.active_jobs() == active
    assert not broken.rows(PAUSES)


def test_only_where_told_beforehand_it_is_reset(broken: Pipeline, other: Pipeline, stage: Stage) -> None:
    with Rulebook(stage, {"luzon": broken}, scout_eda_reset=True) as running:
        assert running.post(notice("luzon")) == 200
        running.said(RECAP, 1)
    assert broken.active_jobs() >= JOBS
    assert broken.one("SELECT count(*) FROM scout.bronze_events_dlq") == 3
    # A text is not yes, whatever it says.
    with Rulebook(stage, {"visayas": other}, scout_eda_reset="false") as running:
        assert running.post(notice("visayas")) == 200
        running.said(RECAP, 1)
    assert other.one("SELECT count(*) FROM scout.bronze_events_dlq") == 0
