#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: remembers what a Scout database holds, row by row and object by object, or proves that it is still the same.

With `refreshed`, gold may have been refreshed since, if it says the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from ansible.module_utils.basic import AnsibleModule
from psycopg import sql

SPEC = {
    "dsn": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["saved", "unchanged"], "required": True},
    "schemas": {"type": "list", "elements": "str"},
    "refreshed": {"type": "bool", "default": False},
}

RELATIONS = """
SELECT c.oid::regclass::text, c.relkind::text, c.relispopulated
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname LIKE 'scout%' AND c.relkind IN ('r', 'm', 'p', 'S')) OR c.oid = 'cron.job'::regclass
ORDER BY 1
"""

# Everything that DDL, GRANT or COMMENT would change, one text a database.
CATALOG = """
SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
    SELECT format('schema %s %s', nspname, nspacl) AS line FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
    UNION ALL SELECT format('relation %s %s %s %s', oid::regclass, relkind, relowner, relacl) FROM pg_class
        WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_') AND relkind NOT IN ('i', 't')
    UNION ALL SELECT format('index %s', pg_get_indexdef(indexrelid)) FROM pg_index
        WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'scout%')
    UNION ALL SELECT format('function %s %s', oid::regprocedure, md5(prosrc)) FROM pg_proc
        WHERE pronamespace::regnamespace::text LIKE 'scout%'
    UNION ALL SELECT format('role %s', rolname) FROM pg_roles
    UNION ALL SELECT format('setting %s %s', setdatabase, setconfig) FROM pg_db_role_setting
    UNION ALL SELECT format('comment %s %s', objoid, description) FROM pg_description WHERE objoid > 16384
) AS things
"""


REFRESHED = " refreshed"


def fingerprint(session: psycopg.Connection[Any]) -> dict[str, str]:
    """Return one digest for every table, filled view and sequence, and one for the catalog; for a view also its clocks."""
    seen = {"catalog": str(session.execute(CATALOG).fetchone()[0])}
    for name, kind, populated in session.execute(RELATIONS).fetchall():
        seen[name] = _rows(session, name, kind) if populated else "not populated"
        if kind == "m" and populated:
            seen[name + REFRESHED] = _clock(session, name)
    return seen


def _clock(session: psycopg.Connection[Any], name: str) -> str:
    relation = sql.SQL(name)  # pyright: ignore[reportArgumentType] -- a regclass, quoted by the server
    return str(session.execute(sql.SQL("SELECT max(created_at) FROM {}").format(relation)).fetchone())


def _rows(session: psycopg.Connection[Any], name: str, kind: str) -> str:
    relation = sql.SQL(name)  # pyright: ignore[reportArgumentType] -- a regclass, quoted by the server
    if kind == "S":
        return str(session.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(relation)).fetchone())
    row = sql.SQL("(to_jsonb(t) - '{created_at,updated_at}'::text[])" if kind == "m" else "t")
    rows = sql.SQL("SELECT count(*), md5(string_agg(md5({0}::text), '' ORDER BY md5({0}::text))) FROM {1} AS t")
    count, digest = session.execute(rows.format(row, relation)).fetchone()
    return f"{count} rows {digest}"


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    store = Path(module.params["path"])
    with psycopg.connect(module.params["dsn"], options="-c TimeZone=UTC") as session:
        session.read_only = True
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        now = fingerprint(session)
    if module.params["state"] == "saved":
        store.write_text(json.dumps(now, indent=1))
        module.exit_json(changed=True, objects=len(now))
    before = json.loads(store.read_text())
    schemas, refreshed = module.params["schemas"], module.params["refreshed"]
    differing = {
        name: f"{before.get(name, 'absent')} -> {now.get(name, 'absent')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
        and (schemas is None or name.partition(".")[0] in schemas)
        and not (refreshed and name.endswith(REFRESHED))
    }
    if differing:
        module.fail_json(msg=f"{len(differing)} objects changed", differing=differing)
    module.exit_json(changed=False, objects=len(now))


if __name__ == "__main__":
    main()
