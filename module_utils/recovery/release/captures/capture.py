# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing a release: what is wanted, what there is already, what is to be done about it, and doing it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t
import uuid
from pathlib import Path

from ...core.errors import BadInput, NotConverged, RecoveryError
from ...core.text import count
from ...ledger import runs
from ...ledger.pauses import open_pause
from ...postgres.failures import attempting
from ...scout import contract
from ..catalog import job_commands, manifests
from ..catalog import reader as catalog_reader
from ..catalog.entries import Catalog, Entry, Scope
from . import checkout, table_data
from . import document as captures_document
from . import store as captures_store

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from ...invoke import Call
    from ...ledger.ledger import Ledger
    from ...ledger.runs import Run
    from ...postgres.session import Row, Session
    from .document import Changes, Document
    from .table_data import Protected

NAME: t.Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,99}")
#: Nobody's release: the server's own, and what the toolkit itself writes.
NEVER: t.Final = re.compile(r"pg_.*|information_schema|scout_ops")
SHOWN: t.Final = 12


@dataclasses.dataclass(frozen=True)
class CaptureRequest:
    """What is to be captured under which name, and where it is to be kept besides the ledger."""

    release: str
    scope: Scope
    protect: tuple[str, ...]
    file: Path | None
    recapture: bool
    max_rows: int
    commit: str | None
    application: dict[str, t.Any]
    #: The tables with a migration history, before anybody has looked at their columns.
    histories: manifests.Asked = manifests.NOTHING
    #: What is said of tables that are left out.
    left_out: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class CaptureState:
    """The capture as it would be now, the one in force, the one to compare with, and the one in the file."""

    made: Document
    existing: Document | None
    previous: Document | None
    on_file: Document | None
    changes: Changes | None
    tables: tuple[Protected, ...]
    #: What would be saved of the data, where an older capture has saved it and is to be compared.
    data: list[dict[str, t.Any]] | None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done: keep a new capture, write the file, both or nothing."""

    capture: bool
    write: bool

    @property
    def changed(self) -> bool:
        """Whether anything is."""
        return self.capture or self.write


def wanted(params: Mapping[str, t.Any]) -> CaptureRequest:
    """The options, checked. Raises BadInput for what cannot be rolled back to."""
    name = str(params["release"])
    if not name:
        raise BadInput("no release is named", next_step="name it: -e scout_release=v5.2.1")
    if not NAME.fullmatch(name):
        raise BadInput(
            f"release {name[:100]!r} is not usable",
            next_step="use 1 to 100 letters, digits and . _ + / - (for example v5.2.1)",
        )
    schemas = tuple(sorted({contract.names().schema} if params["schemas"] is None else set(params["schemas"])))
    if wrong := [schema for schema in schemas if NEVER.fullmatch(schema)]:
        raise BadInput(
            f"schema {', '.join(wrong)} belongs to no release",
            next_step=f'name the schemas of the pipeline: -e \'{{"scout_release_schemas": ["{contract.names().schema}"]}}\'',
        )
    if not schemas:
        raise BadInput("no schema is named", next_step="name at least one, or leave the option out")
    if params["max_rows"] < 0:
        raise BadInput(f"max_rows {params['max_rows']} is not usable", next_step="give 0 or more")
    application = checkout.read(params["git_dir"]) if params["git_dir"] else {}
    commit = checkout.checked(params["git_commit"]) if params["git_commit"] else application.get("commit")
    return CaptureRequest(
        release=name,
        scope=Scope(schemas),
        histories=manifests.asked(params["migrations_table"]),
        protect=tuple(sorted(set(params["protect"]))),
        file=Path(params["release_file"]).expanduser().absolute() if params["release_file"] else None,
        recapture=params["recapture"],
        max_rows=params["max_rows"],
        commit=commit,
        application=application,
    )


def place(call: Call, want: CaptureRequest, mode: str) -> Ledger:
    """The ledger, in check mode as it is. Raises BadInput for a capture that would be stored nowhere."""
    if call.check:
        with attempting("could not read the ledger", on=call.session.where), call.session.read():
            return call.look(mode)
    ledger = call.ensure(mode)
    if ledger.present or (want.file and not want.protect):
        return ledger
    what = "data is saved in the ledger alone" if want.protect else "neither the ledger nor a file would hold it"
    raise BadInput(
        "refused to capture a release without the ledger",
        on=call.session.where,
        said=what,
        next_step="leave ledger at auto, with a role that may use it (preflight.yml), or give a release_file",
    )


def known(session: Session, want: CaptureRequest) -> CaptureRequest:
    """The request with the columns of each table that has a migration history. Raises BadInput where one that was named has none that
    can be used."""
    with attempting("could not read the migration history", on=session.where), session.read():
        scope, left_out = manifests.scope(session, want.scope.schemas, want.histories)
    return dataclasses.replace(want, scope=scope, left_out=tuple(left_out))


def look(call: Call, ledger: Ledger, want: CaptureRequest) -> CaptureState:
    """Reads the catalog until it is stable, and what is stored already; read-only. Raises BadInput where
    `release_file` holds another release, NotConverged where the schema keeps changing."""
    session = call.session
    on_file = captures_document.load(want.file) if want.file and want.file.exists() else None
    with attempting("could not read the ledger", on=session.where), session.read():
        pause = open_pause(ledger)
        existing = captures_store.current(ledger, want.release)
        other = captures_store.latest(ledger, want.release, want.scope.schemas)
        here = captures_store.origin(session)
    with attempting("could not read the catalog", on=session.where):
        found = catalog_reader.settled(session, want.scope, pause.jobs if pause else ())
    if on_file and (on_file["release"], on_file["database"]) != (want.release, here.database):
        raise BadInput(
            f"refused to replace release_file {want.file}",
            said=f"it holds release {on_file['release']} of database {on_file['database']}",
            next_step="give another path",
        )
    if not ledger.present:
        existing = on_file
    previous = existing or other
    made = captures_document.document(found.entries.values(), _about(call, want, here, found))
    changes = None
    if previous:
        before = captures_document.entries_of(previous)
        changes = captures_document.compare(before, found.entries, same_database=here.is_that_of(previous))
    tables, data = _protected(session, want, existing, found.entries)
    return CaptureState(made, existing, previous, on_file, changes, tables, data)


def _about(call: Call, want: CaptureRequest, here: captures_store.Origin, found: Catalog) -> dict[str, t.Any]:
    """What a capture says of itself."""
    said = captures_store.about(
        name=want.release,
        capture_id=str(uuid.uuid4()),
        here=here,
        actor=call.controller.actor,
        incident=call.incident,
        scope=want.scope,
        beyond=found.beyond,
    )
    application = {"git_commit": want.commit, "application": want.application}
    return {**said, **application, "protect": list(want.protect), "protected": []}


def _protected(
    session: Session, want: CaptureRequest, existing: Document | None, entries: Mapping[str, Entry]
) -> tuple[tuple[Protected, ...], list[dict[str, t.Any]] | None]:
    """The tables whose data is meant, and its state where a recapture has to know whether it has changed."""
    if not want.protect:
        return (), None
    with attempting("could not read the data to protect", on=session.where), session.read():
        tables = tuple(table_data.chosen(session, want.protect, entries))
        table_data.refuse_too_many(session, tables, want.max_rows)
        compared = bool(want.recapture and existing and existing["protected"])
        return tables, [table_data.state(session, each) for each in tables] if compared else None


def plan(seen: CaptureState, want: CaptureRequest, where: str) -> Plan:
    """What is to be done; raises NotConverged rather than replace another capture, unless `recapture`. Pure."""
    why = _differences(seen, want)
    if seen.existing and why and not want.recapture:
        raise NotConverged(
            f"{want.release} is already captured and differs from what there is now",
            on=where,
            said="; ".join(why),
            next_step=(
                "capture it under another name; or, if the new state is what this release is to be, "
                "-e scout_recapture=true: the old capture is kept as superseded"
            ),
            result={**described(seen, want, seen.made)},
        )
    capture = seen.existing is None or bool(why)
    kept = seen.made if capture or seen.existing is None else seen.existing
    write = want.file is not None and (seen.on_file is None or seen.on_file["capture_id"] != kept["capture_id"])
    return Plan(capture, write)


def _differences(seen: CaptureState, want: CaptureRequest) -> list[str]:
    """In what the capture in force is another one than that which is wanted."""
    existing = seen.existing
    if existing is None:
        return []
    found: list[str] = []
    if existing["digest"] != seen.made["digest"]:
        found.append(seen.changes.first() if seen.changes else "other digest")
    if existing["protect"] != list(want.protect):
        found.append(f"data protected: {', '.join(existing['protect']) or 'none'}")
    if want.commit and existing["git_commit"] != want.commit:
        found.append(f"git_commit {(existing['git_commit'] or 'none')[:SHOWN]}, not {want.commit[:SHOWN]}")
    if seen.data is not None and _state(seen.data) != _state(existing["protected"]):
        found.append("the protected data has changed")
    return found


def _state(data: list[dict[str, t.Any]]) -> list[tuple[str, int, str]]:
    return sorted((each["relation"], each["rows"], each["digest"]) for each in data)


def apply(
    call: Call, ledger: Ledger, seen: CaptureState, want: CaptureRequest, todo: Plan, params: Mapping[str, t.Any]
) -> Row:
    """Stores the capture, then writes the file; what is stored stays where the file cannot be written."""
    kept = seen.made if todo.capture or seen.existing is None else seen.existing
    if not todo.capture:
        _write(want, seen, kept, todo)
        return {"document": kept, "run_id": None, "effects": {}}
    asked = {
        "release": want.release,
        "schemas": list(want.scope.schemas),
        "migrations_table": list(want.scope.histories),
        "protect": list(want.protect),
        "recapture": want.recapture,
    }
    with _recorded(ledger, asked, params) as run:
        if ledger.present:
            kept = captures_store.keep(run, kept, seen.existing, seen.tables, call.progress)
        _write(want, seen, kept, todo)
    return {
        "document": kept,
        "run_id": run.run_id if ledger.present else None,
        "effects": captures_store.effects(kept),
    }


@contextlib.contextmanager
def _recorded(ledger: Ledger, asked: dict[str, t.Any], params: Mapping[str, t.Any]) -> Generator[Run]:
    """The run in the ledger. It changes nothing of the pipeline, so it takes no lease; it joins one whose token is given."""
    if params["lease_token"] is not None:
        with runs.operation(ledger, "capture", asked, lease_token=params["lease_token"]) as run:
            yield run
        return
    run = runs.begin(ledger, "capture", asked)
    try:
        yield run
    except BaseException as e:
        if isinstance(e, RecoveryError) and run.effects:
            e.result = {"changed": True, "run_id": run.run_id, "effects": run.effects, **e.result}
        runs.end(run, e)
        raise
    runs.end(run, None)


def _write(want: CaptureRequest, seen: CaptureState, kept: Document, todo: Plan) -> None:
    """The file of this capture; another one of the release that stood there is kept beside it."""
    if want.file is None or not todo.write:
        return
    if seen.on_file:
        captures_document.keep_older(want.file, seen.on_file["capture_id"])
    captures_document.save(want.file, kept)


class Captured(t.TypedDict):
    """What a result says of a capture and of what differs."""

    operation: str
    release: str
    capture_id: str
    digest: str
    captured_at: str
    git_commit: str | None
    objects: int
    kinds: dict[str, int]
    compared: dict[str, t.Any] | None
    differs: dict[str, t.Any] | None
    differing: int
    protected: list[dict[str, t.Any]]
    release_file: str | None
    warnings: list[str]


def described(seen: CaptureState, want: CaptureRequest, kept: Document) -> Captured:
    """What a result says of a capture and of what differs."""
    compared = seen.previous and {
        name: seen.previous[name] for name in ("release", "capture_id", "captured_at", "digest")
    }
    return {
        "operation": "capture",
        "release": want.release,
        "capture_id": kept["capture_id"],
        "digest": kept["digest"],
        "captured_at": kept["captured_at"],
        "git_commit": kept["git_commit"],
        "objects": len(kept["entries"]),
        "kinds": captures_document.kinds(kept),
        "compared": compared,
        "differs": seen.changes.as_dict() if seen.changes else None,
        "differing": seen.changes.number if seen.changes else 0,
        "protected": kept["protected"],
        "release_file": str(want.file) if want.file else None,
        "warnings": warnings(kept, want),
    }


def warnings(kept: Document, want: CaptureRequest) -> list[str]:
    """What somebody who relies on the capture should know."""
    found = [*want.left_out]
    others = [entry["name"] for entry in kept["entries"] if entry["kind"] == "other"]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        found.append(f"recorded by name only, not by definition: {', '.join(others[:3])}{more}")
    servers = {entry["facts"]["foreign"]["server"] for entry in kept["entries"] if "foreign" in entry["facts"]}
    if servers:
        found.append(f"not captured: foreign server {', '.join(sorted(servers))}")
    secret = [entry["name"] for entry in kept["entries"] if job_commands.DIGEST in entry["facts"]]
    if secret:
        what = f"the secrets in the commands of {count(len(secret), 'job')} ({', '.join(secret[:3])})"
        found.append(f"not captured: {what}; a rollback leaves such a job as it is, or names what to set by hand")
    if changed := want.application.get("changed_files"):
        found.append(f"{count(changed, 'file')} in git_dir differ from commit {want.application['commit'][:SHOWN]}")
    return found


def summary(seen: CaptureState, want: CaptureRequest, todo: Plan, kept: Document, *, check: bool) -> str:
    """One line for a person."""
    what = f"{count(len(kept['entries']), 'object')}, digest {kept['digest'][:SHOWN]}"
    if todo.capture:
        text = f"{'would capture' if check else 'captured'} {want.release}: {what}"
        rows = sum(each["rows"] for each in kept["protected"])
        text += f", with {count(rows, 'row')} of data" if rows else ""
        if seen.previous and seen.changes:
            against = f"{'the capture before' if seen.existing else seen.previous['release']}"
            text += f"; against {against}: {seen.changes.counted() or 'nothing differs'}"
    else:
        text = f"{want.release} is already captured, and nothing differs: {what}"
    if todo.write:
        text += f"; {'would write' if check else 'wrote'} {want.file}"
    return text


def shown(seen: CaptureState, kept: Document) -> dict[str, Sequence[str] | dict[str, t.Any]]:
    """The diff: what the capture before has, and what this one has instead; definitions stay in the document."""
    if not seen.previous or not seen.changes:
        return {"before": {}, "after": {"digest": kept["digest"]}}
    changes = seen.changes
    return {
        "before": {
            "digest": seen.previous["digest"],
            "objects": [*changes.dropped, *(old for old, _ in changes.renamed), *changes.changed],
        },
        "after": {
            "digest": seen.made["digest"],
            "objects": [
                *changes.added,
                *(new for _, new in changes.renamed),
                *(f"{key} ({', '.join(parts)})" for key, parts in changes.changed.items()),
            ],
        },
    }
