#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: the database becomes a fresh, healthy reference Scout; beside it pgTAP and the tables that `fault` notes events in."""

from __future__ import annotations

import psycopg
from ansible.module_utils.basic import AnsibleModule

from tests.scout import reference

SPEC = {
    "dsn": {"type": "str", "required": True},
    "variant": {"type": "str", "choices": list(reference.VARIANTS), "default": "faithful"},
    "events": {"type": "int", "default": 2000},
    "pending": {"type": "int", "default": 0},
    "seed": {"type": "int", "default": 1},
}

TAP = """
CREATE SCHEMA tap;
CREATE EXTENSION pgtap SCHEMA tap;
CREATE TABLE tap.known (event_id uuid PRIMARY KEY);
CREATE TABLE tap.poison (event_id uuid PRIMARY KEY, kind text NOT NULL);
"""


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    dsn = module.params.pop("dsn")
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("DROP EXTENSION IF EXISTS pg_cron CASCADE")
        session.execute("DROP SCHEMA IF EXISTS scout, scout_ops, tap CASCADE")
        reference.build(dsn, **module.params)
        session.execute(TAP)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
