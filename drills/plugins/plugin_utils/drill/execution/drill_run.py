# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill: its scenarios one after another, each in a sandbox of its own, and one document of all of it, whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import importlib
import json
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
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import in_words
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.dsn import parse_dsn

from ...reference.server import places
from ..clone.source import FOLDER
from ..results import history, scorecard
from ..results.document import FORMAT
from ..sandbox.factory import open_sandbox
from ..scenario import scenario
from ..scenario.yaml_reader import near
from . import probes
from .actions import ACTIONS, BREAKING
from .playbook_process import PlaybookRunner
from .scenario_run import STOPPED, TROUBLE, ScenarioRun, in_short
from .scene import PLAYBOOKS

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

    from ..results.document import Verdict
    from ..sandbox.production_guard import Host
    from ..scenario.scenario import Scenario

#: Those that come with the collection.
OURS: t.Final = places.ROOT / "scenarios"
ALL: t.Final = "all"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be drilled, where, and where the result goes."""

    names: tuple[str, ...]
    output: Path
    sandbox: str = "embedded"
    sandbox_dsn: str | None = None
    schema_from: str | None = None
    cron_dsn: str | None = None
    #: Whether a real scheduler runs the jobs of that schema's clone.
    clone_jobs: bool = False
    #: Folders with scenarios of a team's own; one of the same name replaces ours.
    folders: tuple[Path, ...] = ()
    history: Path | None = None
    templates: Path | None = None
    severities: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    config_file: str | None = None
    #: Where else collections are, for the playbooks.
    collections: Sequence[str] = ()
    operator: str = ""
    #: The hosts of the inventory, so that none of them is taken for a sandbox.
    hosts: Sequence[Host] = ()


@dataclasses.dataclass(frozen=True)
class Done:
    """A drill that was run, or broken off."""

    document: dict[str, t.Any]
    folder: Path
    #: The pages of its scorecard.
    pages: tuple[Path, ...]
    #: What could not be done beside the drill, such as keeping its history.
    warnings: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """By what was measured, not by what the document claims."""
        return scorecard.verdict(self.document)


def _available(request: Request) -> dict[str, Path]:
    """The scenarios there are, by name."""
    found: dict[str, Path] = {}
    for folder in (OURS, *request.folders):
        if folder != OURS and not folder.is_dir():
            raise BadInput(
                f"drill_scenarios_dir {folder} is no folder", next_step="name the folder with your scenarios"
            )
        found |= {path.stem: path for path in sorted(folder.glob("*.yml"))}
    return dict(sorted(found.items()))


def choose(request: Request) -> tuple[list[Scenario], list[str]]:
    """The scenarios that are wanted, all of them read; and, where all are wanted, the names of those that cannot run there."""
    there = _available(request)
    names = list(there) if ALL in request.names else list(dict.fromkeys(request.names))
    unknown = [name for name in names if name not in there]
    if unknown or not names:
        raise BadInput(
            f"there is no scenario {', '.join(f'{name!r}{near(name, there)}' for name in unknown)}"
            if unknown
            else "no scenario is named",
            next_step=f"-e scenario=… takes all, or one or more, with commas between, of {', '.join(there) or 'none'}",
        )
    made = [_read(there[name], request) for name in names]
    elsewhere = [each.name for each in made if request.sandbox not in each.sandboxes]
    if elsewhere and ALL not in request.names:
        places = next(each.sandboxes for each in made if each.name == elsewhere[0])
        raise BadInput(
            f"scenario {elsewhere[0]} does not run in a sandbox of kind {request.sandbox}",
            next_step=f"give -e sandbox={places[0]}",
        )
    return [each for each in made if each.name not in elsewhere], elsewhere


def _read(file: Path, request: Request) -> Scenario:
    return scenario.read(
        file, playbooks=PLAYBOOKS, faults=BREAKING, actions=ACTIONS, known_severities=request.severities
    )


def told(wanted: Scenario) -> str:
    """A scenario in one line, for a check."""
    steps = [f"{step.playbook}.yml" if isinstance(step, scenario.Play) else step.name for step in wanted.steps]
    faults = ", ".join(fault.name for fault in wanted.faults) or "nothing"
    return f"{wanted.name} ({wanted.severity}): breaks it by {faults}; runs {', '.join(steps)}"


def run(request: Request, progress: Progress) -> Done:
    """Runs what is wanted; the document is there whatever happens, also where it was interrupted."""
    chosen, _ = choose(request)
    began = time.monotonic()
    document = begun(request)
    document["scenarios"] = [blank(each.name, each.title, each.severity) for each in chosen]
    folder = new_folder(request.output, document["drill"])
    save(document, folder)
    stopped = False
    with playbook_runner(request) as runner, progress.unbroken():
        for number, each in enumerate(chosen):
            progress.say(f"{each.name}: scenario {number + 1} of {len(chosen)}, {each.title}")
            told = document["scenarios"][number]
            gone_on = _one(each, told, document, request, runner, folder, progress)
            progress.say(f"{each.name}: {told['verdict'].upper()} in {in_words(told['seconds'])}")
            document["seconds"] = round(time.monotonic() - began, 2)
            save(document, folder)
            if not gone_on:
                stopped = told["verdict"] == "interrupted"
                break
    document["finished_at"] = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    document["seconds"] = round(time.monotonic() - began, 2)
    passed = all(told["verdict"] == "passed" for told in document["scenarios"])
    document["verdict"] = "interrupted" if stopped else "passed" if passed and chosen else "failed"
    return end(document, request, folder)


@contextlib.contextmanager
def playbook_runner(request: Request) -> Generator[PlaybookRunner]:
    """What plays the playbooks; its folder holds passwords, so that of a drill that was killed goes too."""
    with subprocesses.scratch(FOLDER) as secrets:
        collections, ours = [str(collections_folder()), *request.collections], request.sandbox != "staging"
        yield PlaybookRunner(collections, secrets, request.config_file, as_operator=not ours)


def _one(
    wanted: Scenario, told: dict[str, t.Any], document: dict[str, t.Any],
    request: Request, runner: PlaybookRunner, folder: Path, progress: Progress,
) -> bool:  # fmt: skip
    """One scenario in its sandbox; whether the next one may follow."""
    opened = False
    try:
        progress.checkpoint()
        with open_sandbox(
            request.sandbox,
            sandbox_dsn=request.sandbox_dsn,
            schema_from=request.schema_from,
            cron_dsn=request.cron_dsn,
            clone_jobs=request.clone_jobs,
            pipeline=dataclasses.asdict(wanted.pipeline),
            name=wanted.name,
            hosts=request.hosts,
            progress=progress,
        ) as sandbox:
            opened = True
            document["server"] = probes.version(sandbox.dsn)
            progress.checkpoint()
            ScenarioRun(wanted, sandbox, runner, folder / wanted.name, progress, told).run()
    except RecoveryError as e:
        told["verdict"] = "interrupted" if isinstance(e, Stopped) else "not_run" if e.kind == "unavailable" else "error"
        told["why"].append(STOPPED if isinstance(e, Stopped) else str(e))
        # What keeps one sandbox from being made keeps the next one too.
        return opened and told["verdict"] == "error"
    except TROUBLE as e:
        told["verdict"] = "error"
        told["why"].append(in_short(e))
        return opened
    return told["verdict"] != "interrupted"


def begun(request: Request) -> dict[str, t.Any]:
    """The document of a drill that has just begun, without scenarios."""
    at = dt.datetime.now(dt.UTC)
    return {
        "format": FORMAT,
        "drill": f"{at:%Y-%m-%dT%H%M%SZ}",
        "started_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "finished_at": None,
        "seconds": 0.0,
        # Until its end; whoever kills it leaves one that says so.
        "verdict": "interrupted",
        "collection": version(),
        "server": "unknown",
        "sandbox": request.sandbox,
        "schema_from": where(request.schema_from),
        "operator": request.operator,
        "scenarios": [],
    }


def blank(name: str, title: str, severity: str) -> dict[str, t.Any]:
    """A scenario of the document that has not begun."""
    return {
        "name": name,
        "title": title,
        "severity": severity,
        "verdict": "not_run",
        "started_at": None,
        "seconds": 0.0,
        "phases": [],
        "events": None,
        "steps": [],
        "checks": [],
        "lacks": [],
        "why": [],
    }


def new_folder(output: Path, name: str) -> Path:
    """A folder for this drill alone, and for nobody else to read."""
    try:
        output = files.private_folder(output)
        for folder in (output / f"{name}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 100)))):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=files.PRIVATE)
                return folder
    except OSError as e:
        raise BadInput(
            f"cannot write to drill_output_dir {output}",
            said=str(e),
            next_step="give a folder that only you can write to",
        ) from e
    raise BadInput(
        f"drill_output_dir {output} has a hundred drills of the same second", next_step="give another folder"
    )


def save(document: Mapping[str, t.Any], folder: Path) -> None:
    """Writes what is known by now, whatever becomes of the drill."""
    text = json.dumps(Redactor(mask=()).value(document), indent=1, ensure_ascii=False)
    files.write(folder / f"{scorecard.NAME}.json", f"{text}\n".encode())


def end(document: dict[str, t.Any], request: Request, folder: Path) -> Done:
    """The scorecard, and the drill in the history; a history that cannot be kept is a warning."""
    earlier = history.read(request.history) if request.history else None
    pages = scorecard.write(document, folder, earlier, request.templates)
    warnings = [f"{file} of the history was passed over" for file in (earlier.skipped if earlier else ())]
    if request.history:
        try:
            history.keep(document, request.history)
        except (RecoveryError, OSError) as e:
            warnings.append(f"the drill was not added to {request.history}: {e}")
    return Done(document, folder, tuple(pages), tuple(warnings))


def version() -> str:
    """Of the collection, installed or in its checkout."""
    for name, keys in (("MANIFEST.json", ("collection_info", "version")), ("galaxy.yml", ("version",))):
        try:
            found = yaml.safe_load((places.ROOT / name).read_text(encoding="utf-8"))
            for key in keys:
                found = found[key]
        except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
            continue
        return str(found)
    return "unknown"


def where(dsn: str | None) -> str | None:
    """Where a connection string leads, without user and secrets."""
    if not dsn:
        return None
    try:
        parts = parse_dsn(dsn, "schema_from")
    except RecoveryError:
        return "a database that cannot be named"
    host = parts.get("host") or parts.get("hostaddr") or parts.get("service") or "the default host"
    return f"{parts.get('dbname') or 'the default database'} on {host}:{parts.get('port') or 5432}"


def collections_folder() -> Path:
    """The folder that holds ansible_collections, by the path this collection was found by."""
    if places.ROOT.parts[-3:-2] == ("ansible_collections",):
        return places.ROOT.parents[2]
    package = importlib.import_module("ansible_collections")
    return Path(next(iter(package.__path__))).parent
