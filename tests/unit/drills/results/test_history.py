# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of drills: nothing in it is ever written over, nothing foreign in it is in the way, and what it says of a drill."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import document as documents
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import history
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from tests.unit.drills.results import documents as drills
from tests.unit.drills.results.documents import at, check, document, events, phase, scenario


def took(seconds: float | None, verdict: str = "passed", **fields: Any) -> dict[str, Any]:
    return scenario(phases=[phase("recovered", seconds)], verdict=verdict, **fields)


def earlier(*made: dict[str, Any]) -> history.Earlier:
    """These scenarios, each in a drill of its own, one a quarter."""
    entries = [
        history.entry_of(history.entry(document(one, **at(91 * (len(made) - number)))))
        for number, one in enumerate(made)
    ]
    return history.Earlier(tuple(entries))


def trend(now: dict[str, Any], before: history.Earlier, **fields: Any) -> history.Trend:
    return history.trends(documents.read(document(now, **fields)), before).scenarios["poison_event"]


def test_a_drill_is_kept_and_read_back(tmp_path: Path) -> None:
    made = document(
        took(18.4, checks=[check(), check(passed=False)]), scenario("b", verdict="failed", events=events(7, lost=2))
    )
    path = history.keep(made, tmp_path / "drills" / "history")
    assert path == tmp_path / "drills" / "history" / "2026-11-25T210000Z.json"
    assert json.loads(path.read_text()) == {
        "format": "scout-recovery/drill-history-1",
        "drill": "2026-11-25T210000Z",
        "started_at": "2026-11-25T21:00:00+00:00",
        "finished_at": "2026-11-25T21:13:32+00:00",
        "finished": True,
        "seconds": 812.4,
        "verdict": "failed",
        "collection": drills.VERSION,
        "server": "17.10",
        "sandbox": "embedded",
        "schema_from": None,
        "scenarios": [
            {"name": "poison_event", "severity": "high", "verdict": "failed", "seconds": 41.2, "phases": {"recovered": 18.4},
             "events": events(), "checks": {"passed": 1, "of": 2}},
            {"name": "b", "severity": "high", "verdict": "failed", "seconds": 41.2,
             "phases": {"detected": 3.2, "paused": 5.1, "recovered": 18.4, "resumed": 17.9},
             "events": events(7, lost=2), "checks": {"passed": 1, "of": 1}},
        ],
    }  # fmt: skip
    found = history.read(path.parent)
    assert found.skipped == ()
    [entry] = found.entries
    assert (entry.drill, entry.verdict, entry.finished, entry.passed) == ("2026-11-25T210000Z", "failed", True, 0)
    assert entry.scenarios["poison_event"] == history.Run("failed", 18.4)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    first = history.keep(document(took(18.4)), tmp_path)
    before = first.read_bytes()
    assert history.keep(document(took(18.4)), tmp_path) == first
    second = history.keep(document(took(20.0)), tmp_path)
    assert second.name == "2026-11-25T210000Z-2.json"
    assert history.keep(document(took(20.0)), tmp_path) == second
    assert first.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [second.name, first.name]


def test_two_at_once_both_stay(tmp_path: Path) -> None:
    kept: list[Path] = []
    threads = [
        threading.Thread(target=lambda n=n: kept.append(history.keep(document(took(float(n))), tmp_path)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(kept)) == 8
    assert {entry.scenarios["poison_event"].recovered for entry in history.read(tmp_path).entries} == set(
        map(float, range(8))
    )


def test_what_is_foreign_newer_or_broken_is_named_and_stops_nothing(tmp_path: Path) -> None:
    history.keep(document(took(18.4)), tmp_path)
    good = json.loads((tmp_path / "2026-11-25T210000Z.json").read_text())
    for name, content in {
        "a-list.json": "[1]",
        "broken.json": '{"format": "scout-rec',
        "deep.json": "[" * 200_000,
        "empty.json": "",
        "latin.json": b"\xff\xfe{}",
        "foreign.json": '{"format": "else"}',
        "huge.json": " " * (history.LARGEST_BYTES + 1),
        "newer.json": json.dumps(good | {"format": "scout-recovery/drill-history-2", "scenarios": 3}),
        "no-offset.json": json.dumps(good | {"started_at": "2026-11-25T21:00:00"}),
        "endless.json": json.dumps(good | {"seconds": float("inf")}),
        "half.json": json.dumps({name: value for name, value in good.items() if name != "verdict"}),
        "README.md": "kept by the team",
        ".hidden.json": "{}",
    }.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    found = history.read(tmp_path)
    assert [entry.drill for entry in found.entries] == ["2026-11-25T210000Z"]
    assert found.skipped == (
        "a-list.json: not the history of a drill",
        "broken.json: no JSON that can be read",
        "dangling.json: No such file or directory",
        "deep.json: no JSON that can be read",
        "empty.json: no JSON that can be read",
        "endless.json: seconds in the document of a drill is not usable",
        "folder.json: Is a directory",
        "foreign.json: not the history of a drill",
        "half.json: verdict in the document of a drill is not usable",
        "huge.json: too large for a drill",
        "latin.json: no JSON that can be read",
        "newer.json: written by another version: 'scout-recovery/drill-history-2'",
        "no-offset.json: started_at in the document of a drill is not usable",
    )


def test_what_a_newer_version_adds_is_passed_over(tmp_path: Path) -> None:
    path = history.keep(document(took(18.4)), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weather": "fine"}))
    assert history.read(tmp_path).skipped == ()


def test_no_folder_is_no_history_and_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    assert history.read(tmp_path / "nowhere") == history.Earlier()
    (tmp_path / "file").write_text("")
    assert history.read(tmp_path / "file") == history.Earlier((), ("file: Not a directory",))
    with pytest.raises(BadInput, match="could not write"):
        history.keep(document(took(1.0)), tmp_path / "file")


@pytest.mark.parametrize(
    ("before", "now", "change", "usual"),
    [
        ((), took(18.0), "new", None),
        ((took(18.0),), took(18.0), "steady", 18.0),
        # Both by a quarter and by five seconds.
        ((took(18.0),), took(22.9), "steady", 18.0),
        ((took(18.0),), took(23.1), "slower", 18.0),
        ((took(100.0),), took(124.0), "steady", 100.0),
        ((took(100.0),), took(126.0), "slower", 100.0),
        ((took(100.0),), took(79.0), "faster", 100.0),
        ((took(4.0),), took(8.0), "steady", 4.0),
        # The median of the last five that passed.
        (tuple(took(s) for s in (290.0, 10.0, 20.0, 30.0, 40.0, 50.0)), took(30.0), "steady", 30.0),
        ((took(10.0), took(500.0, "failed"), took(12.0)), took(11.0), "steady", 11.0),
        ((took(18.0),), took(18.0, "failed"), "broke", 18.0),
        ((took(18.0),), took(18.0, "error"), "broke", 18.0),
        ((took(18.0),), took(400.0), "broke", 18.0),
        ((took(18.0, "failed"),), took(18.0, "failed"), "failing", None),
        ((took(18.0), took(None, "error")), took(18.0), "mended", 18.0),
        ((took(18.0),), took(None, "not_run"), "not run", 18.0),
        ((took(18.0),), took(None, "interrupted"), "interrupted", 18.0),
        # Who was not run before says nothing.
        ((took(18.0), took(None, "not_run")), took(18.0), "steady", 18.0),
        ((took(None, "not_run"),), took(18.0), "new", None),
        ((scenario(phases=[]),), scenario(phases=[]), "steady", None),
        ((scenario("another"),), took(18.0), "new", None),
    ],
)  # fmt: skip
def test_what_changed(
    before: tuple[dict[str, Any], ...], now: dict[str, Any], change: str, usual: float | None
) -> None:
    found = trend(now, earlier(*before))
    assert (found.change, found.usual) == (change, usual)
    assert found.regression == (change in ("slower", "broke"))


def test_an_unfinished_drill_is_recorded_and_does_not_enter_the_trend(tmp_path: Path) -> None:
    stopped = document(took(2.0), scenario("b", verdict="interrupted"), verdict="interrupted", **at(91))
    kept = json.loads(history.keep(stopped, tmp_path).read_text())
    assert (kept["verdict"], kept["finished"]) == ("interrupted", False)
    found = history.trends(documents.read(document(took(18.0))), history.read(tmp_path))
    assert [entry.drill for entry in found.earlier] == ["2026-08-26T210000Z"]
    assert found.compared == ()
    assert found.scenarios["poison_event"].change == "new"


@pytest.mark.parametrize(
    "fields",
    [{"sandbox": "docker"}, {"schema_from": "scout on db1:5432"}, at(0), at(-1)],
    ids=["sandbox", "schema", "itself", "later"],
)
def test_only_what_came_before_and_is_alike_is_compared(fields: dict[str, Any]) -> None:
    before = history.Earlier((history.entry_of(history.entry(document(took(2.0), **(at(91) | fields)))),))
    assert trend(took(18.0), before).change == "new"
    assert (
        trend(took(18.0), history.Earlier((history.entry_of(history.entry(document(took(2.0), **at(91)))),))).change
        == "slower"
    )


def test_the_points_are_in_the_order_of_the_drills(tmp_path: Path) -> None:
    for days in (91, 182, 273):
        history.keep(document(took(float(days)), **at(days)), tmp_path)
    found = trend(took(18.0), history.read(tmp_path))
    assert [point.seconds for point in found.points] == [273.0, 182.0, 91.0, 18.0]
    assert found.words == "faster, usually 3 min 2 s"


def test_the_regressions_of_a_drill() -> None:
    found = history.trends(documents.read(drills.realistic(drills.TROUBLE)), drills.past())
    assert found.regressions == ("gold_broken", "controller_killed", "slow_standby")
