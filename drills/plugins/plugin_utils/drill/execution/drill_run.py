# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a drill: its scenarios one after another, with a result that is complete however it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import difflib
import importlib
import time
import typing as t
from pathlib import Path

import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files, subprocesses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import (
    BadInput,
    RecoveryError,
    Stopped,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import in_words

from ...reference.server import places
from .. import scenario
from ..results import report
from ..sandbox.embedded import open_embedded
from ..sandbox.restored import open_restored
from . import probes
from .actions import ACTIONS, BREAKING
from .playbook_process import PlaybookRunner
from .scenario_run import STOPPED, TROUBLE, ScenarioRun, in_short
from .scene import PLAYBOOKS

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

    from ..results.report import Document
    from ..sandbox.base import Sandbox
    from ..sandbox.production_guard import Host
    from ..scenario import Scenario

SCENARIOS: t.Final = places.ROOT / "scenarios"
ALL: t.Final = "all"
FORMAT: t.Final = "scout-recovery/drill-2"
#: The folder of files with passwords.
FOLDER: t.Final = "scout-drill"


@dataclasses.dataclass(frozen=True)
class Request:
    """What to drill, where, and where the result goes."""

    names: tuple[str, ...]
    output: Path
    #: A database that the team restored; by default each scenario has an embedded one.
    dsn: str | None = None
    #: Seconds until recovered by the name of a scenario, instead of those of its file.
    budgets: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    config_file: str | None = None
    #: Where else the playbooks find collections.
    collections: Sequence[str] = ()
    operator: str = ""
    #: The hosts of the inventory, none of which may be drilled.
    hosts: Sequence[Host] = ()
    scenarios: Path = SCENARIOS


@dataclasses.dataclass(frozen=True)
class Done:
    """A drill that has ended."""

    document: Document
    folder: Path
    #: The page for people.
    page: Path
    summary: str


def choose(request: Request) -> tuple[list[Scenario], list[str]]:
    """Return the requested scenarios, and if all are requested the names of those that cannot run there."""
    there = {path.stem: path for path in sorted(request.scenarios.glob("*.yml"))}
    names = list(there) if ALL in request.names else list(dict.fromkeys(request.names))
    unknown = [name for name in (*names, *request.budgets) if name not in there]
    if unknown or not names:
        near = difflib.get_close_matches(unknown[0], list(there), 1) if unknown else []
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise BadInput(
            f"there is no scenario {unknown[0]!r}{hint}" if unknown else "no scenario is named",
            next_step=f"-e scout_scenario=… takes all, or one or more of {', '.join(there) or 'none'}, separated by commas",
        )
    if wrong := [f"{name}: {seconds}" for name, seconds in request.budgets.items() if not _is_budget(seconds)]:
        raise BadInput(
            f"scout_drill_budgets has {wrong[0]}", next_step="give each scenario a number of seconds greater than 0"
        )
    made = [scenario.read(there[name], playbooks=PLAYBOOKS, faults=BREAKING, actions=ACTIONS) for name in names]
    made = [
        dataclasses.replace(each, budget_seconds=request.budgets.get(each.name, each.budget_seconds)) for each in made
    ]
    elsewhere = [each.name for each in made if request.dsn and each.embedded_only]
    if elsewhere and ALL not in request.names:
        raise BadInput(
            f"scenario {elsewhere[0]} does not run on a restored database",
            next_step="leave out drill_dsn, or leave out that scenario",
        )
    return [each for each in made if each.name not in elsewhere], elsewhere


def _is_budget(value: t.Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def describe(wanted: Scenario) -> str:
    """Return a scenario in one line, for a check."""
    steps = [f"{step.playbook}.yml" if isinstance(step, scenario.Play) else step.name for step in wanted.steps]
    faults = ", ".join(fault.name for fault in wanted.faults)
    return f"{wanted.name}: breaks it by {faults}; runs {', '.join(steps)}"


def run(request: Request, progress: Progress) -> Done:
    """Run the scenarios. The result is written even if the drill is interrupted."""
    chosen, _ = choose(request)
    report.require()
    began, at = time.monotonic(), dt.datetime.now(dt.UTC)
    document: Document = {
        "format": FORMAT,
        "drill": f"{at:%Y-%m-%dT%H%M%SZ}",
        "started_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "seconds": 0.0,
        # Until its end, so that a killed drill leaves a result that says so.
        "verdict": "interrupted",
        "collection": version(),
        "database": "the embedded reference",
        "server": "unknown",
        "operator": request.operator,
        "scenarios": [_blank(each) for each in chosen],
    }
    folder = _new_folder(request.output, document["drill"])
    report.save(document, folder)
    with playbook_runner(request) as runner, progress.unbroken():
        for number, each in enumerate(chosen):
            progress.say(f"{each.name}: scenario {number + 1} of {len(chosen)}, {each.title}")
            result = document["scenarios"][number]
            goes_on = _run_one(each, result, document, request, runner, folder, progress)
            progress.say(f"{each.name}: {result['verdict'].upper()} in {in_words(result['seconds'])}")
            document["seconds"] = round(time.monotonic() - began, 2)
            report.save(document, folder)
            if not goes_on:
                break
    summary = report.conclude(document)
    return Done(document, folder, report.write(document, folder), summary)


@contextlib.contextmanager
def playbook_runner(request: Request) -> Generator[PlaybookRunner]:
    """What runs the playbooks. Its folder for passwords goes with the block, and that of a killed drill as well."""
    with subprocesses.scratch(FOLDER) as secrets:
        collections = [str(collections_folder()), *request.collections]
        yield PlaybookRunner(collections, secrets, request.config_file, as_operator=request.dsn is not None)


def open_sandbox(wanted: Scenario, request: Request, progress: Progress) -> contextlib.AbstractContextManager[Sandbox]:
    """A database for the scenario."""
    if request.dsn:
        return open_restored(request.dsn, request.hosts)
    return open_embedded(progress, events=wanted.events)


def _run_one(
    wanted: Scenario, result: Document, document: Document,
    request: Request, runner: PlaybookRunner, folder: Path, progress: Progress,
) -> bool:  # fmt: skip
    """Run one scenario, and return whether the next one can run."""
    opened = False
    try:
        progress.checkpoint()
        with open_sandbox(wanted, request, progress) as sandbox:
            opened = True
            document["server"] = probes.version(sandbox.dsn)
            if request.dsn:
                document["database"] = sandbox.where
            progress.checkpoint()
            ScenarioRun(wanted, sandbox, runner, folder / wanted.name, progress, result).run()
    except RecoveryError as e:
        stopped = isinstance(e, Stopped)
        result["verdict"] = "interrupted" if stopped else "not_run" if e.kind == "unavailable" else "error"
        result["why"].append(STOPPED if stopped else str(e))
    except TROUBLE as e:
        result["verdict"] = "error"
        result["why"].append(in_short(e))
    if request.dsn:
        # One that was not recovered leaves the only database broken.
        return result["verdict"] in ("passed", "not_run") and opened
    return result["verdict"] != "interrupted" and opened


def _blank(wanted: Scenario) -> Document:
    return {
        "name": wanted.name,
        "title": wanted.title,
        "verdict": "not_run",
        "started_at": None,
        "seconds": 0.0,
        "budget_seconds": wanted.budget_seconds,
        "phases": {},
        "events": None,
        "steps": [],
        "checks": [],
        "why": [],
    }


def _new_folder(output: Path, name: str) -> Path:
    """Create a folder for this drill, private to its owner."""
    try:
        output = files.private_folder(output)
        for folder in (output / f"{name}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 100)))):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=files.PRIVATE)
                return folder
    except OSError as e:
        raise BadInput(
            f"cannot write to scout_drill_dir {output}",
            said=str(e),
            next_step="give a folder that only you can write to",
        ) from e
    raise BadInput(f"scout_drill_dir {output} has a hundred drills of the same second", next_step="give another folder")


def version() -> str:
    """Return the version of the collection, installed or in its checkout."""
    for name, keys in (("MANIFEST.json", ("collection_info", "version")), ("galaxy.yml", ("version",))):
        try:
            found = yaml.safe_load((places.ROOT / name).read_text(encoding="utf-8"))
            for key in keys:
                found = found[key]
        except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
            continue
        return str(found)
    return "unknown"


def collections_folder() -> Path:
    """Return the folder that holds ansible_collections, by the path this collection was found by."""
    if places.ROOT.parts[-3:-2] == ("ansible_collections",):
        return places.ROOT.parents[2]
    package = importlib.import_module("ansible_collections")
    return Path(next(iter(package.__path__))).parent
