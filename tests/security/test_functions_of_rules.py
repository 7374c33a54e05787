# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a function that a rule of quality, or a check of the gate, calls is somebody else's, is declared IMMUTABLE, and acts with
the operator's rights."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

FUNCTION = """
CREATE ROLE {role};
CREATE FUNCTION public.is_odd(text) RETURNS bool {volatility} LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER ROLE {role} SUPERUSER';
    RETURN false;
END $$;
ALTER FUNCTION public.is_odd(text) OWNER TO {role}
"""


@pytest.mark.parametrize(
    ("volatility", "called"),
    [
        ("IMMUTABLE", "public.is_odd(t.transaction_id)"),
        ("STABLE", "public . is_odd (t.transaction_id)"),
        ("VOLATILE", "public.is_odd(t.transaction_id)"),
    ],
)
def test_the_function_of_somebody_else_is_not_called(
    called: str, volatility: str, scout_db: str, tmp_path: Path
) -> None:
    pipeline, role = Pipeline(scout_db), f"evil_{scout_db.rpartition('_')[2]}"
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute(FUNCTION.format(role=role, volatility=volatility).encode())
    rule = {"name": "odd", "table": "silver_transactions", "predicate": called, "action": "quarantine"}
    try:
        played = Stage(tmp_path).play("quality_cleanup", scout_db, "--check", quality_cleanup_rules=[rule])
        assert played.rc == 2, played.text
        assert role in played.summary or "is volatile" in played.summary
        assert not pipeline.one(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{role}'")
    finally:
        pipeline.execute("DROP FUNCTION public.is_odd(text)", f"DROP ROLE {role}")
