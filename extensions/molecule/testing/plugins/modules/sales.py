#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: groups of sales, or of corrections of them, are in bronze and noted in tap.marked; loaded, with gold anew, or waiting.

A group arrives evenly over the seconds from `start`, the first exactly then; without `start` all of them just now.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.scout.testing.plugins.module_utils.checkout import part

generator = part("events.generator")

GROUP = {
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

SPEC = {
    "dsn": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "dict", "options": GROUP, "required": True},
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


def payloads(session: psycopg.Connection[Any], group: dict[str, Any], start: datetime) -> list[dict[str, Any]]:
    """As many payloads as asked for, with the fields that were given."""
    if group["corrects"]:
        found = [row[0] for row in session.execute(CORRECTED, [group["corrects"], group["count"]])]
    else:
        seed = random.SystemRandom().randrange(10**6, 10**9)
        found = [generator.transaction(seed, number, sold_at=start) for number in range(group["count"])]
    if len(found) < group["count"]:
        raise LookupError(f"only {len(found)} sales are marked {group['corrects']!r}")
    return [payload | group["fields"] for payload in found]


def insert(session: psycopg.Connection[Any], group: dict[str, Any]) -> None:
    """Insert and note each event, and load it if wanted."""
    start = datetime.fromisoformat(group["start"]) if group["start"] else datetime.now(UTC)
    step = timedelta(seconds=group["seconds"] / group["count"])
    kind, source = group["event_type"], group["source_system"]
    for number, payload in enumerate(payloads(session, group, start)):
        moment = start + number * step
        event = generator.insert(session, payload, event_type=kind, ingested_at=moment, source_system=source)
        noted = {"event": event, "mark": group["mark"], "transaction": payload["transaction_id"]}
        session.execute(NOTE, noted)
    if group["loaded"]:
        session.execute(LOAD)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    groups = module.params["groups"]
    with psycopg.connect(module.params["dsn"]) as session:
        try:
            for group in groups:
                insert(session, group)
        except (LookupError, ValueError, psycopg.Error) as problem:
            module.fail_json(msg=str(problem))
        session.commit()
        if any(group["loaded"] for group in groups) and session.execute(REFRESH).fetchall():
            module.fail_json(msg="gold could not be refreshed")
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
