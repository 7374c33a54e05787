# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a database's schema, without data, in a scratch database of the same server that is gone afterwards; made by
PostgreSQL's own pg_dump and pg_restore."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import secrets
import time
import typing as t

from ...core.errors import ConnectionLost, RecoveryError, Stopped
from ...postgres import pg_dump
from ...postgres.driver import conninfo, errors, psycopg, sql
from ...postgres.failures import translate
from ...postgres.session import open_session
from ...scout import cron_jobs
from ..scratch import publications

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence

    from ...core.progress import Progress
    from ...postgres.session import Row, Session, Settings

NAMED: t.Final = re.compile(r"scout_rehearsal_[0-9a-f]{12}")
COMMENT: t.Final = "scout-recovery: rehearsal of {database}, made {made}; may be dropped"
COMMENTED: t.Final = re.compile(r"scout-recovery: rehearsal of .*, made (\S+); may be dropped", re.DOTALL)
#: A scratch database this old that nobody uses is one of somebody who was killed.
LEFT_SECONDS: t.Final = 3600.0
#: A worker of autovacuum may be at work in it: it goes by itself when asked, and only a superuser may force it.
DROP_PAUSES: t.Final = (0.0, 0.1, 0.5, 2.0, 5.0)
#: Dropping a database waits for a checkpoint of the whole server, and in PostgreSQL 14 so does making one.
MAKING_SECONDS: t.Final = 600.0
ABOUT: t.Final = """
SELECT (SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS may,
       to_jsonb(d) AS settings, pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding,
       CASE WHEN pg_catalog.pg_has_role(d.datdba, 'USAGE') AND pg_catalog.pg_has_role(d.datdba, %(becoming)s)
            THEN pg_catalog.pg_get_userbyid(d.datdba) ELSE current_user END::text AS owner,
       ARRAY(SELECT pg_catalog.pg_get_userbyid(d.datdba)::text UNION
             SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END
             FROM pg_catalog.aclexplode(d.datacl) AS a WHERE a.privilege_type = 'CREATE') AS creators
FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()
"""

LEFTOVERS: t.Final = """
SELECT d.datname::text AS name, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment, clock_timestamp() AS now
FROM pg_catalog.pg_database AS d
WHERE starts_with(d.datname, 'scout_rehearsal_') AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid)
"""

#: Databases are made and dropped outside of transactions.
LIMITS: t.Final = """
SELECT set_config('statement_timeout', %(statement)s, false), set_config('lock_timeout', %(lock)s, false),
       clock_timestamp() AS now
"""

#: In the order in which they were made.
MATERIALIZED: t.Final = """
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relispopulated AS populated
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'm' ORDER BY c.oid
"""

#: As they are written in SQL, which is also a pattern of pg_dump's that fits nothing else.
SCHEMAS: t.Final = """
SELECT quote_ident(nspname) AS name FROM pg_catalog.pg_namespace
WHERE NOT starts_with(nspname, 'pg_') AND nspname <> 'information_schema' ORDER BY nspname
"""

#: Tables with the same columns and nothing else: those of a schema, or one.
TABLES_LIKE: t.Final = """
SELECT quote_ident(n.nspname) AS schema, format('CREATE TABLE %%I.%%I (%%s)', n.nspname, c.relname, string_agg(
    format('%%I %%s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)) AS statement
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE (n.nspname = %(schema)s OR ARRAY[n.nspname, c.relname]::text[] = parse_ident(%(table)s))
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
GROUP BY n.nspname, c.oid, c.relname
"""

#: What views and functions may speak of, and what jobs are made and altered with; it does nothing.
SCHEDULER_FUNCTIONS: t.Final = """
SELECT format('CREATE FUNCTION cron.%%I(%%s) RETURNS %%s LANGUAGE plpgsql AS ''BEGIN RETURN%%s; END''',
    p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), CASE WHEN p.proretset
        OR p.prorettype = 'pg_catalog.void'::regtype OR p.proargmodes IS NOT NULL THEN '' ELSE ' NULL' END) AS statement
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'cron') AND p.prokind = 'f'
"""
#: Who sees no job at all would be asked for the privilege to see them.
SCHEDULER_OPEN: t.Final = """
GRANT USAGE ON SCHEMA cron TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA cron TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO PUBLIC;
INSERT INTO cron.job (jobid, jobname, schedule, command, database, username, active)
VALUES (0, 'rehearsal', '0 0 30 2 *', 'SELECT 1', current_database(), current_user, false)
"""

#: Where extensions may be, and what functions may look for; it stands for a schema that is not copied.
EMPTY: t.Final = "CREATE SCHEMA IF NOT EXISTS {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC"


@dataclasses.dataclass(frozen=True)
class Original:
    """What the database is like, which of its materialized views have been filled, which schemas it has, what makes stand-ins
    for pg_cron and for the migration history, and how the server is reached."""

    settings: Settings
    name: str
    about: Row
    populated: Sequence[tuple[str, str]]
    schemas: Sequence[str]
    scheduler: Sequence[str]
    history: Sequence[Row]
    #: What makes its publications.
    publications: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Part:
    """What of a database is copied where not all of it can be, by names as they are written in SQL."""

    schemas: Collection[str]
    extensions: Collection[str]


@contextlib.contextmanager
def preparing(session: Session) -> Generator[None]:
    """Within it a failure becomes an UnableError: there can be no copy. Only the loss of the session is raised as it
    is."""
    try:
        yield
    except (Stopped, ConnectionLost):
        raise
    except psycopg.Error as e:
        raised = translate(e, "could not copy the schema; nothing was changed", on=session.where)
        if isinstance(raised, ConnectionLost):
            raise raised from e
        raise pg_dump.UnableError(raised.said, raised.next_step) from e
    except RecoveryError as e:
        raise pg_dump.UnableError(": ".join(filter(None, (e.attempted, e.said))), e.next_step) from e
    except OSError as e:
        raise pg_dump.UnableError(str(e)) from e


def read(session: Session, histories: Iterable[str]) -> Original:
    """What there is to copy. Raises UnableError where this role could not create another database."""
    if session.facts.pooled:
        raise pg_dump.UnableError(
            "this session comes through a connection pooler, which cannot reach a scratch database",
            "point scout_dsn at the server itself",
        )
    with preparing(session), session.read():
        becoming = "SET" if session.facts.server_version >= 160000 else "MEMBER"
        about = session.row(ABOUT, becoming=becoming)
        populated = [(row["schema"], row["name"]) for row in session.rows(MATERIALIZED) if row["populated"]]
        schemas = [row["name"] for row in session.rows(SCHEMAS)]
        with session.at_cron() as at:
            made = at.rows(TABLES_LIKE, schema="cron", table=None) if cron_jobs.present(session) else []
            made += at.rows(SCHEDULER_FUNCTIONS) if made else []
        history = [row for table in histories for row in session.rows(TABLES_LIKE, schema=None, table=table)]
        published = publications.read(session)
    if not about["may"]:
        me = sql.Identifier(session.facts.role).as_string()
        raise pg_dump.UnableError(
            f"role {session.facts.role} may not create a scratch database", f"ALTER ROLE {me} CREATEDB"
        )
    stand_in = [row["statement"] for row in made]
    return Original(_address(session), session.facts.database, about, populated, schemas, stand_in, history, published)


def opened(original: Original, database: str) -> contextlib.AbstractContextManager[Session]:
    """A session with the same server, as the one that read what there is."""
    dsn = conninfo.make_conninfo(original.settings.dsn, dbname=database)
    return open_session(dataclasses.replace(original.settings, dsn=dsn))


def _address(session: Session) -> Settings:
    """How this very server is reached, whichever of several it is, also when this session is lost."""
    here = {keyword: value for keyword, value in pg_dump.address(session).items() if value}
    password = here.pop("password", None)
    dsn = conninfo.make_conninfo(session.settings.dsn, **here)
    return dataclasses.replace(session.settings, dsn=dsn, password=password, action="rehearse", cron=None)


@contextlib.contextmanager
def database(session: Session, original: Original, progress: Progress) -> Generator[str]:
    """The name of an empty database like this one, gone afterwards."""
    name = f"scout_rehearsal_{secrets.token_hex(6)}"
    taken = False
    try:
        with preparing(session), _administering(original) as (admin, now):
            _sweep(admin)
            try:
                admin.connection.outside(_creation(name, original.about))
            except errors.DuplicateDatabase:
                taken = True
                raise
            for statement in _settled(name, original.about, original.name, now):
                admin.connection.outside(statement)
        yield name
    finally:
        if not taken:
            with progress.unbroken():
                _drop(original, name, progress)


@contextlib.contextmanager
def _administering(original: Original) -> Generator[tuple[Session, datetime.datetime]]:
    """A session for what is done outside of transactions, and the server's time; its own, for ours may be broken."""
    with opened(original, original.name) as admin:
        yield admin, limited(admin)


def limited(admin: Session) -> datetime.datetime:
    """Bounds what the session does outside of transactions; the server's time."""
    limits = (MAKING_SECONDS, admin.settings.lock_timeout_seconds)
    statement, lock = (f"{round(each * 1000)}ms" for each in limits)
    with admin.read():
        now: datetime.datetime = admin.row(LIMITS, statement=statement, lock=lock)["now"]
    admin.connection.limit_seconds = MAKING_SECONDS
    return now


def _creation(name: str, about: Row) -> sql.Composed:
    """A database with the encoding and the locale of ours, as its version of PostgreSQL has them."""
    had: Mapping[str, t.Any] = about["settings"]
    options = {"ENCODING": about["encoding"], "LC_COLLATE": had["datcollate"], "LC_CTYPE": had["datctype"]}
    locale = had.get("datlocale") or had.get("daticulocale")
    match had.get("datlocprovider"):
        case "i":
            options |= {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": locale, "ICU_RULES": had.get("daticurules")}
        case "b":
            options |= {"LOCALE_PROVIDER": "builtin", "BUILTIN_LOCALE": locale}
        case "c":
            options["LOCALE_PROVIDER"] = "libc"
        case _:
            pass
    listed = [
        sql.SQL(t.cast("t.LiteralString", key)) + sql.SQL(" ") + sql.Literal(value)
        for key, value in options.items()
        if value
    ]
    head = sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {} ").format(
        sql.Identifier(name), sql.Identifier(about["owner"])
    )
    return head + sql.SQL(" ").join(listed)


def _settled(name: str, about: Row, of: str, now: datetime.datetime) -> Iterator[sql.Composed]:
    """What it is, who may come in, and who may make schemas in it."""
    made = now.astimezone(datetime.UTC).isoformat(timespec="seconds")
    comment, named = COMMENT.format(database=of, made=made), sql.Identifier(name)
    yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(named, sql.Literal(comment))
    yield sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(named)
    for role in about["creators"]:
        grantee = sql.Identifier(role) if role else sql.SQL("PUBLIC")
        yield sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(named, grantee)


def is_leftover(name: str, comment: str | None, now: datetime.datetime) -> bool:
    """Whether it is a scratch database of ours that nobody comes back to."""
    said = COMMENTED.fullmatch(comment or "")
    if not NAMED.fullmatch(name) or not said:
        return False
    try:
        made = datetime.datetime.fromisoformat(said[1])
    except ValueError:
        return False
    return made.tzinfo is not None and (now - made).total_seconds() > LEFT_SECONDS


def _sweep(admin: Session) -> None:
    """Drops what killed ones left; never with anybody in it."""
    with admin.read():
        found = admin.rows(LEFTOVERS)
    for row in found:
        if is_leftover(row["name"], row["comment"], row["now"]):
            with contextlib.suppress(psycopg.Error):
                admin.connection.outside(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(row["name"])))


def _drop(original: Original, name: str, progress: Progress) -> None:
    """Drops it with all that is in it; says so where that cannot be, and then a later rehearsal does it."""
    if said := drop(lambda: _administering(original), name):
        progress.say(f"could not drop the scratch database {name}, drop it by hand: {said}")


def drop(administering: Callable[[], contextlib.AbstractContextManager[tuple[Session, t.Any]]], name: str) -> str:
    """Drops a scratch database with everybody in it, each try in a session of its own; says what stood against it, if anything."""
    said = ""
    for number, pause in enumerate(DROP_PAUSES):
        time.sleep(pause)
        force = sql.SQL("" if number % 2 else " WITH (FORCE)")
        try:
            with administering() as (admin, _):
                admin.connection.outside(sql.SQL("DROP DATABASE IF EXISTS {}{}").format(sql.Identifier(name), force))
        except (psycopg.Error, RecoveryError) as e:
            said = str(e)
        else:
            return ""
    return said


@contextlib.contextmanager
def copied(
    session: Session,
    original: Original,
    by: pg_dump.Tools,
    part: Part,
    progress: Progress,
    rows: Callable[[Session], None] | None = None,
) -> Generator[str]:
    """The name of a database with a copy of everything, or of a part where that cannot be; gone afterwards. `rows` puts some into
    its tables before these have keys, references and triggers."""
    for only in (None, part):
        with database(session, original, progress) as name:
            try:
                _copy(session, original, by, name, only, progress, rows)
            except pg_dump.RefusedError as e:
                if only:
                    raise
                progress.say(f"rehearsing: not everything can be copied, so only what the release needs is: {e.reason}")
            else:
                yield name
                return


def _copy(
    session: Session,
    original: Original,
    by: pg_dump.Tools,
    name: str,
    only: Part | None,
    progress: Progress,
    rows: Callable[[Session], None] | None,
) -> None:
    """Makes the schema of this session's database, or a part of it, in another one."""
    archive, entries = by.folder / "schema", by.folder / "entries"
    lock = max(1, round(session.settings.lock_timeout_seconds * 1000))
    options = ["--schema-only", "--format=custom", "--no-sync", "--no-publications", "--no-subscriptions"]
    options += ["--exclude-schema=cron"] if original.scheduler else []
    made = ["CREATE SCHEMA cron", *original.scheduler, SCHEDULER_OPEN] if original.scheduler else []
    if only:
        # Names come in an encoding of ours, whatever that of the database is.
        options += ["--encoding=UTF8", *(f"--schema={each}" for each in only.schemas)]
        options += [f"--extension={each}" for each in only.extensions]
        made += [EMPTY.format(schema=each) for each in original.schemas if each not in only.schemas]
        made += [row["statement"] for row in original.history if row["schema"] not in only.schemas]
    with preparing(session):
        reach = pg_dump.environment(session, by.folder)
        pg_dump.run(
            [by.dump, "--no-password", *options, f"--lock-wait-timeout={lock}", f"--file={archive}"],
            by,
            reach,
            progress,
        )
        listed = pg_dump.run([by.restore, "--list", str(archive)], by, reach, progress)
        entries.write_bytes(pg_dump.chosen(listed, with_scheduler=not original.scheduler, with_public=not only))
        if made:
            with opened(original, name) as scratch, scratch.write():
                for statement in made:
                    scratch.connection.execute(statement.encode())
        # It is dropped anyway.
        reach["PGOPTIONS"] = f"{reach.get('PGOPTIONS', '')} -c synchronous_commit=off".strip()
        to = ["--no-password", f"--use-list={entries}", f"--dbname={name}"]
        if rows is None:
            pg_dump.run([by.restore, *to, str(archive)], by, reach, progress)
            return
        pg_dump.run([by.restore, "--section=pre-data", *to, str(archive)], by, reach, progress)
        with opened(original, name) as scratch:
            rows(scratch)
        pg_dump.run([by.restore, "--section=post-data", *to, str(archive)], by, reach, progress)


def fill(scratch: Session, original: Original) -> None:
    """Makes the publications of the original, and fills the materialized views that are filled there; of the rows that there are,
    unless they cannot bear that."""
    publications.make(scratch, original.publications)
    with preparing(scratch), scratch.write():
        for row in scratch.rows(MATERIALIZED):
            if (row["schema"], row["name"]) in original.populated:
                view = sql.Identifier(row["schema"], row["name"])
                with contextlib.suppress(psycopg.Error), scratch.savepoint():
                    scratch.connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(view))
