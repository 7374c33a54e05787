#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: sales, or corrections of earlier ones, are in bronze and noted in tap.marked; loaded, with gold anew, or waiting.

They arrive evenly over the seconds from `start`, the first exactly then; without `start` all of them just now.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from ansible.module_utils.basic import AnsibleModule

from tests.scout import generator

SPEC = {
    "dsn": {"type": "str", "required": True},
    "mark": {"type": "str", "required": True},
    "corrects": {"type": "str"},
    "count": {"type": "int", "default": 1},
    "event_type": {"type": "str", "default": generator.TRANSACTION},
    "source_system": {"type": "str", "default": "edge"},
    "start": {"type": "str"},
    "seconds": {"type": "float", "default": 0},
    "fields": {"type": "dict", "default": {}},
    "loaded": {"type": "bool", "default": False},
}

CORRECTED = """
SELECT event_data FROM scout.bronze_events JOIN tap.marked USING (event_id) WHERE mark = %s ORDER BY ingested_at LIMIT %s
"""
NOTE = """
WITH known AS (INSERT INTO tap.known VALUES (%(event)s))
INSERT INTO tap.marked VALUES (%(event)s, %(mark)s, %(transaction)s)
"""
LOAD = "SELECT FROM scout.load_silver_from_bronze(NULL)"
REFRESH = "SELECT FROM scout.refresh_gold_platinum() WHERE status <> 'SUCCESS'"


def payloads(session: psycopg.Connection[Any], given: dict[str, Any], start: datetime) -> list[dict[str, Any]]:
    """As many payloads as asked for, with the fields that were given."""
    if given["corrects"]:
        rows = session.execute(CORRECTED, [given["corrects"], given["count"]]).fetchall()
        found = [row[0] for row in rows]
    else:
        seed = random.SystemRandom().randrange(10**6, 10**9)
        found = [generator.transaction(seed, number, sold_at=start) for number in range(given["count"])]
    if len(found) < given["count"]:
        raise LookupError(f"only {len(found)} sales are marked {given['corrects']!r}")
    return [payload | given["fields"] for payload in found]


def insert(session: psycopg.Connection[Any], given: dict[str, Any]) -> None:
    """Insert and note each event."""
    start = datetime.fromisoformat(given["start"]) if given["start"] else datetime.now(UTC)
    step = timedelta(seconds=given["seconds"] / given["count"])
    for number, payload in enumerate(payloads(session, given, start)):
        moment = start + number * step
        kind, source = given["event_type"], given["source_system"]
        event = generator.insert(session, payload, event_type=kind, ingested_at=moment, source_system=source)
        transaction = payload["transaction_id"]
        session.execute(NOTE, {"event": event, "mark": given["mark"], "transaction": transaction})


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    given = module.params
    with psycopg.connect(given["dsn"], autocommit=True) as session:
        try:
            with session.transaction():
                insert(session, given)
            if given["loaded"]:
                session.execute(LOAD)
                if session.execute(REFRESH).fetchall():
                    module.fail_json(msg="gold could not be refreshed")
        except (LookupError, ValueError, psycopg.Error) as problem:
            module.fail_json(msg=f"{given['mark']}: {problem}")
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
