# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a database is as it was, by pgdelta (Supabase's own, @supabase/pg-delta, is an empty package): it reads the catalog in its
own way, and says in SQL what has changed of tables, columns, constraints, indexes, sequences, policies, functions, triggers, types and
views. It knows nothing of grants, comments and settings, nor of the place of a column. What it needs stands in a folder of its own.
"""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.debian import CACHE

PACKAGE = "pgdelta==0.1.0"
#: It asks for no older one.
PYTHON = (3, 13)
JUDGE = """
import pickle, sys
import psycopg2
from pgdelta import generate_sql
from pgdelta.catalog import extract_catalog
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

dsn, before = sys.argv[1], sys.stdin.buffer.read()
with Session(create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn))) as session:
    found = extract_catalog(session)
if before:
    sys.stdout.write("\\n".join(generate_sql(change) for change in found.diff(pickle.loads(before))))
else:
    sys.stdout.buffer.write(pickle.dumps(found))
"""


def seen(dsn: str) -> bytes:
    """What it sees of a database, to be compared with."""
    return _run(dsn, b"")


def disagrees(dsn: str, before: bytes) -> str:
    """By what statements the database would be again what was seen; an empty text where it is."""
    return _run(dsn, before).decode()


def _run(dsn: str, given: bytes) -> bytes:
    done = subprocess.run([_python(), "-c", JUDGE, dsn], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@functools.cache
def _python() -> str:
    """The interpreter that has it; skips where it cannot be had."""
    home = CACHE / PACKAGE
    CACHE.mkdir(parents=True, exist_ok=True)
    if sys.version_info < PYTHON:
        pytest.skip(f"{PACKAGE} needs Python {'.'.join(map(str, PYTHON))}")
    with (CACHE / f".{PACKAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "ready").exists():
            _install(home)
    return str(home / "bin" / "python")


def _install(home: Path) -> None:
    venv.create(home, clear=True, with_pip=True)
    words = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    if done.returncode:
        pytest.skip(f"{PACKAGE} cannot be had: {done.stderr.strip().splitlines()[-1]}")
    (home / "ready").touch()
