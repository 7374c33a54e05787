# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database looked like before anything was touched: sessions, locks, jobs and health, in about a second."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import json
import os
import re
import time
import typing as t
from pathlib import Path

from . import scheduler
from .budget import Budget
from .errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import Row, Session

SESSIONS = """
SELECT pid, usename::text AS role, application_name, backend_type, client_addr::text AS client, state, wait_event_type,
       wait_event, backend_start, xact_start, query_start, state_change, left(query, 1024) AS query,
       CASE WHEN wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(pid) END AS blocked_by
FROM pg_catalog.pg_stat_activity WHERE datname = current_database() ORDER BY xact_start NULLS LAST LIMIT 500
"""

LOCKS = """
SELECT l.pid, l.locktype, l.mode, l.granted, l.relation::regclass::text AS relation, l.classid::bigint AS classid,
       l.objid::bigint AS objid, l.objsubid, l.transactionid::text AS transactionid
FROM pg_catalog.pg_locks AS l
WHERE l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   OR l.locktype = 'transactionid'
ORDER BY l.pid LIMIT 2000
"""

SETTINGS = """
SELECT name, setting, unit, source FROM pg_catalog.pg_settings
WHERE source NOT IN ('default', 'client')
  AND name !~* 'password|passphrase|conninfo|secret|token|jwt|_key|key_|ssl_.*file|_command$'
ORDER BY name
"""

TABLES = """
SELECT relname::text AS name, n_live_tup, n_dead_tup, n_tup_ins, n_tup_upd, n_tup_del, last_autovacuum, last_autoanalyze
FROM pg_catalog.pg_stat_user_tables WHERE schemaname = 'scout' ORDER BY relname
"""

HISTORY_SECONDS: t.Final = 6 * 3600.0

SECTIONS: t.Final[dict[str, t.LiteralString]] = {
    "sessions": SESSIONS,
    "locks": LOCKS,
    "settings": SETTINGS,
    "tables": TABLES,
}

#: What stands behind such words in a statement, a job or a message is nobody's evidence.
SECRET = re.compile(
    r"""((?:password|passwd|pwd|secret|token|jwt|api_?key|authorization|bearer)["']?\s*(?:[:=]|=>|,|\s)\s*(?:bearer\s+)?)
    (''[^']+''|'(?:[^']|'')*'|"[^"]*"|[^\s'",;)&]+)""",
    re.IGNORECASE | re.VERBOSE,
)
URI_PASSWORD = re.compile(r"(\w://[^\s:/@]*:)[^\s/@]+(?=@)")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Rows by section; a section that could not be read holds its reason instead."""

    taken_at: str
    seconds: float
    sections: dict[str, list[dict[str, t.Any]]]
    problems: dict[str, str]


def read(session: Session, *, budget_seconds: float) -> Snapshot:
    """Every section that can be had within the budget, of one READ ONLY transaction; secrets in statements are masked."""
    began = time.monotonic()
    readers: dict[str, Callable[[Session], list[Row]]] = {
        name: functools.partial(_rows, query) for name, query in SECTIONS.items()
    }
    readers["jobs"] = lambda s: [job.as_dict() for job in scheduler.jobs(s)]
    readers["job_runs"] = lambda s: scheduler.history(s, scheduler.jobs(s), HISTORY_SECONDS)
    with session.read():
        budget = Budget(session, budget_seconds)
        found = {name: budget.read(name, rows) for name, rows in readers.items()}
    sections = {name: [_masked(row) for row in rows] for name, rows in found.items() if rows is not None}
    problems = {name: problem.said for name, problem in budget.problems.items()}
    taken_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    return Snapshot(taken_at, round(time.monotonic() - began, 3), sections, problems)


def _rows(query: t.LiteralString, session: Session) -> list[Row]:
    return session.rows(query)


def _masked(row: Row) -> Row:
    return {name: masked(value) if isinstance(value, str) else value for name, value in row.items()}


def masked(text: str) -> str:
    """A text without what looks like a password, a token or a key in it."""
    return URI_PASSWORD.sub(r"\1***", SECRET.sub(r"\1***", text))


def write(snapshot: Snapshot, folder: Path, about: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """Writes one JSON file a section and a manifest with their SHA-256, readable by the owner alone."""
    try:
        folder.mkdir(parents=True, exist_ok=False, mode=0o700)
        files: list[dict[str, t.Any]] = []
        for name, rows in snapshot.sections.items():
            text = json.dumps(rows, indent=1, default=str, ensure_ascii=False) + "\n"
            files.append(_write(folder / f"{name}.json", text) | {"rows": len(rows)})
        manifest = {
            "format": "scout-recovery-evidence/1",
            **about,
            "taken_at": snapshot.taken_at,
            "seconds": snapshot.seconds,
            "files": files,
            "problems": snapshot.problems,
        }
        _write(folder / "manifest.json", json.dumps(manifest, indent=1, default=str) + "\n")
    except OSError as e:
        raise BadInput(
            f"could not write evidence to {folder}",
            said=e.strerror or str(e),
            next_step="give a writable evidence_folder",
        ) from e
    return files


def _write(path: Path, text: str) -> dict[str, t.Any]:
    data = text.encode(errors="replace")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
