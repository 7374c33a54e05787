#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: the database becomes a fresh, healthy reference Scout.

Beside it are pgTAP, the tables that `fault` and `sales` note events in, and scout_operator, a role with the privileges that
the preflight asks for and no more.
"""

from __future__ import annotations

import psycopg
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.scout.testing.plugins.module_utils.checkout import part

reference = part("builder")

SPEC = {
    "dsn": {"type": "str", "required": True},
    "variant": {"type": "str", "choices": list(reference.VARIANTS), "default": "faithful"},
    "host": {"type": "str", "choices": ["", *reference.HOSTS], "default": ""},
    "events": {"type": "int", "default": 2000},
    "pending": {"type": "int", "default": 0},
    "seed": {"type": "int", "default": 1},
}

TAP = """
CREATE SCHEMA tap;
CREATE EXTENSION pgtap SCHEMA tap;
CREATE TABLE tap.known (event_id uuid PRIMARY KEY);
CREATE TABLE tap.poison (event_id uuid PRIMARY KEY, kind text NOT NULL);
CREATE TABLE tap.marked (event_id uuid PRIMARY KEY, mark text NOT NULL, transaction_id text);
"""

OPERATOR = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scout_operator') THEN
        CREATE ROLE scout_operator LOGIN;
    END IF;
    GRANT loader, pg_read_all_stats, pg_read_all_settings, pg_signal_backend TO scout_operator;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO scout_operator', current_database());
END
$$
"""


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    dsn = module.params.pop("dsn")
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("DROP EXTENSION IF EXISTS pg_cron CASCADE")
        session.execute("DROP SCHEMA IF EXISTS scout, scout_ops, tap CASCADE")
        reference.build(dsn, **module.params)
        session.execute(TAP)
        session.execute(OPERATOR)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
