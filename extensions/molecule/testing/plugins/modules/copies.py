#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: schema tap holds a copy of each table that a move may touch, so that facts can compare row by row."""

from __future__ import annotations

import psycopg
from ansible.module_utils.basic import AnsibleModule
from psycopg import sql

SPEC = {"dsn": {"type": "str", "required": True}}

TABLES = ("bronze_events", "bronze_events_dlq", "etl_processed", "silver_transactions", "silver_line_items")


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    with psycopg.connect(module.params["dsn"]) as session:
        for table in TABLES:
            name = sql.Identifier(table)
            session.execute(sql.SQL("DROP TABLE IF EXISTS tap.{}").format(name))
            session.execute(sql.SQL("CREATE TABLE tap.{0} AS SELECT * FROM scout.{0}").format(name))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
