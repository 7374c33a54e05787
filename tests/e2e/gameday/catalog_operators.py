# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators on the catalog: what a person with rights and no care does to a schema, whatever the schema is.

Each chooses among what there is, in the order of names, by `pick`, and says the statement it ran. What PostgreSQL refuses did
not happen.
"""

from __future__ import annotations

import re
import typing as t

import psycopg
from psycopg import sql

if t.TYPE_CHECKING:
    from collections.abc import Callable

Connection = psycopg.Connection[t.Any]
Statement = sql.Composed

#: Somebody who owns things that are not his, and a right that nobody misses.
STRANGER: t.Final = "gameday_stranger"
MAKE_STRANGER: t.Final = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'gameday_stranger') THEN
        CREATE ROLE gameday_stranger NOLOGIN;
    END IF;
END $$
"""

SCHEMA: t.Final = "scout"

#: Names of what there is, by kind. Where events are is left as it is: without it nobody could say whether one is lost.
RELATIONS: t.Final = """
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'scout'::regnamespace AND c.relkind = ANY (%s)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = c.oid)
ORDER BY c.relname
"""
TABLES: t.Final = """
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'scout'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('bronze_events', 'bronze_events_dlq')
ORDER BY c.relname
"""
COLUMNS: t.Final = """
SELECT c.relname, a.attname FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'scout'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relname <> 'bronze_events' AND c.relname <> 'bronze_events_dlq'
ORDER BY 1, 2
"""
CONSTRAINTS: t.Final = """
SELECT c.relname, k.conname FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
WHERE c.relnamespace = 'scout'::regnamespace ORDER BY 1, 2
"""
ROUTINES: t.Final = """
SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = 'scout'::regnamespace AND p.prokind = 'f' ORDER BY 1
"""
JOBS: t.Final = "SELECT jobname FROM cron.job WHERE jobname IS NOT NULL ORDER BY jobname"
GRANTEES: t.Final = """
SELECT r.rolname FROM pg_catalog.pg_roles AS r WHERE r.rolname IN ('loader', 'edge_ingest', 'dashboard_reader') ORDER BY 1
"""
DEFINITION: t.Final = """
SELECT pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc AS p WHERE p.oid = %s::regprocedure
"""
#: Small changes of a body, each as somebody in a hurry makes one.
MUTATIONS: t.Final = (
    (re.compile(r"\bNOT EXISTS\b"), "EXISTS"),
    (re.compile(r"\bINNER JOIN\b|(?<!LEFT )\bJOIN\b"), "LEFT JOIN"),
    (re.compile(r"(?<![<>!=])=(?![=>])"), "<>"),
    (re.compile(r"(?<![<>-])>(?!=)"), "<"),
    (re.compile(r"\bAND\b"), "OR"),
    (re.compile(r"\btrue\b", re.IGNORECASE), "false"),
    (re.compile(r"(?<![\w.$'])[1-9]\d*(?![\w.])"), "0"),
    (re.compile(r"\bcoalesce\("), "nullif("),
    (re.compile(r"\bsum\("), "max("),
)
#: What a person sets for a whole database, or a role, and forgets.
SETTINGS: t.Final = (
    ("statement_timeout", "20ms"),
    ("lock_timeout", "1ms"),
    ("idle_in_transaction_session_timeout", "100ms"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_isolation", "serializable"),
    ("search_path", "pg_temp"),
    ("timezone", "Pacific/Auckland"),
    ("datestyle", "SQL, DMY"),
    ("bytea_output", "escape"),
    ("work_mem", "64kB"),
    ("temp_file_limit", "0"),
    ("session_replication_role", "replica"),
    ("check_function_bodies", "off"),
    ("row_security", "off"),
    ("max_parallel_workers_per_gather", "0"),
)


class Nothing(LookupError):
    """There is nothing of that kind to choose from."""


def _choose(connection: Connection, query: str, pick: int, *parameters: object) -> tuple[str, ...]:
    found = connection.execute(query.encode(), parameters or None).fetchall()
    if not found:
        raise Nothing("there is nothing of that kind")
    return t.cast("tuple[str, ...]", found[pick % len(found)])


def _relation(name: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, name)


def _routine(signature: str) -> sql.SQL:
    """A signature that PostgreSQL printed."""
    return sql.SQL(t.cast("t.LiteralString", signature))


def drop_object(connection: Connection, kind: str, pick: int) -> Statement:
    """Something is dropped, and all that hangs on it."""
    match kind:
        case "index" | "view" | "materialized view":
            relkind = {"index": "i", "view": "v", "materialized view": "m"}[kind]
            words = {"index": "INDEX", "view": "VIEW", "materialized view": "MATERIALIZED VIEW"}[kind]
            (name,) = _choose(connection, RELATIONS, pick, [relkind])
            return sql.SQL("DROP {} {} CASCADE").format(sql.SQL(t.cast("t.LiteralString", words)), _relation(name))
        case "function":
            (name,) = _choose(connection, ROUTINES, pick)
            return sql.SQL("DROP FUNCTION {} CASCADE").format(_routine(name))
        case "constraint":
            table, name = _choose(connection, CONSTRAINTS, pick)
            return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {} CASCADE").format(_relation(table), sql.Identifier(name))
        case "job":
            (name,) = _choose(connection, JOBS, pick)
            return sql.SQL("DELETE FROM cron.job WHERE jobname = {}").format(sql.Literal(name))
        case _:
            table, name = _choose(connection, COLUMNS, pick)
            return sql.SQL("ALTER TABLE {} DROP COLUMN {} CASCADE").format(_relation(table), sql.Identifier(name))


def rename_object(connection: Connection, kind: str, pick: int) -> Statement:
    """Something has another name now."""
    if kind == "column":
        table, name = _choose(connection, COLUMNS, pick)
        return sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}").format(
            _relation(table), sql.Identifier(name), sql.Identifier(f"{name}_renamed")
        )
    if kind == "function":
        (name,) = _choose(connection, ROUTINES, pick)
        bare = name.partition("(")[0].rpartition(".")[2]
        return sql.SQL("ALTER FUNCTION {} RENAME TO {}").format(_routine(name), sql.Identifier(f"{bare}_renamed"))
    if kind == "index":
        (name,), words = _choose(connection, RELATIONS, pick, ["i"]), sql.SQL("INDEX")
    else:
        (name,), words = _choose(connection, TABLES, pick), sql.SQL("TABLE")
    return sql.SQL("ALTER {} {} RENAME TO {}").format(words, _relation(name), sql.Identifier(f"{name}_renamed"))


def revoke_right(connection: Connection, kind: str, pick: int) -> Statement:
    """Whoever loads, reads or looks up may not any more."""
    (role,) = _choose(connection, GRANTEES, pick)
    if kind == "schema":
        return sql.SQL("REVOKE ALL ON SCHEMA scout FROM {}").format(sql.Identifier(role))
    if kind == "function":
        (name,) = _choose(connection, ROUTINES, pick)
        return sql.SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC, {}").format(_routine(name), sql.Identifier(role))
    (name,) = _choose(connection, RELATIONS, pick, ["r", "m", "v"])
    return sql.SQL("REVOKE ALL ON {} FROM {}").format(_relation(name), sql.Identifier(role))


def change_owner(connection: Connection, kind: str, pick: int) -> Statement:
    """Something belongs to a stranger now."""
    if kind == "function":
        (name,) = _choose(connection, ROUTINES, pick)
        return sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(_routine(name), sql.Identifier(STRANGER))
    (name,) = _choose(connection, RELATIONS, pick, ["m"] if kind == "materialized view" else ["r"])
    words = sql.SQL("MATERIALIZED VIEW") if kind == "materialized view" else sql.SQL("TABLE")
    return sql.SQL("ALTER {} {} OWNER TO {}").format(words, _relation(name), sql.Identifier(STRANGER))


def alter_setting(connection: Connection, of: str, pick: int) -> Statement:
    """A database or the loading role has a setting that somebody tried out."""
    name, value = SETTINGS[pick % len(SETTINGS)]
    database = sql.Identifier(connection.info.dbname)
    whom = sql.SQL("DATABASE {}").format(database)
    if of == "role":
        whom = sql.SQL("ROLE {} IN DATABASE {}").format(
            sql.Identifier(_choose(connection, GRANTEES, pick // len(SETTINGS))[0]), database
        )
    setting = sql.SQL(t.cast("t.LiteralString", name))
    return sql.SQL("ALTER {} SET {} = {}").format(whom, setting, sql.Literal(value))


def mutate_function(connection: Connection, pick: int, change: int) -> Statement:
    """A function is replaced by one that is almost the same."""
    (name,) = _choose(connection, ROUTINES, pick)
    [(text,)] = connection.execute(DEFINITION.encode(), [name]).fetchall()
    head, quote, rest = str(text).partition("$function$")
    body, _, tail = rest.rpartition("$function$")
    places = [(place, instead) for pattern, instead in MUTATIONS for place in pattern.finditer(body)]
    if not places:
        raise Nothing(f"{name} has nothing to change")
    place, instead = places[change % len(places)]
    mutant = body[: place.start()] + instead + body[place.end() :]
    return sql.Composed([sql.SQL(t.cast("t.LiteralString", f"{head}{quote}{mutant}{quote}{tail}"))])


def trigger(connection: Connection, does: str, pick: int) -> list[Statement]:
    """A trigger refuses rows, or swallows them."""
    (table,) = _choose(connection, RELATIONS, pick, ["r"])
    body = "RAISE EXCEPTION 'not today';" if does == "raise" else "RETURN NULL;"
    return [
        sql.SQL("CREATE FUNCTION scout.gameday_trigger() RETURNS trigger LANGUAGE plpgsql AS {}").format(
            sql.Literal(f"BEGIN {body} END")
        ),
        sql.SQL(
            "CREATE TRIGGER gameday_trigger BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION scout.gameday_trigger()"
        ).format(_relation(table)),
    ]


def change_job(connection: Connection, how: str, pick: int) -> Statement:
    """A job is switched off, does something else, or runs at another time."""
    (name,) = _choose(connection, JOBS, pick)
    change = {
        "off": sql.SQL("active = false"),
        "command": sql.SQL("command = 'SELECT 1'"),
        "schedule": sql.SQL("schedule = '0 0 1 1 *'"),
        "role": sql.SQL("username = {}").format(sql.Literal(STRANGER)),
    }[how]
    return sql.SQL("UPDATE cron.job SET {} WHERE jobname = {}").format(change, sql.Literal(name))


OPERATORS: t.Final[dict[str, Callable[..., Statement | list[Statement]]]] = {
    function.__name__: function
    for function in (
        *(drop_object, rename_object, revoke_right, change_owner, alter_setting, mutate_function, trigger, change_job),
    )
}


def apply(connection: Connection, name: str, **options: t.Any) -> str:
    """What was done, as SQL; whatever PostgreSQL refuses is raised, and nothing has happened."""
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '3s'")
        connection.execute(MAKE_STRANGER.encode())
        made = OPERATORS[name](connection, **options)
        statements = made if isinstance(made, list) else [made]
        for statement in statements:
            connection.execute(statement)
    return "; ".join(" ".join(statement.as_string(connection).split()) for statement in statements)
