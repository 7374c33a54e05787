# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump and pg_restore: which of them fit the server, how they connect without a secret among their arguments, and
their errors."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import typing as t
from pathlib import Path

from ..core import subprocesses
from ..core.errors import BadInput, NotConverged
from ..core.text import in_words
from .session import application_name

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..core.errors import RecoveryError
    from ..core.progress import Progress
    from .session import Session

PROGRAM_SECONDS: t.Final = 600.0
VERSION_SECONDS: t.Final = 20.0
#: Where the packages of Debian and of PGDG put the programs of each version; /usr/bin may have what chooses among them.
PLACES: t.Final = ("/usr/lib/postgresql/*/bin/pg_dump", "/usr/pgsql-*/bin/pg_dump")
CHOOSER: t.Final = "pg_wrapper"
VERSION: t.Final = re.compile(r"\) (\d+)(?:\.(\d+))?")
#: The minor releases in which what a name in the database says is no longer taken for a command of psql or SQL by whoever restores
#: the dump (CVE-2025-8714, CVE-2025-8715); later major versions have it from the start.
FIXED: t.Final = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}

#: Entries of an archive: event triggers would act on what is done to the copy, and pg_cron is of one database alone.
EVENT_TRIGGER: t.Final = re.compile(rb"\A\d+; \d+ \d+ (?:EVENT TRIGGER|[A-Z ]+ - EVENT TRIGGER) ")
SCHEDULER: t.Final = re.compile(
    rb"\A\d+; \d+ \d+ (?:EXTENSION - pg_cron|[A-Z ]+ - EXTENSION pg_cron|SCHEMA - cron|[A-Z ]+ - SCHEMA cron|[A-Z ]+ cron) "
)
#: Every database has it, and pg_dump would make it where it is told to copy it.
PUBLIC: t.Final = re.compile(rb"\A\d+; \d+ \d+ (?:SCHEMA - public|COMMENT - SCHEMA public) ")
COMPLAINT: t.Final = re.compile(
    r"^\S+: error: (?P<said>[^\n]+)(?:(?:\n(?!pg_restore: |\S{1,100}: error: )[^\n]*)*?\nCommand was: (?P<command>[^\n]+))?",
    re.MULTILINE,
)
#: A newer pg_restore sets what an older server does not know, and goes on.
UNKNOWN_SETTING: t.Final = "unrecognized configuration parameter"
#: Programs get the address of this very session, and the rest of these is their own affair.
OWN: t.Final = (
    "service", "servicefile", "dbname", "user", "host", "hostaddr", "port", "password", "application_name",
    "fallback_application_name", "client_encoding", "replication", "target_session_attrs", "load_balance_hosts",
)  # fmt: skip
SERVICE: t.Final = "rehearsal"


class UnableError(Exception):
    """No copy can be made here; that says nothing about what it was for."""

    def __init__(self, reason: str, next_step: str = "", kind: type[RecoveryError] = NotConverged) -> None:
        super().__init__(reason)
        self.reason = reason
        self.next_step = next_step
        #: What it is where it had to be possible.
        self.kind = kind


class RefusedError(UnableError):
    """Not everything can be copied here: PostgreSQL or one of its programs reports an error."""


@dataclasses.dataclass(frozen=True)
class Tools:
    """pg_dump and its pg_restore, and a folder of our own for what they write."""

    dump: str
    restore: str
    folder: Path
    #: What is to be said of their version.
    warning: str = ""


def tools(session: Session, given: str | None, folder: Path) -> Tools:
    """pg_dump of the server's major version or later, with the pg_restore next to it. Raises UnableError where there
    is none."""
    needed, found = session.facts.server_version // 10000, list[str]()
    fix = f"install the client programs of PostgreSQL {needed}, or name its pg_dump: -e scout_pg_dump=PATH"
    kind: type[RecoveryError] = BadInput if given else NotConverged
    for dump in [Path(shutil.which(given) or given).expanduser().absolute()] if given else _candidates():
        major, minor = version(dump, folder)
        beside = [each.with_name("pg_restore") for each in (dump, dump.resolve())]
        restore = next((each for each in beside if os.access(each, os.X_OK)), None)
        if major >= needed and restore:
            return Tools(str(dump), str(restore), folder, outdated(dump, major, minor))
        if major:
            lacks = ", with no pg_restore next to it" if major >= needed else ""
            found.append(f"{dump} is of {major}{lacks}")
    if given and not found:
        raise UnableError(f"pg_dump {given} is not a pg_dump that can be run", fix, kind)
    said = "; ".join(found) or "there is none"
    raise UnableError(f"pg_dump for PostgreSQL {needed} or later is needed: {said}", fix, kind)


def _candidates() -> Iterator[Path]:
    """Those on the path, then those of the packages, the newest first."""
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        first = shutil.which("pg_dump", path=folder)
        if first and Path(first).resolve().name != CHOOSER:
            yield Path(first).absolute()
    for place in PLACES:
        found = Path("/").glob(place.removeprefix("/"))
        yield from sorted(found, key=lambda path: list(map(int, re.findall(r"\d+", str(path)))), reverse=True)


def outdated(program: Path, major: int, minor: int) -> str:
    """What is to be said of a pg_dump that lets names in the database run commands where its dump is restored; pure."""
    fixed = FIXED.get(major, 0 if major > max(FIXED) else None)
    if fixed is not None and minor >= fixed:
        return ""
    newer = f"install {major}.{fixed} or later" if fixed else f"install that of PostgreSQL {max(FIXED)} or later"
    return (
        f"{program} is of {major}.{minor}, in which whoever may name an object of the database can have commands run where it is "
        f"restored (CVE-2025-8714, CVE-2025-8715): {newer}"
    )


def version(program: Path, folder: Path) -> tuple[int, int]:
    """Its major and minor version, of a beta or a release candidate 0; (0, 0) where it does not say one."""
    try:
        done = subprocesses.run(
            [str(program), "--version"], cwd=folder, environment=_environment(), seconds=VERSION_SECONDS
        )
    except (OSError, ValueError):
        return 0, 0
    said = VERSION.search(subprocesses.text(done.out))
    return (int(said[1]), int(said[2] or 0)) if said and done.code == 0 else (0, 0)


def _environment() -> dict[str, str]:
    """Our environment without libpq's variables and our own, in a language that we can read."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "SCOUT_"))} | {
        "LC_ALL": "C"
    }


def address(session: Session) -> dict[str, str]:
    """Where this very session is connected, whichever of several servers that is, and as whom; with the password."""
    to = session.connection.pgconn
    # Not by the connection's info, which reads them in the encoding of the database.
    parts = {"host": to.host, "hostaddr": to.hostaddr, "port": to.port, "user": to.user, "dbname": to.db}
    return {keyword: os.fsdecode(value) for keyword, value in {**parts, "password": to.password}.items()}


def environment(session: Session, folder: Path) -> dict[str, str]:
    """How a program reaches the server of this session, as this session does; what has no variable stands in a file."""
    found, others = (
        {**address(session), "application_name": application_name(session.settings.incident, "rehearse")},
        list[str](),
    )
    named = {"PGUSER": "user"} | {f"PG{each.upper()}": each for each in ("host", "hostaddr", "port", "password")}
    named |= {"PGDATABASE": "dbname", "PGAPPNAME": "application_name"}
    values = {variable: found[keyword] for variable, keyword in named.items()}
    for option in session.connection.pgconn.info:
        keyword = option.keyword.decode()
        if not option.val or keyword in OWN:
            continue
        if option.envvar:
            values[option.envvar.decode()] = os.fsdecode(option.val)
        else:
            others.append(f"{keyword}={os.fsdecode(option.val)}\n")
    if others:
        file = folder / "service.conf"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as services:
            services.write(os.fsencode(f"[{SERVICE}]\n{''.join(others)}"))
        values |= {"PGSERVICE": SERVICE, "PGSERVICEFILE": str(file)}
    return _environment() | {name: value for name, value in values.items() if value}


def run(argv: Sequence[str], by: Tools, reach: Mapping[str, str], progress: Progress) -> bytes:
    """What a program writes. Raises RefusedError where it reports an error, UnableError where it takes too long."""
    program, secret = Path(argv[0]).name, reach.get("PGPASSWORD")
    done = subprocesses.run(
        argv, cwd=by.folder, environment=reach, seconds=PROGRAM_SECONDS, checkpoint=progress.checkpoint
    )
    if done.code == 0:
        return done.out
    if done.code is None:
        raise UnableError(f"{program} took longer than {in_words(PROGRAM_SECONDS)}")
    text = subprocesses.text(done.err)
    said = complaints(text.replace(secret, "***") if secret else text)
    if not said and UNKNOWN_SETTING in text:
        return done.out
    raise RefusedError(f"{program}: {said[0] if said else f'it exited with {done.code}'}")


def chosen(listed: bytes, *, with_scheduler: bool, with_public: bool = True) -> bytes:
    """The entries of an archive, as pg_restore lists them, that can be made in a second database."""
    out = [EVENT_TRIGGER, *(() if with_scheduler else (SCHEDULER,)), *(() if with_public else (PUBLIC,))]
    return b"\n".join(line for line in listed.split(b"\n") if not any(each.match(line) for each in out))


def complaints(text: str) -> list[str]:
    """The errors in what a program wrote, each with the beginning of the statement it is about."""
    found = [
        (each["said"], each["command"]) for each in COMPLAINT.finditer(text) if UNKNOWN_SETTING not in each["said"]
    ]
    return [f"{said} ({command[:200]})" if command else said for said, command in found]
