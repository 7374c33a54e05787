# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures of generated schemas and going back to them, beside pg_dump and the same statements by hand, under a live reader."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release import pg_dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks.moves import bystander, fresh, modules
from benchmarks.timing import ROOT, environment

#: Objects of the schema as a capture counts them, and how many of them a group below has.
SIZES = (10, 1_000, 5_000)
GROUP = 10
#: Rows of the first table there; of the table whose column comes back; and of the one whose column goes.
FEW, MANY, SAVED = 1_000, 1_000_000, 100_000
#: How often the reader looks, and for how long before anything happens.
EVERY_SECONDS = 0.005
CALM_SECONDS = 1.0

#: A table with four columns, two constraints, an index, a view and a function, which belong to the group before as well.
OBJECTS = """
CREATE TABLE shop.t{n} (id bigint CONSTRAINT t{n}_pkey PRIMARY KEY, amount numeric DEFAULT 0, note text,
                        parent bigint CONSTRAINT t{n}_parent REFERENCES shop.t{parent} (id));
CREATE INDEX i{n} ON shop.t{n} (amount) WHERE note IS NOT NULL;
CREATE VIEW shop.v{n} AS SELECT c.note, sum(c.amount) AS amount FROM shop.t{n} AS c JOIN shop.t{parent} AS p ON p.id = c.parent
    GROUP BY c.note;
CREATE FUNCTION shop.f{n}(p_note text) RETURNS numeric LANGUAGE plpgsql STABLE SET search_path = ''
    AS 'BEGIN RETURN (SELECT v.amount FROM shop.v{n} AS v WHERE v.note = p_note); END';
COMMENT ON VIEW shop.v{n} IS 'amounts of t{n}';
GRANT SELECT ON shop.t{n}, shop.v{n} TO dashboard_reader
"""

#: The release that is gone back from: ten objects of the first group and of its own are changed, added or gone.
RELEASED = """
ALTER TABLE shop.t1 ADD COLUMN points int;
ALTER TABLE shop.t1 ALTER COLUMN amount SET DEFAULT 1;
ALTER TABLE shop.t1 DROP CONSTRAINT t1_parent;
DROP INDEX shop.i1;
CREATE INDEX i1_points ON shop.t1 (points);
DROP VIEW shop.v1;
CREATE VIEW shop.v1 AS SELECT note, sum(amount) AS amount, count(*) AS sales FROM shop.t1 GROUP BY note;
CREATE OR REPLACE FUNCTION shop.f1(p_note text) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
CREATE FUNCTION shop.f1(p_id bigint) RETURNS numeric LANGUAGE sql AS 'SELECT 0.0';
CREATE TABLE shop.loyalty (id bigint PRIMARY KEY);
REVOKE SELECT ON shop.t1 FROM dashboard_reader
"""

#: Rows for the cases about data.
WIDE = """
CREATE TABLE shop.t1 (id bigint PRIMARY KEY, middle text, amount numeric, note text, last text);
INSERT INTO shop.t1 SELECT g, 'middle ' || g, g / 100.0, 'note ' || g, 'last ' || g FROM generate_series(1, {rows}) AS g
"""
ADDED = "ALTER TABLE shop.t1 ADD COLUMN points int; UPDATE shop.t1 SET points = id % 1000"

#: What somebody has done by hand who keeps what goes.
KEEP = "CREATE TABLE public.kept_{number} AS TABLE {relation}"
AS_WRITTEN = "SET LOCAL search_path = pg_catalog; SET LOCAL check_function_bodies = off"

READ = "SELECT id FROM shop.t1 WHERE id = 1"
#: A way back as the module is asked for it; a rehearsal would be another subject.
BACK: Mapping[str, Any] = {"release": "v1", "rehearse": False, "max_rows": 10**9, "allow_owners": ["postgres"]}


@dataclasses.dataclass(frozen=True)
class Data:
    """A case about data: what it is called, how many rows there are, what the release does, and what is kept before it."""

    name: str
    rows: int
    released: str
    protect: tuple[str, ...] = ()


DATA = (
    Data("a column in the middle is restored", MANY, "ALTER TABLE shop.t1 DROP COLUMN middle", ("shop.t1.middle",)),
    Data("a column at the end is restored", MANY, "ALTER TABLE shop.t1 DROP COLUMN last", ("shop.t1.last",)),
    Data("a column is dropped, and saved", SAVED, ADDED),
)


@dataclasses.dataclass(frozen=True)
class Gone:
    """One way back: from its call to its end, its transaction, and the longest wait of the reader before and during it."""

    seconds: float
    transaction_seconds: float
    calm_seconds: float
    wait_seconds: float


@dataclasses.dataclass
class Measured:
    """All rounds of one case."""

    dumped: list[float] = dataclasses.field(default_factory=list[float])
    captured: list[float] = dataclasses.field(default_factory=list[float])
    planned: list[float] = dataclasses.field(default_factory=list[float])
    by_hand: list[Gone] = dataclasses.field(default_factory=list[Gone])
    ours: list[Gone] = dataclasses.field(default_factory=list[Gone])
    steps: int = 0


CAPTURE_HEADER = (
    "objects of the schema", "pg_dump --schema-only", "a capture", "ratio, lowest to highest", "the rollback is planned",
)  # fmt: skip
RESTORE_HEADER = (
    "objects of the schema", "steps", "the same statements by hand", "reader's longest wait", "scout_rollback, its transaction",
    "ratio, lowest to highest", "reader's longest wait", "from call to end",
)  # fmt: skip
DATA_HEADER = (
    "what", "rows", "the same statements by hand", "reader's longest wait", "scout_rollback, its transaction",
    "ratio, lowest to highest", "reader's longest wait", "capture before it",
)  # fmt: skip


def by_size(server: Server, rounds: int, sizes: Sequence[int] = SIZES) -> str:
    """Two tables: captures and plans, and ways back."""
    made = {size: measure(server, groups(size), RELEASED, rounds) for size in sizes}
    captures = table(CAPTURE_HEADER, [capture_line(size, each) for size, each in made.items()])
    ways = table(RESTORE_HEADER, [restore_line(size, each) for size, each in made.items()])
    return f"{captures}\n\n{ways}\n\n{footnote(made.values())}"


def with_data(server: Server, rounds: int, rows: int | None = None) -> str:
    """One table: ways back with data, of tables as large as is said, or as they are meant."""
    cases = [dataclasses.replace(case, rows=min(case.rows, rows or case.rows)) for case in DATA]
    made = {case: measure(server, WIDE.format(rows=case.rows), case.released, rounds, case.protect) for case in cases}
    return f"{table(DATA_HEADER, [data_line(case, each) for case, each in made.items()])}\n\n{footnote(made.values())}"


def footnote(made: Iterable[Measured]) -> str:
    """What the reader sees where nothing happens."""
    calm = max(each.calm_seconds for some in made for each in (*some.by_hand, *some.ours))
    return f"Before anything happened the reader's longest wait of all was {shown(calm)}."


def groups(size: int) -> str:
    """The statements for this many objects, with a few rows in the first table."""
    made = [OBJECTS.format(n=n, parent=max(1, n - 1)) for n in range(1, size // GROUP + 1)]
    rows = f"INSERT INTO shop.t1 (id, amount, note) SELECT g, g, 'note ' || g % 10 FROM generate_series(1, {FEW}) AS g"
    return ";".join([*made, rows])


def measure(server: Server, schema: str, released: str, rounds: int, protect: Sequence[str] = ()) -> Measured:
    """Both ways in turn, round after round, each on a copy of its own."""
    server.drop_database("release")
    source = builder.build(server.create_database("release"), events=0)
    run(source, f"CREATE SCHEMA shop; {schema}")
    run(source, "VACUUM ANALYZE")
    template, made = str(conninfo_to_dict(source)["dbname"]), Measured()
    for _ in range(rounds):
        for ours in (False, True):
            dsn = fresh(server, template)
            made.dumped.append(dump(dsn))
            began = time.monotonic()
            ran("scout_capture", dsn, release="v1", schemas=["shop"], protect=list(protect), max_rows=10**9)
            made.captured.append(time.monotonic() - began)
            run(dsn, released)
            run(dsn, "VACUUM ANALYZE shop.t1")
            began = time.monotonic()
            planned = rollback(dsn, check=True)
            made.planned.append(time.monotonic() - began)
            (made.ours if ours else made.by_hand).append(watched(dsn, None if ours else planned))
            if rollback(dsn, check=True)["changed"]:
                raise RuntimeError(f"{'scout_rollback' if ours else 'the statements by hand'} did not arrive")
            made.steps = planned["step_count"]
        print(f"- a round of {made.steps} steps: {made.ours[-1]}", file=sys.stderr, flush=True)
    server.drop_database("moved")
    server.drop_database("release")
    return made


def watched(dsn: str, by_hand: Mapping[str, Any] | None) -> Gone:
    """Goes back, by the statements of this plan or by the module, while somebody reads the first table."""
    with reading(dsn) as waits:
        time.sleep(CALM_SECONDS)
        began = time.monotonic()
        seconds = apply(dsn, by_hand) if by_hand else rollback(dsn)["seconds"]
        ended = time.monotonic()
    # What was asked for before the end may have waited for it.
    return Gone(
        ended - began,
        seconds,
        max(wait for asked, wait in waits if asked + wait < began),
        max(wait for asked, wait in waits if asked + wait >= began and asked <= ended),
    )


def apply(dsn: str, planned: Mapping[str, Any]) -> float:
    """What somebody does who has the statements: keeps what goes, and runs them in one transaction; gives its seconds."""
    statements = [KEEP.format(number=n, relation=each["relation"]) for n, each in enumerate(planned["saved"])]
    statements += [AS_WRITTEN, *(each for step in planned["steps"] for each in step["statements"])]
    with psycopg.connect(dsn) as connection:
        began = time.monotonic()
        for statement in statements:
            connection.execute(statement.encode())
        connection.commit()
        return time.monotonic() - began


def rollback(dsn: str, **options: Any) -> dict[str, Any]:
    """Goes back, or says in check mode what that would be."""
    return ran("scout_rollback", dsn, **options, **BACK)


def ran(module: str, dsn: str, **options: Any) -> dict[str, Any]:
    """Runs a module in this process."""
    result: dict[str, Any] = modules().call(module, dsn, **options)
    if result.get("failed"):
        raise RuntimeError(json.dumps(result, default=str))
    return result


def dump(dsn: str) -> float:
    """Seconds that pg_dump takes for the same schema."""
    began = time.monotonic()
    pg_dump.dump(dsn, "--schema-only", "-n", "shop")
    return time.monotonic() - began


def run(dsn: str, statements: str) -> None:
    """Runs statements as the superuser."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.encode())


@contextmanager
def reading(dsn: str) -> Iterator[list[tuple[float, float]]]:
    """A reader in a process of its own; when the block is over, when it asked each time and how long it waited."""
    command = [sys.executable, "-m", "benchmarks.release", dsn]
    waits: list[tuple[float, float]] = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            # It is there when it has said so.
            process.stdout.readline()
            yield waits
        finally:
            process.stdin.close()
            waits += [(asked, wait) for asked, wait in json.loads(process.stdout.read() or "[]")]


def read(dsn: str) -> None:
    """Reads one row again and again until its input ends, as a page does that somebody looks at."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    waits: list[tuple[float, float]] = []
    with bystander(dsn) as connection:
        connection.execute(READ)
        print("reading", flush=True)
        while not over.wait(EVERY_SECONDS):
            asked = time.monotonic()
            connection.execute(READ)
            waits.append((asked, time.monotonic() - asked))
    print(json.dumps(waits))


def capture_line(size: int, made: Measured) -> tuple[str, ...]:
    """Captures and plans of one size."""
    return (
        f"{size:,}",
        middle(made.dumped),
        middle(made.captured),
        ratios(made.captured, made.dumped),
        middle(made.planned),
    )


def restore_line(size: int, made: Measured) -> tuple[str, ...]:
    """Ways back in a schema of one size."""
    return (f"{size:,}", str(made.steps), *beside(made), middle([each.seconds for each in made.ours]))


def data_line(case: Data, made: Measured) -> tuple[str, ...]:
    """Ways back with data."""
    return (case.name, f"{case.rows:,}", *beside(made), middle(made.captured))


def beside(made: Measured) -> tuple[str, ...]:
    """The transaction by hand and ours, each with what the reader saw of it."""
    hand = [each.transaction_seconds for each in made.by_hand]
    ours = [each.transaction_seconds for each in made.ours]
    return (
        middle(hand),
        shown(max(each.wait_seconds for each in made.by_hand)),
        middle(ours),
        ratios(ours, hand),
        shown(max(each.wait_seconds for each in made.ours)),
    )


def ratios(those: Sequence[float], first: Sequence[float]) -> str:
    """The median and the spread of the ratios of the pairs."""
    found = sorted(one / other for one, other in zip(those, first, strict=True))
    return f"{statistics.median(found):.1f} ({found[0]:.1f} to {found[-1]:.1f})"


def middle(seconds: Sequence[float]) -> str:
    """The median as a person reads it."""
    return shown(statistics.median(seconds))


def shown(seconds: float) -> str:
    """Seconds as a person reads them."""
    return f"{seconds * 1000:,.0f} ms" if seconds < 10 else f"{seconds:,.1f} s"


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; what comes first is a name."""
    rows = [header, ["---", *(["---:"] * (len(header) - 1))], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    read(*sys.argv[1:])
