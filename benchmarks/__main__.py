# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Side by side, on a throwaway server of this machine: `make bench`, or `python -m benchmarks drain --rounds 5`."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks import distance, growth, mesh, moves, release, rivals, window
from benchmarks.timing import ROOT, Case, Line, command, compare, table, until

ANSIBLE = "ansible-playbook"
PLAYBOOKS = ROOT / "playbooks"
#: Where a table is put: what adopters need, and the rest.
REPORTS = (ROOT / "docs" / "sizing.md", ROOT / "benchmarks" / "README.md")


class Bench:
    """A server, a scratch folder, and what every measurement needs."""

    def __init__(self, server: Server, folder: Path, rounds: int, events: int | None = None) -> None:
        self.server = server
        self.folder = folder
        self.rounds = rounds
        self.events = events
        self.number = 0

    def database(self, **options: int) -> str:
        """A fresh reference database of its own."""
        self.number += 1
        return builder.build(self.server.create_database(f"bench_{self.number}"), **options)

    def playbook(self, name: str, dsns: list[str], *extra: str) -> list[str]:
        """The command line of one of our playbooks."""
        return [ANSIBLE, "-i", rivals.hosts(self.folder, dsns), str(PLAYBOOKS / f"{name}.yml"), *extra]

    def plain(self, path: str, dsns: list[str], program: str = ANSIBLE) -> list[str]:
        """The command line of any other play."""
        return [program, "-i", rivals.hosts(self.folder, dsns), path]


def active_jobs(dsn: str) -> Callable[[], bool]:
    """A cheap question, on a connection of its own: is no ingestion job active?"""
    connection = psycopg.connect(dsn, autocommit=True)
    query = "SELECT count(*) FROM cron.job WHERE active AND jobname IN ('bronze-to-silver-etl', 'product-linking', 'smart-gold-refresh')"

    def none_active() -> bool:
        row = connection.execute(query).fetchone()
        return row is not None and row[0] == 0

    return none_active


def activate(dsn: str) -> None:
    """All jobs active and no pause on record, as before a pause."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE cron.job SET active = true")
        if (row := connection.execute("SELECT to_regclass('scout_ops.pauses')").fetchone()) and row[0]:
            connection.execute("DELETE FROM scout_ops.pauses")


def task(bench: Bench) -> list[Line]:
    """What one more task costs: twenty of ours against twenty debug tasks, less the same play with none."""
    dsn = bench.database(events=2000)
    count = 20
    ours = rivals.play(
        bench.folder,
        "ours",
        [{"scout.recovery.scout_ingestion": {"dsn": "{{ scout_dsn }}", "state": "running"}}] * count,
    )
    none = bench.plain(rivals.empty(bench.folder), [dsn])
    debug = bench.plain(rivals.debug(bench.folder, count), [dsn])
    mine = bench.plain(ours, [dsn])
    cases = [
        Case("a debug task", lambda: (command(debug) - command(none)) / count),
        Case("a task of the toolkit (ingestion is as wanted)", lambda: (command(mine) - command(none)) / count),
    ]
    if found := rivals.community(bench.folder):
        path = rivals.play(
            bench.folder,
            "one",
            [{"community.postgresql.postgresql_query": {**rivals.LOGIN, "query": "SELECT 1"}}] * count,
        )
        theirs = bench.plain(path, [dsn], found[0])
        nothing = bench.plain(rivals.empty(bench.folder), [dsn], found[0])
        cases.append(
            Case("a community.postgresql task (SELECT 1)", lambda: (command(theirs) - command(nothing)) / count)
        )
    return compare(cases, bench.rounds)


def pause(bench: Bench) -> list[Line]:
    """From Enter until no ingestion job is active."""
    dsn = bench.database(events=2000)
    paused = active_jobs(dsn)

    def measured(arguments: list[str], env: dict[str, str] | None = None) -> float:
        activate(dsn)
        return until(arguments, paused, env=env)

    def broken_reset() -> float:
        library.poison_event(dsn)
        return measured(bench.playbook("emergency_reset", [dsn]))

    empty = bench.plain(rivals.empty(bench.folder), [dsn])
    cases = [
        Case("an empty play, from start to end", lambda: command(empty)),
        Case("pause_ingestion.yml", lambda: measured(bench.playbook("pause_ingestion", [dsn]))),
        Case("emergency_reset.yml: privileges, lease, assessment and evidence come first", broken_reset),
    ]
    if found := rivals.community(bench.folder):
        cases.append(
            Case(
                "seven community.postgresql tasks, of which the first pauses",
                lambda: measured(bench.plain(found[1], [dsn], found[0])),
            )
        )
    return compare(cases, bench.rounds)


def healthy(bench: Bench) -> list[Line]:
    """The whole reset where nothing is wrong."""
    dsn = bench.database(events=2000)
    return compare(_whole(bench, dsn, lambda: None), bench.rounds)


def broken(bench: Bench) -> list[Line]:
    """The whole reset with 2,000 events pending behind three poison events and gold stale."""
    dsn = bench.database(events=2000)

    def damage() -> None:
        activate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "DELETE FROM scout.bronze_events WHERE event_id NOT IN (SELECT event_id FROM scout.etl_processed)"
            )
        library.backlog(dsn, count=2000)
        for kind in ("non_numeric_amount", "items_string", "missing_store_id"):
            library.poison_event(dsn, kind=kind)

    return compare(_whole(bench, dsn, damage), bench.rounds)


def _whole(bench: Bench, dsn: str, prepare: Callable[[], None]) -> list[Case]:
    def after(arguments: list[str], env: dict[str, str] | None = None, expect: int | None = 0) -> float:
        prepare()
        return command(arguments, env=env, expect=expect)

    empty = bench.plain(rivals.empty(bench.folder), [dsn])
    script = rivals.script(bench.folder)
    cases = [
        Case("an empty play", lambda: command(empty)),
        Case("emergency_reset.yml", lambda: after(bench.playbook("emergency_reset", [dsn]))),
        Case(
            "the runbook's script (pauses nothing; one batch, which poison defeats)",
            lambda: after(script, {"PGURI": dsn}),
        ),
    ]
    if found := rivals.community(bench.folder):
        # Poison makes its ETL task fail: that is the comparison.
        seven = bench.plain(found[1], [dsn], found[0])
        cases.append(Case("seven community.postgresql tasks", lambda: after(seven, expect=None)))
    return cases


def fleet(bench: Bench, sizes: tuple[int, ...] = (1, 50, 200)) -> dict[int, list[Line]]:
    """The reset on many databases at once, none of them broken, against the script run on one after the other."""
    template = builder.template(bench.server, events=200)
    dsns = [template.clone(f"fleet_{number}") for number in range(max(sizes))]
    script = rivals.script(bench.folder)
    found = rivals.community(bench.folder)
    results: dict[int, list[Line]] = {}
    for size in sizes:
        some = dsns[:size]

        def serially(some: list[str] = some) -> float:
            return sum(command(script, env={"PGURI": dsn}) for dsn in some)

        def ours(some: list[str] = some) -> float:
            return command(bench.playbook("emergency_reset", some))

        cases = [Case("the runbook's script, serially", serially), Case("emergency_reset.yml", ours)]
        if found:
            seven, program = found[1], found[0]

            def theirs(some: list[str] = some, seven: str = seven, program: str = program) -> float:
                return command(bench.plain(seven, some, program), expect=None)

            cases.append(Case("seven community.postgresql tasks", theirs))
        results[size] = compare(cases, 1 if size > 1 else bench.rounds, warmups=0 if size > 1 else 1)
    return results


def drain(bench: Bench, events: int = 100_000) -> list[Line]:
    """A backlog loaded by scout_drain, by the runbook's batches in a loop, and by one single call."""
    dsn = bench.database(events=2000)
    with psycopg.connect(dsn, autocommit=True) as connection:
        # Corrections apart: two events of one transaction in a batch would defeat the loop.
        times = generator.clock(events, datetime.now(UTC))
        numbers = (number for number in range(events) if generator.corrects(number) is None)
        generator.copy(connection, generator.events(7, times, numbers))
        connection.commit()
        connection.execute("VACUUM ANALYZE scout.bronze_events")
    bench.server.create_database("drain_source", template=psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    play = rivals.play(bench.folder, "drain", [{"scout.recovery.scout_drain": {"dsn": "{{ scout_dsn }}"}}])

    def fresh() -> str:
        bench.server.drop_database("drain_copy")
        return bench.server.create_database("drain_copy", template="drain_source")

    def ours() -> float:
        copy = fresh()
        seconds = command(bench.plain(play, [copy]))
        _assert_drained(copy)
        return seconds

    def loop(size: int) -> float:
        copy = fresh()
        statement = f"SELECT events_processed FROM scout.load_silver_from_bronze({size})"
        began = time.monotonic()
        with psycopg.connect(copy, autocommit=True) as connection:
            while (row := connection.execute(statement).fetchone()) and row[0]:
                pass
        seconds = time.monotonic() - began
        _assert_drained(copy)
        return seconds

    return compare(
        [
            Case("a loop of load_silver_from_bronze(1000)", lambda: loop(1000)),
            Case("scout_drain, the play's start included", ours),
            Case("one call for everything, one transaction", lambda: loop(events)),
        ],
        bench.rounds,
        warmups=0,
    )


def _assert_drained(dsn: str) -> None:
    query = """
        SELECT count(*) FROM scout.bronze_events AS b
        WHERE event_type = 'transaction.v1'
          AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
    """
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    if row is None or row[0]:
        raise RuntimeError(f"{row} events are still pending")


def far(bench: Bench) -> str:
    """What the distance to the database costs."""
    dsn = bench.database(events=2000)

    def play(name: str, at: str) -> None:
        activate(dsn)
        command(bench.playbook(name, [at]))

    def one_query(at: str) -> None:
        with psycopg.connect(at, autocommit=True) as connection:
            connection.execute("SELECT 1")

    names = ("assess", "pause_ingestion", "emergency_reset")
    runs: dict[str, tuple[str, distance.Run]] = {
        "one session with one query": (dsn, one_query),
        "the same with a password and a verified certificate": (_verified(bench, dsn), one_query),
        **{f"{name}.yml": (dsn, lambda at, name=name: play(name, at)) for name in names},
    }
    return distance.table(bench.rounds, runs)


def _verified(bench: Bench, dsn: str) -> str:
    """The connection string of a client that comes by TCP, with TLS: verify-full, SCRAM."""
    authority, chain = bench.folder / "ca.pem", bench.folder / "server.pem"
    importlib.import_module("tests.integration.listeners").certificates(bench.folder)
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(bench.server.dsn(), autocommit=True) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
        assert row
        # The server reads its key as the account that it runs as, and nobody else may.
        own = Path(row[0]) / chain.name
        own.write_bytes(chain.read_bytes())
        own.chmod(0o600)
        os.chown(own, Path(row[0]).stat().st_uid, -1)
        for setting in ("ssl_cert_file", "ssl_key_file"):
            connection.execute(f"ALTER SYSTEM SET {setting} = '{chain.name}'")
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")
    return bench.server.tcp_dsn(name, sslmode="verify-full", sslrootcert=str(authority))


TITLES = {
    "task": "One more task",
    "pause": "From Enter to paused",
    "healthy": "The whole reset where nothing is wrong",
    "broken": "The whole reset with 2,000 events behind three poison events",
    "far": "Forty milliseconds from the database, nothing wrong",
    "fleet": "Many databases at once, none of them broken",
    "mesh": "Eight databases assessed over a mesh, by CPU",
    "drain": "A backlog of 100,000 events",
    "quarantine": "Half of {events:,} events that were not loaded, moved while a writer goes on",
    "closure": "Half of {events:,} loaded events, moved with their silver while a writer goes on, and back",
    "window": "A window of 100,000 events of which silver has nothing, in bronze of several sizes",
    "growth": "The deployed schema, up to ten million sales",
    "release": "A release captured, and rolled back to, in schemas of several sizes",
    "release_data": "A release rolled back to with data",
}

#: How many events the moves are measured on unless said otherwise.
EVENTS = {"quarantine": 2_000_000, "closure": 200_000}


def run(name: str, bench: Bench) -> str:
    """The section of the report for one measurement."""
    made = {"task": task, "pause": pause, "healthy": healthy, "broken": broken, "drain": drain}
    if name == "fleet":
        parts = [table(lines, f"{size} database{'s' * (size > 1)}") for size, lines in fleet(bench).items()]
        return f"### {TITLES[name]}\n\n" + "\n\n".join(parts)
    if name == "mesh":
        dsns = [bench.database(events=500) for _ in range(mesh.SIZE)]
        lines, sent = mesh.compare(bench.folder, dsns, bench.playbook("assess", dsns), bench.rounds)
        told = "\n".join(f"- {line} bytes" for line in dict.fromkeys(sent[-7:]))
        return f"### {TITLES[name]}\n\n{table(lines)}\n\nPayloads, by the number of slices:\n\n{told}"
    if name == "far":
        return f"### {TITLES[name]}\n\n{far(bench)}"
    if name == "window":
        sizes = [bench.events] if bench.events else window.SIZES
        return f"### {TITLES[name]}\n\n{window.compare(bench.server, bench.rounds, sizes)}"
    if name == "growth":
        sizes = [size for size in growth.SIZES if size <= (bench.events or size)] or [bench.events or 0]
        return f"### {TITLES[name]}\n\n{growth.compare(bench.server, bench.folder, sizes)}"
    if name == "release":
        return f"### {TITLES[name]}\n\n{release.by_size(bench.server, bench.rounds)}"
    if name == "release_data":
        return f"### {TITLES[name]}\n\n{release.with_data(bench.server, bench.rounds, bench.events)}"
    if name in EVENTS:
        events = bench.events or EVENTS[name]
        measured = moves.quarantine if name == "quarantine" else moves.closure
        return f"### {TITLES[name].format(events=events)}\n\n{measured(bench.server, bench.rounds, events)}"
    return f"### {TITLES[name]}\n\n{table(made[name](bench))}"


@contextmanager
def prepared(rounds: int, events: int | None = None, settings: dict[str, str] | None = None) -> Iterator[Bench]:
    """A bench on a server of its own."""
    with ExitStack() as stack:
        server = stack.enter_context(Server(settings=settings))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield Bench(server, folder, rounds, events)


def write(name: str, section: str) -> None:
    """Puts a section in its place on the page that has it."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    page = next((page for page in REPORTS if pattern.search(page.read_text())), None)
    if not page:
        raise SystemExit(f"no page has a place for {name}")
    page.write_text(pattern.sub(lambda m: f"{m[1]}{section}\n{m[2]}", page.read_text()))


def main() -> None:
    """Measures what is named, or everything, and prints Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"among {', '.join(TITLES)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of each comparison (default 5)")
    parser.add_argument(
        "--events",
        type=int,
        help="how many events quarantine, closure and window are measured on, growth at most, and how many rows release_data",
    )
    parser.add_argument(
        "--write", action="store_true", help="put the tables into docs/sizing.md and benchmarks/README.md"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(TITLES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name in given.names or TITLES:
        with prepared(given.rounds, given.events, growth.SERVER if name == "growth" else None) as bench:
            section = run(name, bench)
        print(f"{section}\n", flush=True)
        if given.write:
            write(name, section)


if __name__ == "__main__":
    main()
