# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of moves share: a module that must work, or must refuse and change nothing; and what the pipeline holds then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import plain
from tests.integration.modules import DIGEST, TABLES, Result, call, rows


def ran(name: str, dsn: str, **options: Any) -> Result:
    """The result of a module that must not fail."""
    result = call(name, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


def refused(name: str, dsn: str, **options: Any) -> Result:
    """The result of a module that must fail and leave every table of the pipeline as it was."""
    before = scout_tables(dsn)
    result = call(name, dsn, **options)
    assert result.get("failed"), result
    assert scout_tables(dsn) == before
    return result


def ago(seconds: float) -> datetime:
    """That long before now; after now when negative."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def stamp(moment: datetime) -> str:
    """As an option says it."""
    return moment.isoformat()


def scout_tables(dsn: str) -> dict[str, Any]:
    """The pipeline's own tables with their number of rows and digest: without our ledger."""
    with plain(dsn) as connection:
        names = [row[0] for row in connection.execute(TABLES) if row[0].startswith("scout.")]
        return {name: connection.execute(DIGEST.format(name)).fetchone() for name in names}  # type: ignore[call-overload]


def dead_letters(dsn: str) -> list[tuple[Any, ...]]:
    """The dead letter queue without what differs from run to run, in an order that does not."""
    return rows(
        dsn,
        """
        SELECT original_payload, error_code, error_details - '{run_id,at}'::text[], source_system, resolved_at IS NULL
        FROM scout.bronze_events_dlq
        ORDER BY error_details -> 'event' ->> 'event_id', original_payload::text, error_code
        """,
    )
