# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way back is rehearsed on a copy of the schema, there and back, and neither the copy nor a secret is left anywhere."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump, program
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump as postgres_pg_dump
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import entries
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl import statement
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner import plan as planner_plan
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.target import Target
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import (
    rehearsal,
    scratch_database,
    transaction,
)
from tests.integration import everything_schema
from tests.integration.release.planner.test_plan import COMPOUND, ROWS
from tests.integration.release.restore.test_transaction import BAD_RELEASE, JOB_OFF, target_of
from tests.integration.releases import capture, rich_template, run
from tests.scout.migrations import MIGRATIONS

TEMPLATE = "rehearsal_template"
PASSWORD = "geheim & p@ss'wörd"
_numbers = itertools.count(1)

#: Beginnings of migrations, each of another kind of object.
SAMPLED = (
    "DROP FUNCTION shop.total(text)", "ALTER FUNCTION shop.total(text) RENAME", "CREATE OR REPLACE AGGREGATE", "ALTER TYPE shop.price DROP",
    "ALTER SEQUENCE shop.numbers OWNED", "ALTER TABLE shop.customer DROP COLUMN code", "ALTER TABLE shop.customer RENAME TO buyer",
    'ALTER TABLE shop."order" REPLICA IDENTITY', "ALTER TABLE shop.sale ADD COLUMN note", "ALTER DEFAULT PRIVILEGES",
    "DROP EXTENSION hstore CASCADE", "SELECT cron.unschedule", "DELETE FROM supabase_migrations",
)  # fmt: skip
SAMPLE = (
    *(each for each in MIGRATIONS if each.startswith(SAMPLED)),
    *COMPOUND[::3],
    BAD_RELEASE,
    JOB_OFF,
    "ALTER TYPE shop.status ADD VALUE 'back' AFTER 'sent'",
    "ALTER TYPE shop.status RENAME VALUE 'paid' TO 'settled'; ALTER TYPE shop.status ADD VALUE 'late'",
    "ALTER TABLE shop.customer SET SCHEMA elsewhere; ALTER TABLE elsewhere.customer RENAME COLUMN name TO n",
    'DROP SCHEMA "Ünï ""q"" shop" CASCADE; DROP TABLE shop.sale CASCADE',
)

#: All rows of the catalog, each with the transaction that wrote it.
WRITTEN = """
SELECT md5(string_agg(format('%s %s %s', c, o, x), ',' ORDER BY c, o, x)) FROM (
    SELECT 'class' AS c, oid AS o, xmin::text AS x FROM pg_class UNION ALL SELECT 'proc', oid, xmin::text FROM pg_proc
    UNION ALL SELECT 'attribute', attrelid, attnum || ' ' || xmin::text FROM pg_attribute
    UNION ALL SELECT 'type', oid, xmin::text FROM pg_type UNION ALL SELECT 'constraint', oid, xmin::text FROM pg_constraint
    UNION ALL SELECT 'trigger', oid, xmin::text FROM pg_trigger UNION ALL SELECT 'namespace', oid, xmin::text FROM pg_namespace
    UNION ALL SELECT 'job', jobid::oid, xmin::text FROM cron.job
    UNION ALL SELECT 'migration', 0, version || ' ' || xmin::text FROM supabase_migrations.schema_migrations) AS w
"""
SCRATCH = (
    "SELECT array_agg(datname::text ORDER BY datname) FROM pg_database WHERE starts_with(datname, 'scout_rehearsal_')"
)
#: A file of each program that writes down what it was given, and then is the real one.
RECORDING = """#!/bin/sh
printf '%s\\n' "$0" "$@" >> {folder}/arguments
env >> {folder}/environment
exec {real} "$@"
"""

template = rich_template(TEMPLATE, ROWS)


@pytest.fixture
def captured(pg_server: Server, template: str) -> Iterator[tuple[str, captures_document.Document]]:
    """A copy of it, with its capture; afterwards there is no scratch database."""
    name = f"rehearsal_{next(_numbers)}"
    dsn = everything_schema.clone(pg_server, TEMPLATE, name)
    yield dsn, capture(dsn)
    pg_server.drop_database(name)
    assert value(template, SCRATCH) is None


@dataclasses.dataclass
class Rehearsed:
    """What came of a rehearsal, and the lines that were shown."""

    result: rehearsal.Rehearsal
    lines: list[str]


def value(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def rehearsed(
    dsn: str,
    document: captures_document.Document,
    *,
    go: Callable[[Session, transaction.Way], None] | None = None,
    required: bool = False,
    pg_dump: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    sample: int = 0,
) -> Rehearsed:
    """Plans the way back and rehearses it, as it is planned unless it is said otherwise."""
    lines: list[str] = []
    with open_session(settings or Settings(dsn)) as session:
        target = target_of(session, document)
        with session.read():
            way = transaction.survey(session, target)
        result = rehearsal.rehearse(
            session,
            way,
            lambda scratch: (go or walk)(scratch, way),
            progress or Progress(lines.append),
            required=required,
            pg_dump=pg_dump or program("pg_dump"),
            rows=sample,
        )
    return Rehearsed(result, lines)


def scratch_unused(_: Session) -> None:
    pytest.fail("there is no copy on which to go")


def walk(scratch: Session, way: transaction.Way) -> None:
    transaction.walk(scratch, way.plan)


@pytest.mark.parametrize("migration", SAMPLE, ids=lambda text: " ".join(text.split())[:60])
def test_a_way_is_gone_there_and_back_and_nothing_changes(
    migration: str, captured: tuple[str, captures_document.Document]
) -> None:
    dsn, document = captured
    run(dsn, migration)
    before, written = dump(dsn), value(dsn, WRITTEN)
    found = rehearsed(dsn, document, required=True)
    assert (found.result.done, found.result.reason) == (True, "")
    assert found.result.seconds > 0
    assert not any("could not" in line for line in found.lines)
    assert (dump(dsn), value(dsn, WRITTEN)) == (before, written)


def test_a_way_that_fails_in_the_middle(captured: tuple[str, captures_document.Document]) -> None:
    """What PostgreSQL does not do stands in the error, with the step."""
    dsn, document = captured
    run(dsn, BAD_RELEASE)
    before = dump(dsn)

    def broken(scratch: Session, way: transaction.Way) -> None:
        steps = list(way.plan.steps)
        nothing = statement.say("CREATE VIEW shop.v AS SELECT 1 FROM shop.nothing")
        steps.insert(2, planner_plan.Step("create", "view:shop.v", (nothing,)))
        transaction.walk(scratch, dataclasses.replace(way.plan, steps=tuple(steps)))

    with pytest.raises(
        errors.NotConverged,
        match=r"rehearsal failed while applying the plan; nothing was changed.*could not create view",
    ) as raised:
        rehearsed(dsn, document, go=broken)
    assert raised.value.sqlstate == "42P01"
    assert raised.value.result["failed_step"]["key"] == "view:shop.v"
    assert "scout_rehearsal" not in str(raised.value)
    assert "rehearse=false" in raised.value.next_step

    def erring(scratch: Session, way: transaction.Way) -> None:
        scratch.execute("SELECT 1 / 0")

    with pytest.raises(errors.NotConverged, match=r"rehearsal failed while applying the plan.*division by zero"):
        rehearsed(dsn, document, go=erring)
    assert dump(dsn) == before


def test_a_way_that_does_not_arrive(captured: tuple[str, captures_document.Document]) -> None:
    dsn, document = captured
    run(dsn, BAD_RELEASE)
    before = dump(dsn)

    def short(scratch: Session, way: transaction.Way) -> None:
        left = tuple(step for step in way.plan.steps if step.key != "materialized_view:shop.by_day")
        transaction.walk(scratch, dataclasses.replace(way.plan, steps=left))

    with pytest.raises(
        errors.NotConverged, match=r"did not reach the captured state.*materialized view shop\.by_day \(grants\)"
    ) as raised:
        rehearsed(dsn, document, go=short)
    assert "nothing was changed" in str(raised.value)
    assert raised.value.result["differs"]["changed"] == {"materialized_view:shop.by_day": ["grants"]}
    assert dump(dsn) == before


def test_a_way_that_cannot_be_taken_back(captured: tuple[str, captures_document.Document]) -> None:
    """A constraint of a domain goes, and PostgreSQL does not add it again while a composite type uses the domain."""
    dsn, document = captured
    run(dsn, "ALTER DOMAIN shop.amount ADD CONSTRAINT small CHECK (VALUE < 1000) NOT VALID")
    run(dsn, "UPDATE pg_constraint SET convalidated = true WHERE conname = 'small'")
    found = rehearsed(dsn, document).result
    assert found.done
    assert re.match(r"the rehearsal failed while undoing the plan.*domain shop\.amount", found.undo)
    with pytest.raises(errors.NotConverged, match=r"while undoing the plan.*domain shop\.amount"):
        rehearsed(dsn, document, required=True)


def test_a_sample_of_the_rows_shows_what_a_schema_does_not(captured: tuple[str, captures_document.Document]) -> None:
    """A check that comes back and that a row violates; one that is not valid, and violated, is no matter."""
    dsn, _ = captured
    run(
        dsn,
        """CREATE TABLE shop.kind (id int PRIMARY KEY);
           CREATE TABLE shop.thing (
               id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind int REFERENCES shop.kind, price int,
               twice int GENERATED ALWAYS AS (price * 2) STORED
           ) PARTITION BY RANGE (id)""",
    )
    run(dsn, "CREATE TABLE shop.thing_1 PARTITION OF shop.thing FOR VALUES FROM (1) TO (1000)")
    run(
        dsn,
        """INSERT INTO shop.kind SELECT g FROM generate_series(1, 200) AS g;
           INSERT INTO shop.thing (kind, price) SELECT 201 - g, g FROM generate_series(1, 100) AS g;
           ALTER TABLE shop.thing_1 ADD CONSTRAINT cheap CHECK (price < 0) NOT VALID;
           ALTER TABLE shop.thing ADD CONSTRAINT dear CHECK (price > 0)""",
    )
    document = capture(dsn)
    run(dsn, "ALTER TABLE shop.thing DROP CONSTRAINT dear; ALTER TABLE shop.thing ADD COLUMN more text")
    found = rehearsed(dsn, document, required=True, sample=10).result
    # Ten things, ten kinds besides the ten that these are of, and the rows of the others.
    assert (found.done, found.rows >= 30) == (True, True)
    run(dsn, "UPDATE shop.thing SET price = -1 WHERE id = 100")
    assert rehearsed(dsn, document, required=True).result.done
    with pytest.raises(
        errors.NotConverged,
        match=r"rehearsal failed while applying the plan to a sample of the rows; nothing was changed.*\"dear\"",
    ) as raised:
        rehearsed(dsn, document, required=True, sample=1000)
    assert raised.value.sqlstate == "23514"


def test_whoever_may_not_make_databases_is_told_how(captured: tuple[str, captures_document.Document]) -> None:
    dsn, document = captured
    role = f'rehearsal "{next(_numbers)}"'
    quoted = '"' + role.replace('"', '""') + '"'
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {quoted} LOGIN".encode())
    with open_session(Settings(dsn)) as session, session.read():
        way = transaction.survey(session, Target(document, same_database=True))
    with open_session(Settings(make_conninfo(dsn, user=role))) as session:
        lines: list[str] = []
        rehearse = functools.partial(rehearsal.rehearse, session, way, scratch_unused)
        found = rehearse(Progress(lines.append), required=False)
        assert (found.done, found.reason) == (
            False,
            f"role {role} may not create a scratch database; ALTER ROLE {quoted} CREATEDB",
        )
        assert lines == [f"not rehearsed: {found.reason}"]
        with pytest.raises(errors.NotConverged, match="could not rehearse, and that was required") as raised:
            rehearse(Progress(), required=True)
        assert "CREATEDB; or go without" in raised.value.next_step
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {quoted}".encode())


@dataclasses.dataclass
class Own:
    """A database that belongs to a role without superuser, in an encoding and a locale of its own, reached with a password."""

    name: str
    role: str
    settings: Settings
    superuser: str
    document: captures_document.Document


@pytest.fixture
def own(pg_server: Server, template: str) -> Iterator[Own]:
    """One whose only schema has a view and a function more than its capture."""
    name = f"rehearsal_own_{next(_numbers)}"
    with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, PASSWORD))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'").format(role, role)
        )
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO release_reader").format(role))
    dsn = pg_server.tcp_dsn(name, user=name, password=PASSWORD)
    run(
        dsn,
        "CREATE SCHEMA mine; CREATE TABLE mine.thing (id int PRIMARY KEY, note text DEFAULT 'é'); CREATE EXTENSION hstore SCHEMA mine",
    )
    settings = Settings(pg_server.tcp_dsn(name, user=name, password=""), password=PASSWORD)
    with open_session(settings) as session, session.read():
        found = catalog_reader.read(session, entries.Scope(("mine",)))
    scope = {"schemas": ["mine"], "migrations_table": "", "beyond": list(found.beyond)}
    document = captures_document.document(
        found.entries.values(), {"scope": scope, "database": name, "database_oid": 0, "system_identifier": "0"}
    )
    run(
        dsn,
        "CREATE VIEW mine.things AS SELECT id FROM mine.thing; ALTER TABLE mine.thing ALTER COLUMN note DROP DEFAULT",
    )
    yield Own(name, name, settings, pg_server.dsn(name), document)
    assert value(template, SCRATCH) is None
    pg_server.drop_database(name)
    with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A folder with programs that write down their arguments and their environment."""
    tmp_path.chmod(0o755)
    for name in ("pg_dump", "pg_restore"):
        fake(tmp_path / name, RECORDING.format(folder=tmp_path, real=program(name)))
    return tmp_path


def fake(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


LIKE = """
SELECT jsonb_build_array(pg_encoding_to_char(encoding), datcollate, datctype, to_jsonb(d) -> 'datlocprovider',
    to_jsonb(d) -> 'datlocale', pg_get_userbyid(datdba), has_database_privilege('release_reader', d.oid, 'CREATE'))
FROM pg_database AS d WHERE datname = current_database()
"""


def test_the_copy_is_like_the_database_and_closed_to_others(own: Own) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(scratch: Session, way: transaction.Way) -> None:
        walk(scratch, way)
        with psycopg.connect(own.superuser) as connection:
            about = connection.execute(
                "SELECT datname, shobj_description(oid, 'pg_database'), has_database_privilege('release_writer', oid, 'CONNECT')"
                " FROM pg_database WHERE datname = %s", [scratch.facts.database],
            ).fetchone()  # fmt: skip
        [like] = scratch.connection.execute(LIKE.encode()).fetchone().values()  # type: ignore[union-attr]
        seen.append((about, like, scratch.settings.statement_timeout_seconds))

    settings = dataclasses.replace(own.settings, statement_timeout_seconds=7)
    assert rehearsed(own.superuser, own.document, go=look, settings=settings, required=True).result.done
    [((name, comment, others), like, seconds)] = seen
    assert re.fullmatch(r"scout_rehearsal_[0-9a-f]{12}", name)
    assert re.fullmatch(rf"scout-recovery: rehearsal of {own.name}, made 20\S+\+00:00; may be dropped", comment)
    assert not others
    assert like == value(own.superuser, LIKE)
    assert seconds == 7


def test_no_secret_is_among_the_arguments(own: Own, recording: Path) -> None:
    assert rehearsed(own.superuser, own.document, settings=own.settings, pg_dump=str(recording / "pg_dump")).result.done
    arguments = (recording / "arguments").read_text()
    assert {"pg_dump", "pg_restore"} == set(re.findall(r"^/\S+/(pg_\w+)$", arguments, re.MULTILINE))
    info = conninfo_to_dict(own.settings.dsn)
    for secret in (PASSWORD, "geheim", "password=", str(info["user"]) + "@", "postgresql:"):
        assert secret not in arguments
    environment = (recording / "environment").read_text()
    assert f"PGPASSWORD={PASSWORD}\n" in environment
    services = set(re.findall(r"^PGSERVICEFILE=(.*)$", environment, re.MULTILINE))
    assert services
    assert not any(Path(each).parent.exists() for each in services)


def test_what_a_program_says_holds_no_secret_and_is_the_reason(own: Own, tmp_path: Path) -> None:
    fake(tmp_path / "pg_restore", "#!/bin/sh\nexit 1\n")
    leaking = fake(
        tmp_path / "pg_dump",
        '#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.1" && exit\necho "pg_dump: error: no $PGPASSWORD" >&2; exit 1\n',
    )
    found = rehearsed(own.superuser, own.document, settings=own.settings, pg_dump=leaking)
    assert (found.result.done, found.result.reason) == (False, "pg_dump: no ***")


#: What the role of `own` cannot be made the owner of.
NOT_ITS_OWN = r"pg_restore: .*(must be able to SET ROLE|must be member of role).*\(ALTER "
ONLY = "rehearsing: not everything can be copied, so only what the release needs is: "


def test_what_the_release_needs_and_cannot_be_copied_is_the_reason(own: Own) -> None:
    """An object of somebody whom the role cannot be."""
    run(
        own.superuser,
        """CREATE SCHEMA theirs; GRANT USAGE ON SCHEMA theirs TO PUBLIC;
           CREATE FUNCTION theirs.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
           CREATE VIEW mine.of_theirs AS SELECT theirs.f() AS f""",
    )
    found = rehearsed(own.superuser, own.document, settings=own.settings)
    assert not found.result.done
    assert re.search(NOT_ITS_OWN, found.result.reason)
    assert [line[: len(ONLY)] for line in found.lines if "only what" in line] == [ONLY]
    with pytest.raises(errors.NotConverged, match=r"could not rehearse, and that was required.*pg_restore"):
        rehearsed(own.superuser, own.document, settings=own.settings, required=True)


def test_it_does_not_wait_for_a_lock_for_long(own: Own) -> None:
    """Neither for everything nor for what is needed."""
    run(
        own.superuser,
        """CREATE SCHEMA scout_ops; GRANT USAGE ON SCHEMA scout_ops TO PUBLIC;
           CREATE TABLE scout_ops.busy (); GRANT SELECT ON scout_ops.busy TO PUBLIC""",
    )
    settings = dataclasses.replace(own.settings, lock_timeout_seconds=0.3)
    with psycopg.connect(own.superuser) as holder:
        holder.execute("LOCK TABLE scout_ops.busy")
        found = rehearsed(own.superuser, own.document, settings=settings)
    assert (found.result.done, "statement timeout" in found.result.reason) == (False, True)
    assert found.result.reason.startswith("pg_dump: ")


OLD = '#!/bin/sh\necho "pg_dump (PostgreSQL) {version} (Debian {version}-1)"\n'


def test_pg_dump_has_to_be_of_the_server_or_later(
    captured: tuple[str, captures_document.Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, document = captured
    needed = int(value(dsn, "SHOW server_version_num")) // 10000
    old = fake(tmp_path / "old" / "pg_dump", OLD.format(version="13.9"))
    found = rehearsed(dsn, document, pg_dump=old)
    assert found.result.reason.startswith(
        f"pg_dump for PostgreSQL {needed} or later is needed: {old} is of 13; install"
    )
    assert "-e scout_pg_dump=PATH" in found.result.reason
    with pytest.raises(errors.BadInput, match="is of 13"):
        rehearsed(dsn, document, pg_dump=old, required=True)
    for bad in (str(tmp_path / "nowhere"), str(tmp_path), fake(tmp_path / "other", "#!/bin/sh\necho 17\n")):
        with pytest.raises(errors.BadInput, match="is not a pg_dump that can be run"):
            rehearsed(dsn, document, pg_dump=bad, required=True)
    with open_session(Settings(dsn)) as session:
        monkeypatch.setenv("PATH", f"{tmp_path / 'old'}:/bin")
        monkeypatch.setattr(postgres_pg_dump, "PLACES", ())
        with pytest.raises(
            postgres_pg_dump.UnableError, match=rf"PostgreSQL {needed} or later is needed: {old} is of 13"
        ) as raised:
            postgres_pg_dump.tools(session, None, tmp_path)
        assert raised.value.kind is errors.NotConverged
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(postgres_pg_dump.UnableError, match="or later is needed: there is none"):
            postgres_pg_dump.tools(session, None, tmp_path)
        packages = tmp_path / "postgresql"
        for version in (9, needed, needed + 1, 100):
            fake(packages / str(version) / "bin" / "pg_dump", OLD.format(version=f"{version}.1"))
        for version in (9, needed, needed + 1):
            fake(packages / str(version) / "bin" / "pg_restore", "#!/bin/sh\n")
        monkeypatch.setattr(postgres_pg_dump, "PLACES", (f"{packages}/*/bin/pg_dump",))
        assert postgres_pg_dump.tools(session, None, tmp_path).dump == str(
            packages / str(needed + 1) / "bin" / "pg_dump"
        )


def test_a_pooler_is_no_way_to_another_database(captured: tuple[str, captures_document.Document]) -> None:
    dsn, document = captured
    with open_session(Settings(dsn)) as session:
        with session.read():
            way = transaction.survey(session, Target(document, same_database=True))
        session.facts = dataclasses.replace(session.facts, pooled=True)
        found = rehearsal.rehearse(session, way, scratch_unused, Progress(), required=False)
    assert not found.done
    assert "pooler" in found.reason


def named(number: int) -> str:
    return f"scout_rehearsal_{number:012x}"


def test_only_what_killed_rehearsals_left_is_swept(
    captured: tuple[str, captures_document.Document], pg_server: Server
) -> None:
    """Ours by name and comment, old, and with nobody in it."""
    dsn, document = captured
    now = datetime.datetime.now(datetime.UTC)
    old, new = (
        scratch_database.COMMENT.format(database="scout", made=(now - datetime.timedelta(minutes=m)).isoformat())
        for m in (61, 59)
    )
    cases = {named(1): old, named(2): new, named(3): None, named(4): old, named(5): f"{old}!", "scout_rehearsal_x": old}
    try:
        for name, comment in cases.items():
            pg_server.create_database(name)
            run(dsn, f"COMMENT ON DATABASE {name} IS {'NULL' if comment is None else repr(comment)}")
        with psycopg.connect(pg_server.dsn(named(4))):
            assert rehearsed(dsn, document).result.done
            assert value(dsn, SCRATCH) == sorted({*cases} - {named(1)})
    finally:
        for name in cases:
            pg_server.drop_database(name)


ENDED = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = %s AND starts_with(application_name, 'scout-recovery/')
"""


def test_the_copy_is_gone_whatever_happens(captured: tuple[str, captures_document.Document]) -> None:
    """Somebody asks to stop, Ctrl-C, our session ends, and so does the one with the copy."""
    dsn, document = captured
    run(dsn, BAD_RELEASE)
    before = dump(dsn)
    progress = Progress()

    def stop(scratch: Session, way: transaction.Way) -> None:
        assert value(dsn, SCRATCH) == [scratch.facts.database]
        progress.request_stop()
        progress.checkpoint()

    with pytest.raises(errors.Stopped):
        rehearsed(dsn, document, go=stop, progress=progress)
    assert value(dsn, SCRATCH) is None

    def interrupt(scratch: Session, way: transaction.Way) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearsed(dsn, document, go=interrupt)
    assert value(dsn, SCRATCH) is None

    def end(scratch: Session, way: transaction.Way) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = %s",
                [scratch.facts.backend_pid],
            )
        walk(scratch, way)

    with pytest.raises(errors.ConnectionLost, match="rehearsal failed while applying the plan; nothing was changed"):
        rehearsed(dsn, document, go=end)
    assert value(dsn, SCRATCH) is None

    def end_ours(scratch: Session, way: transaction.Way) -> None:
        with psycopg.connect(scratch.settings.dsn, dbname="postgres", autocommit=True) as connection:
            connection.execute(ENDED, [conninfo_to_dict(dsn)["dbname"]])
        walk(scratch, way)

    assert rehearsed(dsn, document, go=end_ours).result.done
    assert value(dsn, SCRATCH) is None
    assert dump(dsn) == before
