# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assessment as metrics: base units, nothing stale, nothing unknown as a number, and a file that is whole at any time."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import stat
import sys
import threading
import unittest.mock
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput, ConnectionFailed
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import assessment as health_assessment
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import prometheus
from ansible_collections.scout.recovery.plugins.modules import scout_metrics
from tests import promtool

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

NOW = 1_700_000_000.0
FAILED = invoke.failure(ConnectionFailed("could not open a session", said="Connection refused"))
#: A value of each figure, in the assessment's own unit.
VALUES = {figure.name: 90.0 for figure in health_assessment.FIGURES}


def assessment(**fields: Any) -> dict[str, Any]:
    """What scout_health_info returns of a healthy pipeline, with these fields in place of its own."""
    indicators = [
        health_assessment.Indicator(
            f.name, VALUES[f.name], f.unit, "ok", f.source, "", f.threshold.ok, f.threshold.fail
        ).as_dict()
        for f in health_assessment.FIGURES
    ]
    state = health_assessment.Indicator("ingestion", "running", "state", "ok", "cron.job").as_dict()
    made = {
        "changed": False, "database": "scout on db1:5432", "verdict": "healthy", "verdict_when_running": "healthy",
        "indicators": [*indicators, state], "diagnoses": [], "needs_reset": [], "blockers": [], "suspects": [], "unread": [],
        "seconds": 0.4,
        "ingestion": {"state": "running", "paused_for_seconds": None, "jobs": {"bronze-to-silver-etl": True, "product-linking": False}},
    }  # fmt: skip
    return made | fields


def with_indicator(name: str, **fields: Any) -> dict[str, Any]:
    made = assessment()
    made["indicators"] = [i | fields if i["name"] == name else i for i in made["indicators"]]
    return made


def parsed(text: str) -> Samples:
    """Samples by name and labels; no two may share both."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def shown(made: dict[str, Any], pipeline: str = "a") -> Samples:
    return parsed(prometheus.render(prometheus.families(pipeline, made, NOW)).decode())


def value(samples: Samples, name: str, pipeline: str = "a", **labels: str) -> float | None:
    return samples.get((name, frozenset({"pipeline": pipeline, **labels}.items())))


def names(samples: Samples) -> set[str]:
    return {name for name, _ in samples}


def test_every_figure_is_there_in_base_units_with_its_thresholds() -> None:
    samples = shown(assessment())
    for figure in health_assessment.FIGURES:
        suffix, factor = prometheus.UNITS.get(figure.unit, ("", 1.0))
        assert value(samples, f"scout_{figure.name}{suffix}") == pytest.approx(90 * factor)
        for level in ("ok", "fail"):
            threshold = value(samples, f"scout_{figure.name}_threshold{suffix}", level=level)
            assert threshold == pytest.approx(getattr(figure.threshold, level) * factor)
    assert value(samples, "scout_silver_staleness_seconds") == 5400
    assert value(samples, "scout_linking_coverage_ratio") == 0.9
    assert value(samples, "scout_up") == 1
    assert value(samples, "scout_assessment_timestamp_seconds") == NOW
    assert value(samples, "scout_database_info", database="scout on db1:5432") == 1


@pytest.mark.parametrize("verdict", prometheus.VERDICTS)
def test_one_verdict_is_1_and_all_others_are_0(verdict: str) -> None:
    samples = shown(assessment(verdict=verdict))
    assert {v: value(samples, "scout_verdict", verdict=v) for v in prometheus.VERDICTS} == {
        v: float(v == verdict) for v in prometheus.VERDICTS
    }


def test_the_verdicts_are_all_there_are() -> None:
    def indicator(status: str) -> health_assessment.Indicator:
        return health_assessment.Indicator("silver_staleness", None, "", status, "")

    given = {health_assessment.verdict([indicator(status)]) for status in health_assessment.WORSE}
    assert given | {"paused"} == set(prometheus.VERDICTS)


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_an_unknown_figure_is_left_out_and_its_status_says_so(unknown: float | None) -> None:
    samples = shown(with_indicator("gold_staleness", value=unknown, status="unknown"))
    assert "scout_gold_staleness_seconds" not in names(samples)
    assert value(samples, "scout_indicator_status", indicator="gold_staleness", status="unknown") == 1
    assert value(samples, "scout_indicator_status", indicator="gold_staleness", status="ok") == 0
    assert value(samples, "scout_gold_staleness_threshold_seconds", level="fail") == 900
    assert not any(map(math.isnan, samples.values()))


@pytest.mark.parametrize("made", [FAILED, {}, {"failed": True, "msg": "x"}, {"failed": True, **assessment()}])
def test_a_failed_assessment_leaves_no_figure(made: dict[str, Any]) -> None:
    assert shown(made) == {
        ("scout_up", frozenset({("pipeline", "a")})): 0.0,
        ("scout_assessment_timestamp_seconds", frozenset({("pipeline", "a")})): NOW,
    }


def test_ingestion_and_pause() -> None:
    running = shown(assessment())
    assert value(running, "scout_ingestion_state", state="running") == 1
    assert value(running, "scout_paused_seconds") == 0
    assert value(running, "scout_job_active", cron_job="product-linking") == 0
    paused = shown(assessment(ingestion={"state": "paused", "paused_for_seconds": 65.0, "jobs": {}}))
    assert value(paused, "scout_ingestion_state", state="paused") == 1
    assert value(paused, "scout_ingestion_state", state="running") == 0
    assert value(paused, "scout_paused_seconds") == 65
    # Jobs that somebody else switched off are no pause of ours, and nobody knows since when.
    off = shown(assessment(ingestion={"state": "paused", "paused_for_seconds": None, "jobs": {}}))
    assert "scout_paused_seconds" not in names(off)


def test_poison_is_counted_only_where_it_was_looked_for() -> None:
    suspects = [{"event_id": "x", "reason": "y"}]
    assert value(shown(assessment(suspects=suspects)), "scout_poison_suspects") == 1
    assert value(shown(assessment()), "scout_poison_suspects") == 0
    for unread in ("backlog", "suspects"):
        samples = shown(assessment(unread=[unread]))
        assert "scout_poison_suspects" not in names(samples)
        assert value(samples, "scout_unread_facts") == 1


HOSTILE = 'a"b\\c\nd{}=, é☃ \x1b[31m\ud800'


def test_names_from_elsewhere_are_bounded_and_escaped() -> None:
    jobs: dict[str | None, bool] = {f"job {n:03}": True for n in range(200)}
    jobs |= {None: True, "None": True, HOSTILE: True, "x" * 500 + "1": True, "x" * 500 + "2": True}
    samples = shown(assessment(ingestion={"state": "running", "jobs": jobs}, database="d" * 5000), "h" * 5000)
    assert sum(name == "scout_job_active" for name, _ in samples) <= prometheus.MOST_JOBS
    assert all(len(text) <= prometheus.LONGEST for _, labels in samples for _, text in labels)
    few = shown(
        assessment(
            ingestion={
                "state": "running",
                "jobs": {None: True, "None": False, HOSTILE: True, "x" * 500: True, "x" * 501: False},
            }
        )
    )
    assert {dict(labels)["cron_job"] for name, labels in few if name == "scout_job_active"} == {
        "None", HOSTILE.replace("\ud800", "?"), "x" * prometheus.LONGEST,
    }  # fmt: skip
    assert value(shown(assessment(), HOSTILE), "scout_up", HOSTILE.replace("\ud800", "?")) == 1


def test_an_indicator_of_another_version_is_no_metric_of_its_own() -> None:
    made = assessment()
    made["indicators"].append(health_assessment.Indicator("new one!", 1.0, "x", "ok", "y", "", 0, 1).as_dict())
    assert {name for name in names(shown(made)) if "new" in name} == set()


def test_the_cardinality_is_bounded() -> None:
    assert len(shown(assessment())) < 160


def test_the_file_is_written_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "scout.prom"
    written = prometheus.save(str(file), "a", assessment(), keep_seconds=900)
    assert written == len(parsed(file.read_text()))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    inode = file.stat().st_ino
    prometheus.save(str(file), "a", FAILED, keep_seconds=900)
    assert names(parsed(file.read_text())) == {"scout_up", "scout_assessment_timestamp_seconds"}
    assert file.stat().st_ino != inode
    assert [path.name for path in tmp_path.iterdir()] == ["scout.prom"]


def test_others_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        prometheus.save(str(tmp_path / "scout.prom"), "a", assessment(), keep_seconds=900)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "scout.prom").stat().st_mode) == 0o644


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "scout.prom"
    link.symlink_to(tmp_path / "elsewhere" / "real.prom")
    prometheus.save(str(link), "a", assessment(), keep_seconds=900)
    assert link.is_symlink()
    assert value(parsed((tmp_path / "elsewhere" / "real.prom").read_text()), "scout_up") == 1


def test_each_pipeline_replaces_its_own(tmp_path: Path) -> None:
    file = str(tmp_path / "scout.prom")
    for pipeline, made in (("a", assessment()), ("b", assessment(verdict="failing")), ("a", FAILED)):
        prometheus.save(file, pipeline, made, keep_seconds=900)
    samples = parsed(Path(file).read_text())
    assert value(samples, "scout_up", "a") == 0
    assert value(samples, "scout_up", "b") == 1
    assert value(samples, "scout_verdict", "b", verdict="failing") == 1
    assert value(samples, "scout_verdict", "a", verdict="healthy") is None


@pytest.mark.parametrize("at", [NOW, NOW + 3e9])
def test_of_a_pipeline_not_assessed_for_long_only_that_is_left(tmp_path: Path, at: float) -> None:
    """Nor of one whose time is not of this world."""
    file = tmp_path / "scout.prom"
    file.write_bytes(prometheus.render(prometheus.families("old", assessment(), at)))
    prometheus.save(str(file), "a", assessment(), keep_seconds=900)
    samples = parsed(file.read_text())
    assert {(name, v) for (name, labels), v in samples.items() if dict(labels)["pipeline"] == "old"} == {
        ("scout_up", 0.0), ("scout_assessment_timestamp_seconds", at),
    }  # fmt: skip
    # And so it stays.
    prometheus.save(str(file), "a", FAILED, keep_seconds=900)
    assert value(parsed(file.read_text()), "scout_up", "old") == 0


@pytest.mark.parametrize("damaged", ["scout_up{", "\x00\xff", "scout_up one\n", "{}\n", ""])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damaged: str) -> None:
    file = tmp_path / "scout.prom"
    file.write_text(damaged, encoding="latin-1")
    prometheus.save(str(file), "a", assessment(), keep_seconds=900)
    assert value(parsed(file.read_text()), "scout_up") == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scout.txt", "end in .prom"), ("scout", "end in .prom"), (".", "end in .prom"), ("scout.prom.bak", "end in .prom"),
        ("missing/scout.prom", "No such file or directory"), ("folder.prom", "Is a directory"), ("a\0b.prom", "null"),
        ("foreign.prom", "it holds metrics of something else: node_disk"), ("file.txt/scout.prom", "Not a directory"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_it_is_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.prom").mkdir()
    (tmp_path / "file.txt").touch()
    (tmp_path / "foreign.prom").write_text("# TYPE node_disk gauge\nnode_disk 1\n")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(BadInput) as caught:
        prometheus.save(str(tmp_path / name), "a", assessment(), keep_seconds=900)
    assert words in str(caught.value)
    assert "metrics_file" in str(caught.value)
    assert caught.value.next_step
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert (tmp_path / "foreign.prom").read_text().endswith("node_disk 1\n")


def test_without_the_client_it_says_what_to_install(tmp_path: Path) -> None:
    with unittest.mock.patch.dict(sys.modules, {"prometheus_client": None}):
        options = {
            "metrics_file": str(tmp_path / "a.prom"),
            "assessment": assessment(),
            "pipeline": "a",
            "keep_seconds": 900.0,
        }
        result = invoke.invoke(scout_metrics.run, "scout_metrics", options, check=False)
    assert result["failed"]
    assert "prometheus_client" in result["msg"]
    assert "pip install prometheus-client" in result["error"]["next_step"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_a_time_to_keep_that_is_none_is_refused(tmp_path: Path, seconds: float) -> None:
    options = {"metrics_file": str(tmp_path / "a.prom"), "assessment": {}, "pipeline": "a", "keep_seconds": seconds}
    result = invoke.invoke(scout_metrics.run, "scout_metrics", options, check=False)
    assert "keep_seconds" in result["msg"]
    assert result["failed"]


def write_often(file: str, pipeline: str, times: int) -> None:
    """In a process of its own, as each host of a play has one."""
    for n in range(times):
        prometheus.save(file, pipeline, assessment() if n % 2 else FAILED, keep_seconds=900)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_reader_always_finds_a_whole_file_and_no_writer_loses_anothers(tmp_path: Path) -> None:
    file = tmp_path / "scout.prom"
    prometheus.save(str(file), "a", assessment(), keep_seconds=900)
    # A process that is started afresh imports for a second, in which the reader has nothing to find.
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(str(file), pipeline, 20)) for pipeline in "bcd"]
    for writer in writers:
        writer.start()
    stop = threading.Event()
    seen: list[Samples] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(parsed(file.read_text()))

    reader = threading.Thread(target=read)
    reader.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert seen
    assert all(value(samples, "scout_up", "a") == 1 for samples in seen)
    final = parsed(file.read_text())
    assert [value(final, "scout_up", pipeline) for pipeline in "abcd"] == [1, 1, 1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["scout.prom"]


def test_promtool_takes_the_file(tmp_path: Path) -> None:
    try:
        promtool.promtool()
    except promtool.Unavailable as e:
        pytest.skip(f"{e}; the client's own parser has read the file in every other test")
    file = tmp_path / "scout.prom"
    hostile = {"state": "running", "jobs": {HOSTILE: True}}
    for pipeline, made in (("a", assessment()), ("b", FAILED), (HOSTILE, assessment(ingestion=hostile))):
        prometheus.save(str(file), pipeline, json.loads(json.dumps(made)), keep_seconds=900)
    done = promtool.run("check", "metrics", text=file.read_text())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
