# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that keeps a snapshot as evidence, from options to a result."""

from __future__ import annotations

import datetime
import re
import typing as t
from pathlib import Path

from ..core import place
from ..core.errors import BadInput, ConnectionFailed, ConnectionLost, DatabaseError, NotConverged
from ..core.redaction import cleaned
from ..core.results import ModuleResult
from ..core.text import count, in_words
from ..invoke import known_secrets
from ..pipeline import expected
from ..postgres.driver import psycopg
from ..postgres.failures import translate
from ..postgres.times import window_of
from . import collect, folder

if t.TYPE_CHECKING:
    from ..invoke import Call, Params

#: How long reading may take at least.
READING_SECONDS: t.Final = 1.0
STAMP: t.Final = "%Y%m%dT%H%M%S.%fZ"


class EvidenceResult(ModuleResult):
    """What scout_evidence returns."""

    folder: str | None
    files: list[folder.File]
    seconds: float
    warnings: list[str]


def snapshot(call: Call, params: Params) -> EvidenceResult:
    """Keeps a snapshot of the database in a folder of its own; in check mode only says what it would keep.

    Raises BadInput for options that cannot be used or a folder that cannot be written; a section that cannot be read is a warning.
    """
    wanted = _wanted(call, params)
    base = Path(params["folder"]).expanduser().absolute()
    try:
        return _keep(call, params, wanted, base)
    except OSError as e:
        failed = BadInput(
            f"could not write evidence to {base}",
            said=e.strerror or str(e),
            next_step="give a writable evidence_folder with enough space",
        )
        if params["required"]:
            raise failed from e
    except (NotConverged, ConnectionFailed, ConnectionLost, DatabaseError) as e:
        if params["required"]:
            raise
        failed = e
    return {
        "changed": False,
        "folder": None,
        "files": [],
        "seconds": 0.0,
        "summary": "kept no evidence",
        "warnings": [f"no evidence was kept: {failed}"],
    }


def _keep(call: Call, params: Params, wanted: collect.Wanted, base: Path) -> EvidenceResult:
    try:
        found = collect.collect(call.session, wanted)
    except psycopg.Error as e:
        raise translate(e, "could not collect evidence", on=call.session.where) from e
    warnings = [f"evidence without {name}: {why}" for name, why in found.problems.items()]
    result: EvidenceResult = {
        "changed": False,
        "folder": None,
        "files": [],
        "seconds": found.seconds,
        "summary": f"would keep {', '.join(found.sections)}",
        "warnings": warnings,
    }
    if call.check:
        return result
    now = datetime.datetime.now(datetime.UTC)
    documents = cleaned(found.sections, known_secrets(call, params))
    documents["about"] = _about(call, wanted, found, now)
    name = f"{call.incident}-{call.session.facts.database}-{now.strftime(STAMP)}"
    made, files = folder.write(base, re.sub(r"[^A-Za-z0-9._-]", "_", name), documents)
    if only := place.kept_only_here(made):
        warnings.append(f"{only}; SCOUT_EVIDENCE names a folder on a volume")
    summary = f"kept {count(len(files), 'file')} in {made} ({in_words(found.seconds)})"
    return {**result, "folder": str(made), "files": files, "summary": summary}


def _about(call: Call, wanted: collect.Wanted, found: collect.Collected, now: datetime.datetime) -> dict[str, t.Any]:
    """What the snapshot says of itself."""
    return {
        "incident": call.incident,
        "actor": call.controller.actor,
        "database": call.session.facts.database,
        "server": call.session.where,
        "taken_at": now.isoformat(timespec="milliseconds"),
        "seconds": found.seconds,
        "window": {"start": wanted.start.isoformat(), "end": wanted.end.isoformat()},
        "problems": found.problems,
    }


def _wanted(call: Call, params: Params) -> collect.Wanted:
    if not 0 <= params["sample_rows"] <= 10_000:
        raise BadInput(
            f"sample_rows {params['sample_rows']} is not usable", next_step="give sample_rows from 0 to 10000"
        )
    window = window_of(call.session, params, clock="ingested_at")
    end = window.end or call.session.row("SELECT clock_timestamp() AS now")["now"]
    with call.session.read():
        seconds = expected.look_seconds(call.session, params["budget_seconds"], READING_SECONDS)
    # What is wrong began before somebody saw it.
    since = end - datetime.timedelta(seconds=collect.HISTORY_SECONDS)
    return collect.Wanted(
        incident=call.incident,
        budget_seconds=seconds,
        start=window.start or since,
        end=end,
        sample_rows=params["sample_rows"],
        health=params["health"],
    )
