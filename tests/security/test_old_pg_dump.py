# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: the name of an object has a line break in it, and an old pg_dump hands the second line to whoever restores the dump."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump


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
