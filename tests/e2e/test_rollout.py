# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canary one, then some, then all; and no part of an operation that leaves out what the rest relies on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.fleets import NOWHERE, table
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.test_right_database import refused

#: One database behind several names.
SHARED = {"allow_shared_database": True}


def hosts_of(pipeline: Pipeline, **wrong: str) -> dict[str, dict[str, Any]]:
    """Six hosts with one database; `wrong` gives some another."""
    return {name: {"scout_dsn": wrong.get(name, pipeline.dsn)} for name in "abcdef"}


def plays(text: str) -> list[list[str]]:
    """The hosts of each batch, in the order in which they ended."""
    batches = re.split(r"^PLAY \[", text.partition("PLAY RECAP")[0], flags=re.MULTILINE)[1:]
    return [re.findall(r"^\[(\w)\] .+ \(\d of 6\)$", batch, re.MULTILINE) for batch in batches]


def test_a_batch_in_which_too_many_fail_is_the_last(healthy: Pipeline, stage: Stage) -> None:
    """Each of its hosts comes to its end; those of later batches are counted as not begun, and the rest is easily typed."""
    inventory = stage.inventory(hosts_of(healthy, c=NOWHERE), scout_serial="1,3,100%", scout_max_fail_percentage=30)
    played = stage.play("assess", None, "-i", inventory, **SHARED)
    assert played.rc == 2, played.text
    assert [sorted(batch) for batch in plays(played.text)] == [["a"], ["b", "c", "d"]]
    assert "1 of 3 failed, more than 30 %: no further host is begun" in played.text
    assert {host: row.split()[1] for host, row in table(played).items()} == {
        "c": "unreachable", "e": "not", "f": "not", "a": "healthy", "b": "healthy", "d": "healthy",
    }  # fmt: skip
    assert "6 databases: 3 healthy, 1 unreachable, 2 not begun" in played.summary
    assert "--limit c,e,f" in played.summary
    assert played.results["e"]["error"]["kind"] == "not_begun"
    assert played.results["b"]["ok"]


def test_what_is_typed_goes_before_the_inventory(healthy: Pipeline, stage: Stage) -> None:
    inventory = stage.inventory(hosts_of(healthy), scout_serial=1)
    played = stage.play("assess", None, "-i", inventory, **SHARED, serial="50%", strategy="host_pinned")
    assert played.rc == 0, played.text
    assert [len(batch) for batch in plays(played.text)] == [3, 3]
    assert "6 databases: 6 healthy" in played.summary


def test_a_canary_that_fails_ends_it(healthy: Pipeline, pg_server: Server, stage: Stage) -> None:
    inventory = stage.inventory(hosts_of(healthy, a=pg_server.dsn("postgres")), scout_serial=[1, "100%"])
    played = stage.play("pause_ingestion", None, "-i", inventory, **SHARED)
    assert played.rc == 2, played.text
    assert "6 databases: 0 done, 1 without Scout, 5 not begun" in played.summary
    assert "bronze-to-silver-etl" in healthy.active_jobs()


def test_what_cannot_be_is_refused_beforehand(healthy: Pipeline, stage: Stage, subtests: pytest.Subtests) -> None:
    """No template of it is executed, and no part of an operation is played."""
    made = stage.home / "made"
    template = "{{ lookup('pipe', 'touch " + str(made) + "') }}1"
    given: dict[str, tuple[tuple[str, ...], dict[str, Any], tuple[str, ...]]] = {
        "pause_ingestion": ((), {"serial": template}, ("is no number of hosts",)),
        "scout.recovery.undo": (
            ("--tags=drain", "--skip-tags=lease"), {},
            ("--tags and --skip-tags would leave out steps that the others rely on", "Next: run the same command"),
        ),
    }  # fmt: skip
    for playbook, (words, options, sentences) in given.items():
        with subtests.test(msg=playbook):
            refused(stage.play(playbook, healthy.dsn, *words, **options), *sentences)
            assert not made.exists()
            assert "bronze-to-silver-etl" in healthy.active_jobs()


@pytest.mark.parametrize("options", [("--syntax-check",), ("--list-tasks", "--list-hosts")], ids=["syntax", "lists"])
def test_what_runs_nothing_reads_the_batches_too(options: tuple[str, ...], healthy: Pipeline, stage: Stage) -> None:
    inventory = stage.inventory(hosts_of(healthy), scout_serial=1, scout_max_fail_percentage=0)
    played = stage.play("pause_ingestion", None, *options, "-i", inventory, **SHARED)
    assert played.rc == 0, played.text
