# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: the name of an object has a line break in it, and an old pg_dump hands the second line to whoever restores the dump."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import program
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump
from tests.integration.modules import call, connect


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ("12.22", False), ("13.21", False), ("13.22", True), ("14.18", False), ("14.19", True), ("15.13", False),
        ("15.14", True), ("16.9", False), ("16.10", True), ("17.5", False), ("17.6", True), ("17.10", True), ("18.0", True),
    ],
)  # fmt: skip
def test_a_pg_dump_without_the_fixes_is_told_of_with_its_version(version: str, safe: bool) -> None:
    major, minor = map(int, version.split("."))
    said = pg_dump.outdated(Path("/usr/bin/pg_dump"), major, minor)
    assert (said == "") == safe
    assert safe or (f"is of {version}" in said and "CVE-2025-8714" in said and "install" in said)


@pytest.mark.parametrize(
    ("said", "version"),
    [("17.6 (Debian 17.6-1)", (17, 6)), ("18beta2", (18, 0)), ("16.10", (16, 10)), ("nonsense", (0, 0))],
)
def test_the_version_is_what_the_program_says(said: str, version: tuple[int, int], tmp_path: Path) -> None:
    program = tmp_path / "pg_dump"
    program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {said}'\n")
    program.chmod(0o755)
    assert pg_dump.version(program, tmp_path) == version


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A pg_dump that works, and says that it is of the first release of its version."""
    real = program("pg_dump")
    major, _ = pg_dump.version(Path(real), tmp_path)
    assert major <= max(pg_dump.FIXED), "no release of it lacks the fixes"
    made = tmp_path / "old" / "pg_dump"
    made.parent.mkdir()
    made.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec echo "pg_dump (PostgreSQL) {major}.0"\nexec {shlex.quote(real)} "$@"\n'
    )
    made.chmod(0o755)
    made.with_name("pg_restore").symlink_to(Path(real).with_name("pg_restore"))
    return str(made)


@pytest.mark.parametrize("check", [True, False])
def test_the_warning_is_one_of_the_result(check: bool, scout_db: str, old: str) -> None:
    assert not call("scout_capture", scout_db, release="v1").get("failed")
    with connect(scout_db) as session:
        session.execute("CREATE VIEW scout.later AS SELECT 1 AS one")
    result = call("scout_rollback", scout_db, release="v1", rehearse=True, pg_dump=old, check=check, look=check)
    assert result["rehearsal"]["done"], result
    assert [text for text in result["warnings"] if "CVE-2025-8714" in text and old in text], result["warnings"]
