# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short word is typed, or said by a play; one of an inventory may be anybody's, and ours are called scout_ and the word there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.test_own_plays import JOBS, PAUSE, paused

#: What anybody may have in the variables of a group, for purposes of their own.
ANYBODYS: dict[str, Any] = {
    "last": "7d",
    "force": True,
    "resume": "maybe",
    "mode": "all",
    "reason": "x",
    "target": "other",
    "serial": 1,
    "text": "{{ nobody.knows }}",
    "pause": "perhaps",
    "drain": False,
    "refresh": "never",
    "rules": {"a": 1},
    "release": 12,
    "stores": ["nowhere"],
    "max_rows": 1,
    "incident": "x'; --",
    "ledger": "lost",
    "takeover": "maybe",
    "result_file": "/nowhere/at/all.json",
    "budget_seconds": "soon",
    "time_zone": "Mars",
    "poison": "kill",
    "require_tls": True,
    "allow_superuser": "who",
    "allow_owner": "who",
    "rate_per_second": "fast",
}
#: The warning without its spaces: ansible-core 2.18 wraps it, within words too. What the inventory has, and what to call it.
WARNED = re.compile(
    r"\[WARNING\]:((?:(?!\[WARNING\]:).)*?)setnothing:inaninventorytheyarecalled(.*?),whichendthiswarning"
)
#: Where a play says why it pauses, and what the inventory has by that word.
WAYS: dict[str, tuple[str, str | None]] = {
    **{f"task{number}": ("task", word) for number, word in enumerate((None, "theirs", "ours"))},
    **{where: (where, "theirs") for where in ("play", "file", "fact")},
}
#: Several resets in one test need no run of each job.
QUIET = {"scout_proof": False}
RESET: dict[str, Any] = {
    "ansible.builtin.import_role": {"name": "scout.recovery.emergency_reset"},
    "vars": {"resume": False},
}


def came_to(made: dict[str, Any]) -> tuple[str, Any, list[tuple[str, bool]]]:
    """What is said of a host that does not depend on when and where it ran."""
    move: dict[str, Any] = made.get("move") or {}
    steps = [(step["name"], step["changed"]) for step in made["steps"]]
    return made["outcome"], (made["ingestion"], move.get("moved")), steps


def options_of(playbook: str, *alike: Pipeline) -> dict[str, Any]:
    """What is typed for it."""
    if playbook == "quarantine":
        rows = alike[0].rows("SELECT event_id::text FROM scout.etl_processed ORDER BY event_id LIMIT 40")
        return {"event_ids": [row[0] for row in rows]}
    if playbook == "window_recovery":
        for pipeline in alike:
            pipeline.execute(
                "DELETE FROM scout.silver_transactions WHERE transaction_id IN "
                "(SELECT transaction_id FROM scout.silver_transactions ORDER BY 1 LIMIT 5)"
            )
        return {"window_start": "2000-01-01T00:00Z"}
    return {}


@pytest.mark.parametrize(
    ("playbook", "warned"),
    [
        ("assess", "budget_seconds"),
        ("pause_ingestion", "reason"),
        ("emergency_reset", "resume"),
        ("quarantine", "stores"),
        ("window_recovery", "last"),
    ],
)
def test_a_short_word_of_an_inventory_has_no_effect(
    playbook: str, warned: str, another_broken: Callable[[], Pipeline], stage: Stage
) -> None:
    """It runs as beside a host without it, and says once of those that it would have taken what to call them."""
    without, has = another_broken(), another_broken()
    inventory = stage.inventory({"without": {"scout_dsn": without.dsn}, "has": {"scout_dsn": has.dsn}}, **QUIET)
    with Path(inventory).open("a") as file:
        file.write(yaml.safe_dump({"theirs": {"hosts": {"has": {}}, "vars": ANYBODYS}}))
    played = stage.play(playbook, None, "-i", inventory, **options_of(playbook, without, has))
    assert played.rc == 0, played.text
    assert came_to(played.results["has"]) == came_to(played.results["without"])
    [(those, ours)] = WARNED.findall("".join(played.text.split()))
    for name in {warned, "ledger"}:
        assert f"{name}({inventory}:" in those
        assert f"scout_{name}," in ours
    for name in {"rules", "rate_per_second"}:
        assert name not in those + ours


def test_a_variable_of_an_inventory_is_its_hosts_and_what_is_typed_goes_before_it(
    another_broken: Callable[[], Pipeline], stage: Stage
) -> None:
    stays, goes_on = another_broken(), another_broken()
    hosts = {"stays": {"scout_dsn": stays.dsn, "scout_resume": False}, "goes_on": {"scout_dsn": goes_on.dsn}}
    inventory = stage.inventory(hosts, **QUIET)
    played = stage.play("emergency_reset", None, "-i", inventory)
    assert played.rc == 0, played.text
    assert (paused(stays), paused(goes_on)) == (True, False)
    assert stage.play("emergency_reset", None, "-i", inventory, resume=True, target="stays").rc == 0
    assert not paused(stays)
    assert stage.play("pause_ingestion", goes_on.dsn).rc == 0
    assert stage.play("emergency_reset", None, "-i", inventory, scout_resume=False, target="goes_on").rc == 0
    assert paused(goes_on)


def test_whoever_writes_a_play_says_it_by_the_short_word(
    another_broken: Callable[[], Pipeline], stage: Stage, subtests: pytest.Subtests
) -> None:
    """Whatever an inventory has by that word, or by its name there."""
    pipelines = {name: another_broken() for name in (*WAYS, "reset")}
    hosts: dict[str, dict[str, Any]] = {
        name: {"scout_dsn": pipelines[name].dsn, "scout_reason": "theirs", "which": "said"}
        | ({} if word is None else {"reason": word})
        for name, (_, word) in WAYS.items()
    }
    hosts["reset"] = {"scout_dsn": pipelines["reset"].dsn, "scout_resume": True, "resume": True, **QUIET}
    ours = {"reason": "ours"}
    (stage.home / "said.yml").write_text(yaml.safe_dump(ours))
    play: dict[str, Any] = {"gather_facts": False, "connection": "local"}
    plays = [
        {"hosts": "task*", "tasks": [PAUSE | {"vars": ours}], **play},
        {"hosts": "play", "vars": ours, "tasks": [PAUSE], **play},
        {"hosts": "file", "vars_files": [["none.yml", "{{ which }}.yml"]], "tasks": [PAUSE], **play},
        {"hosts": "fact", "tasks": [{"ansible.builtin.set_fact": ours}, PAUSE], **play},
        {"hosts": "reset", "tasks": [RESET], **play},
    ]
    (stage.home / "ways.yml").write_text(yaml.safe_dump(plays))
    played = stage.play(str(stage.home / "ways.yml"), None, "-i", stage.inventory(hosts))
    assert played.rc == 0, played.text
    for name in WAYS:
        with subtests.test(msg=name):
            assert pipelines[name].rows("SELECT reason FROM scout_ops.pauses") == [("ours",)]
    assert paused(pipelines["reset"])
    for name in ("scout_reason", "scout_resume"):
        assert name not in played.text


def test_who_imports_a_playbook_says_it_too(broken: Pipeline, stage: Stage) -> None:
    site = stage.home / "site.yml"
    imported = {"ansible.builtin.import_playbook": "scout.recovery.emergency_reset", "vars": {"resume": False}}
    site.write_text(yaml.safe_dump([imported]))
    inventory = stage.inventory({"one": {"scout_dsn": broken.dsn}}, **QUIET, resume=True)
    played = stage.play(str(site), None, "-i", inventory)
    assert played.rc == 0, played.text
    assert paused(broken)
    assert broken.active_jobs().isdisjoint(JOBS)
