# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Earlier drills, kept by the team as one small file each, and what became faster, slower or broke since."""

from __future__ import annotations

import dataclasses
import datetime
import json
import statistics
import typing as t
from pathlib import Path

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import in_words

from . import document as results_document
from .typed_fields import Fields

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .document import Drill, Scenario

FORMAT: t.Final = "scout-recovery/drill-history-1"
#: No drill of thousands of scenarios comes near it; whatever is larger is something else.
LARGEST_BYTES: t.Final = 1 << 20
#: What is usual is the median of so many passed drills, the latest ones.
RECENT: t.Final = 5
#: Slower or faster than usual only by both: machines differ from run to run.
FACTOR: t.Final = 1.25
SECONDS: t.Final = 5.0
#: Verdicts of a scenario that tell nothing of how it would have gone.
UNTOLD: t.Final = ("interrupted", "not_run")


@dataclasses.dataclass(frozen=True)
class Run:
    """One scenario of an earlier drill."""

    verdict: str
    recovered: float | None

    @property
    def passed(self) -> bool:
        """Whether it did what it promised."""
        return self.verdict == "passed"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One earlier drill."""

    drill: str
    started_at: datetime.datetime
    seconds: float
    verdict: str
    finished: bool
    server: str
    sandbox: str
    schema_from: str
    scenarios: Mapping[str, Run]

    @property
    def passed(self) -> int:
        """How many of its scenarios passed."""
        return sum(run.passed for run in self.scenarios.values())


@dataclasses.dataclass(frozen=True)
class Earlier:
    """The history as far as it can be read, the oldest first."""

    entries: tuple[Entry, ...] = ()
    #: Files that were passed over, each with the reason.
    skipped: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Point:
    """A scenario in one drill of its trend; `seconds` until it was recovered, None where it did not pass."""

    drill: str
    at: datetime.datetime
    seconds: float | None
    passed: bool


@dataclasses.dataclass(frozen=True)
class Trend:
    """A scenario over the drills, this one last where it ran. `change` is new, steady, slower, faster, broke, fixed, failing,
    interrupted or not run."""

    points: tuple[Point, ...]
    #: The median of the latest earlier ones that passed.
    usual: float | None
    change: str

    @property
    def regression(self) -> bool:
        """Whether somebody should look at what changed."""
        return self.change in ("slower", "broke")

    @property
    def words(self) -> str:
        """`slower, usually 41 s`."""
        return f"{self.change}, usually {in_words(self.usual)}" if self.usual is not None else self.change


@dataclasses.dataclass(frozen=True)
class Trends:
    """What the earlier drills say of this one."""

    scenarios: Mapping[str, Trend]
    #: Finished drills in the same kind of sandbox and schema: only those can be compared.
    compared: tuple[Entry, ...]
    #: All before this one, for the list.
    earlier: tuple[Entry, ...]

    @property
    def regressions(self) -> tuple[str, ...]:
        """Names of the scenarios that became slower or broke."""
        return tuple(name for name, trend in self.scenarios.items() if trend.regression)


def entry(document: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What of a drill's document the history keeps."""
    drill = results_document.read(document)
    return {
        "format": FORMAT,
        "drill": drill.drill,
        "started_at": drill.started_at.isoformat(),
        "finished_at": drill.finished_at.isoformat() if drill.finished_at else None,
        "finished": drill.finished,
        "seconds": drill.seconds,
        "verdict": drill.verdict.word,
        "collection": drill.collection,
        "server": drill.server,
        "sandbox": drill.sandbox,
        "schema_from": drill.schema_from or None,
        "scenarios": [_kept(scenario) for scenario in drill.scenarios],
    }


def _kept(scenario: Scenario) -> dict[str, t.Any]:
    return {
        "name": scenario.name,
        "severity": scenario.severity,
        "verdict": scenario.verdict,
        "seconds": scenario.seconds,
        "phases": {phase.phase: phase.seconds for phase in scenario.phases},
        "events": dataclasses.asdict(scenario.events) if scenario.events else None,
        "checks": {"passed": sum(p.passed for p in scenario.checks), "of": len(scenario.checks)},
    }


def keep(document: Mapping[str, t.Any], folder: Path) -> Path:
    """Adds a drill to the history; the same one again changes nothing, and no other is ever written over."""
    made = entry(document)
    data = (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode()
    for path in (folder / f"{made['drill']}{suffix}.json" for suffix in ("", *(f"-{n}" for n in range(2, 100)))):
        if files.create(path, data) or _is(path, data):
            return path
    raise BadInput(
        f"could not add the drill {made['drill']} to {folder}",
        said="there are a hundred others of the same second",
        next_step="keep them elsewhere",
    )


def _is(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def read(folder: Path) -> Earlier:
    """All drills in a folder; files of others and of newer versions are named, and stop nothing."""
    entries: list[Entry] = []
    skipped: list[str] = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except FileNotFoundError:
        paths = []
    except OSError as e:
        return Earlier((), (f"{folder.name}: {e.strerror or e}",))
    for path in paths:
        try:
            entries.append(_entry(path))
        except OSError as e:
            skipped.append(f"{path.name}: {e.strerror or e}")
        except BadInput as e:
            skipped.append(f"{path.name}: {e.attempted}")
        except (ValueError, RecursionError):
            skipped.append(f"{path.name}: no JSON that can be read")
    return Earlier(tuple(sorted(entries, key=lambda each: (each.started_at, each.drill))), tuple(skipped))


def _entry(path: Path) -> Entry:
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise BadInput("too large for a drill")
    made: t.Any = json.loads(data)
    form: t.Any = t.cast("dict[str, t.Any]", made).get("format") if isinstance(made, dict) else None
    if form != FORMAT:
        newer = str(form).startswith(FORMAT.rpartition("-")[0])
        raise BadInput(f"written by another version: {str(form)[:80]!r}" if newer else "not the history of a drill")
    return entry_of(t.cast("dict[str, t.Any]", made))


def entry_of(found: Mapping[str, t.Any]) -> Entry:
    """One that `entry` made, as it is compared with others; BadInput where nobody made it."""
    fields = Fields(found, "")
    return Entry(
        drill=fields.text("drill"),
        started_at=t.cast("datetime.datetime", fields.time("started_at")),
        seconds=fields.seconds("seconds"),
        verdict=fields.text("verdict"),
        finished=fields.yes("finished"),
        server=fields.text("server", default="unknown"),
        sandbox=fields.text("sandbox"),
        schema_from=fields.text("schema_from", default=""),
        scenarios={one.text("name"): _run(one) for one in fields.each("scenarios")},
    )


def _run(found: Fields) -> Run:
    phases = found.inner("phases")
    return Run(found.text("verdict"), phases.maybe_seconds("recovered") if phases else None)


def trends(drill: Drill, earlier: Earlier) -> Trends:
    """How each scenario did before, and what that says of it now."""
    before = tuple(e for e in earlier.entries if e.drill != drill.drill and e.started_at < drill.started_at)
    compared = tuple(
        e for e in before if e.finished and (e.sandbox, e.schema_from) == (drill.sandbox, drill.schema_from)
    )
    return Trends({s.name: _trend(drill, s, compared) for s in drill.scenarios}, compared, before)


def _trend(drill: Drill, scenario: Scenario, compared: Sequence[Entry]) -> Trend:
    past = [
        Point(e.drill, e.started_at, run.recovered if run.passed else None, run.passed)
        for e in compared
        if (run := e.scenarios.get(scenario.name)) is not None and run.verdict not in UNTOLD
    ]
    recovered = scenario.phase("recovered")
    seconds = recovered.seconds if recovered and scenario.ok else None
    now = [] if scenario.verdict in UNTOLD else [Point(drill.drill, drill.started_at, seconds, scenario.ok)]
    known = [point.seconds for point in past if point.seconds is not None][-RECENT:]
    usual = statistics.median(known) if known else None
    return Trend((*past, *now), usual, _change(scenario, past, seconds, usual))


def _change(scenario: Scenario, past: Sequence[Point], seconds: float | None, usual: float | None) -> str:
    if scenario.verdict in UNTOLD:
        return scenario.verdict.replace("_", " ")
    if not past:
        return "new"
    if not scenario.ok:
        return "broke" if past[-1].passed else "failing"
    if not past[-1].passed:
        return "mended"
    if seconds is None or usual is None or abs(seconds - usual) < SECONDS:
        return "steady"
    return "slower" if seconds > usual * FACTOR else "faster" if usual > seconds * FACTOR else "steady"
