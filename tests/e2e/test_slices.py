# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rollout in slices, each a run of its own: canaries first, failures counted over all, one table from any of them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleets import NOWHERE, table
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Running, Stage, eventually

#: One database behind several names.
SHARED: dict[str, Any] = {"allow_shared_database": True}
RECORD = "SELECT host, batch, failed FROM scout_ops.rollout_hosts ORDER BY 1"
AT_WORK = "SELECT count(*) FROM scout_ops.rollout_hosts WHERE batch IS NOT NULL AND ended_at IS NULL"
#: No batch began before the one before it had come to its end.
OUT_OF_TURN = """
SELECT later.host FROM scout_ops.rollout_hosts AS later JOIN scout_ops.rollout_hosts AS earlier ON earlier.batch < later.batch
WHERE later.begun_at < earlier.ended_at
"""
#: A look takes as long as a test likes.
SLOW = """
CREATE OR REPLACE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(300); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON cron.job FOR EACH ROW EXECUTE FUNCTION public.slow()
"""
WAY: dict[str, Any] = {"scout_serial": "1,2,100%", "scout_max_fail_percentage": 0, "rollout": "spring", **SHARED}


def slice_of(home: Path, name: str) -> Stage:
    """A controller of its own."""
    (home / name).mkdir(exist_ok=True)
    return Stage(home / name)


def words(stage: Stage, dsn: str, hosts: str, **wrong: str) -> tuple[str, ...]:
    """Its inventory, with the hosts of this slice; `wrong` gives some another database."""
    found: dict[str, dict[str, Any]] = {name: {"scout_dsn": wrong.get(name, dsn)} for name in hosts}
    named = {"scout_rollout_dsn": dsn, "scout_rollout": "{{ awx_workflow_job_id | default('') }}"}
    return ("-i", stage.inventory(found, **named))


@contextlib.contextmanager
def slow(pipeline: Pipeline, stage: Stage) -> Iterator[Running]:
    """A slice that is at work on its host a, and does not come to its end."""
    pipeline.execute(SLOW)
    there = "SELECT to_regclass('scout_ops.rollouts') IS NOT NULL"
    with stage.start("pause_ingestion", None, *words(stage, pipeline.dsn, "a"), **WAY) as started:
        eventually(lambda: pipeline.one(there) and pipeline.one(AT_WORK), 60, "a")
        yield started


def verdicts(played: Played) -> dict[str, str]:
    """Of each database in the table."""
    return {host: row.split()[1] for host, row in table(played).items()}


def test_two_slices_at_once_go_one_then_two_then_all(healthy: Pipeline, tmp_path: Path) -> None:
    one, two = slice_of(tmp_path, "one"), slice_of(tmp_path, "two")
    with (
        one.start("assess", None, *words(one, healthy.dsn, "abc"), **WAY) as first,
        two.start("assess", None, *words(two, healthy.dsn, "def"), **WAY) as second,
    ):
        ends = [first.wait(), second.wait()]
    assert [played.rc for played in ends] == [0, 0], [played.text for played in ends]
    found = healthy.rows(RECORD)
    assert sorted(batch for _, batch, _ in found) == [0, 1, 1, 2, 2, 2]
    assert not any(failed for _, _, failed in found)
    assert healthy.rows(OUT_OF_TURN) == []
    whole = [played for played in ends if "6 databases: 6 healthy" in played.summary]
    assert whole, "the last to end has all"
    assert "rollout spring, 2 slices, its record in" in whole[0].summary

    begun = healthy.rows("SELECT host, begun_at FROM scout_ops.rollout_hosts ORDER BY 1")
    again = one.play("assess", None, *words(one, healthy.dsn, "abc"), **WAY)
    assert (again.rc, set(verdicts(again).values())) == (0, {"healthy"}), again.text
    assert "6 databases: 6 healthy" in again.summary
    assert healthy.rows("SELECT host, begun_at FROM scout_ops.rollout_hosts ORDER BY 1") == begun, (
        "nothing is done twice"
    )


def test_failures_are_counted_over_all_slices_and_the_same_command_goes_on(healthy: Pipeline, tmp_path: Path) -> None:
    one, two = slice_of(tmp_path, "one"), slice_of(tmp_path, "two")
    # All slices of a job of AWX are one workflow.
    way = {name: value for name, value in WAY.items() if name != "rollout"} | {"awx_workflow_job_id": 7}
    first = one.play("assess", None, *words(one, healthy.dsn, "ab", b=NOWHERE), **way)
    assert first.rc == 2, first.text
    second = two.play("assess", None, *words(two, healthy.dsn, "def"), **way)
    assert second.rc == 2, second.text
    assert "1 of 2 failed in all slices (b), more than 0 %: no further host is begun" in second.text
    assert verdicts(second) == {"a": "healthy", "b": "unreachable", "d": "not", "e": "not", "f": "not"}
    assert second.results["d"]["error"]["kind"] == "not_begun"
    assert "b" not in second.summary.partition("--limit ")[2].split()[0], "what is typed is for hosts of this slice"

    # A correction of the inventory makes b another database than it was; its own name is put right where it is.
    refused = one.play("assess", None, *words(one, healthy.dsn, "ab"), **way)
    assert "b is another database in the other slices of rollout 7" in refused.text
    healthy.execute(
        "UPDATE scout_ops.rollout_hosts SET place = (SELECT place FROM scout_ops.rollout_hosts WHERE host = 'a')"
    )
    assert one.play("assess", None, *words(one, healthy.dsn, "ab"), **way).rc == 0
    done = two.play("assess", None, *words(two, healthy.dsn, "def"), **way)
    assert (done.rc, "5 databases: 5 healthy" in done.summary) == (0, True), done.text


@pytest.mark.thorough
def test_a_slice_that_dies_holds_the_others_back_and_is_finished_by_the_same_command(
    healthy: Pipeline, tmp_path: Path
) -> None:
    one, two = slice_of(tmp_path, "one"), slice_of(tmp_path, "two")
    with slow(healthy, one) as dies, two.start("pause_ingestion", None, *words(two, healthy.dsn, "b"), **WAY) as waits:
        eventually(lambda: "waits for a" in waits.text, 60, "the other slice waits")
        os.killpg(dies.process.pid, signal.SIGKILL)
        stopped = waits.wait(120)
    healthy.execute("DROP TRIGGER slow ON cron.job", "DROP FUNCTION public.slow()")
    assert stopped.rc == 2, stopped.text
    assert "1 of 1 failed in all slices (a), more than 0 %: no further host is begun" in stopped.text
    assert verdicts(stopped) == {"a": "interrupted", "b": "not"}
    assert one.play("pause_ingestion", None, *words(one, healthy.dsn, "a"), **WAY).rc == 0
    assert healthy.rows(RECORD) == [("a", 0, False), ("b", None, None)]


def test_a_host_of_a_slice_that_lives_is_left_to_it(healthy: Pipeline, tmp_path: Path) -> None:
    one, two = slice_of(tmp_path, "one"), slice_of(tmp_path, "two")
    with slow(healthy, one) as at_work:
        same = two.play("pause_ingestion", None, *words(two, healthy.dsn, "a"), **WAY)
        assert same.rc == 2, same.text
        assert "a is left to the slice of" in same.text
        assert verdicts(same) == {"a": "at"}
        healthy.execute("ALTER TABLE cron.job DISABLE TRIGGER slow")
        os.killpg(at_work.process.pid, signal.SIGKILL)


def test_what_cannot_be_a_slice_is_refused_before_anything_begins(
    healthy: Pipeline, another_broken: Callable[[], Pipeline], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    stage = slice_of(tmp_path, "one")
    begun = words(stage, healthy.dsn, "ab")
    assert stage.play("pause_ingestion", None, *begun, **WAY).rc == 0
    healthy.execute("UPDATE cron.job SET active = true", "UPDATE scout_ops.pauses SET resumed_at = now()")
    jobs = healthy.active_jobs()
    other = another_broken()
    theirs = "UPDATE scout_ops.rollouts SET started_by = 'maria@laptop'"
    given: dict[str, tuple[dict[str, Any], str, str]] = {
        "no record": ({}, "", "rollout spring has no record: scout_rollout_dsn is not set"),
        "out of reach": ({"scout_rollout_dsn": NOWHERE}, "", "could not open a session on scout on 127.0.0.1:1"),
        "no Scout": ({"scout_rollout_dsn": healthy.dsn.replace(healthy.one("SELECT current_database()"), "postgres")}, "",
                     "this is not a Scout database"),
        "a share": ({"scout_serial": "1,20%"}, "", "is of a number that no slice knows"),
        "no name": ({"rollout": "../x"}, "", "is no name"),
        "another way": ({"scout_serial": "2,100%"}, "", "goes by serial=1,2,100% with max_fail_percentage=0, and this slice by"),
        "somebody else's": ({}, theirs, "is of maria@laptop, since"),
        "over": ({}, "UPDATE scout_ops.rollouts SET last_at = now() - interval '2 days'", "is over: nothing was heard of it since"),
    }  # fmt: skip
    for name, (options, statement, said) in given.items():
        with subtests.test(msg=name):
            if statement:
                healthy.execute(statement)
            record = {} if name == "no record" else {"scout_rollout_dsn": healthy.dsn}
            inventory = stage.inventory({"a": {"scout_dsn": healthy.dsn}, "c": {"scout_dsn": other.dsn}}, **record)
            played = stage.play("pause_ingestion", None, "-i", inventory, **{**WAY, **options})
            assert played.rc != 0, played.text
            assert said in " ".join(played.text.split()), played.text
            assert healthy.active_jobs() == jobs
    healthy.execute("UPDATE scout_ops.rollouts SET last_at = now(), started_by = 'maria@laptop'")
    assert stage.play("pause_ingestion", None, *begun, **WAY, takeover=True).rc == 0


def test_a_check_plans_by_itself_and_writes_no_record(healthy: Pipeline, tmp_path: Path) -> None:
    stage = slice_of(tmp_path, "one")
    played = stage.play("assess", None, "--check", *words(stage, healthy.dsn, "abcd"), **WAY)
    assert played.rc == 0, played.text
    assert not healthy.one("SELECT to_regclass('scout_ops.rollouts') IS NOT NULL")
