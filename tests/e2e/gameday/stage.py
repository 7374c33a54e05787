# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a round is played: the pipeline at work, the network to it, what is held, and who types; each act is done here."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
import typing as t

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import probes
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.live_load import Load
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.playbook_process import PlaybookCall
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.scene import PLAYBOOKS
from ansible_collections.scout.drills.plugins.plugin_utils.reference import next_runs, oracle
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.library import FAULTS
from tests.e2e.gameday import catalog_operators, ground, kinds
from tests.e2e.gameday.proxy import Network
from tests.integration.modules import operator

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from uuid import UUID

    from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.playbook_process import (
        PlaybookProcess,
        PlaybookRunner,
    )
    from ansible_collections.scout.drills.plugins.plugin_utils.drill.results.records import PlaybookResult
    from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.base import Sandbox
    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
    from tests.e2e.gameday.script import Act, Script

INCIDENT: t.Final = "GAMEDAY"
WINDOW: t.Final = dt.timedelta(hours=2)
#: How long one playbook may take before it counts as hanging; what a round holds is over long before that.
PLAYBOOK_SECONDS: t.Final = 300.0
#: Options that make a round short where the defaults have a person wait.
SHORT: t.Final = {"proof_timeout_seconds": 20, "drain_timeout_seconds": 10}
PREPARED: t.Final = "gameday"

#: What a colleague does by hand, in good faith.
BY_HAND: t.Final[dict[str, t.LiteralString]] = {
    "load": "SELECT FROM scout.load_silver_from_bronze(500)",
    "refresh": "SELECT FROM scout.refresh_gold_platinum()",
    "end_sessions": """
        SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE datname = pg_catalog.current_database() AND application_name LIKE 'scout-recovery/%%'""",
    "cancel_queries": """
        SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE datname = pg_catalog.current_database() AND state = 'active' AND pid <> pg_catalog.pg_backend_pid()""",
    "switch_jobs_on": "UPDATE cron.job SET active = true",
    "vacuum": "VACUUM ANALYZE scout.silver_transactions",
}


class Play:
    """A playbook that somebody typed, and may not wait for."""

    def __init__(self, process: PlaybookProcess, name: str, folder: Path, deadline: float) -> None:
        self.process, self.name, self.folder, self.deadline = process, name, folder, deadline
        #: What happens to it while it runs: when, and what.
        self.ends_at: float | None = None
        self.ends = "wait"
        self.hung = False

    def look(self, now: float) -> None:
        """Ends it where its time has come."""
        if self.ends_at is not None and now >= self.ends_at:
            self.ends_at = None
            if self.ends == "kill":
                self.process.kill_controller()
            else:
                self.process.interrupt()
        if now > self.deadline and self.process.running:
            self.hung = True
            self.process.stop()


class Stage:
    """A context manager: what was begun on it is ended with it."""

    def __init__(
        self, script: Script, sandbox: Sandbox, runner: PlaybookRunner, folder: Path, progress: Progress
    ) -> None:
        self.script, self.sandbox, self.runner = script, sandbox, runner
        self.folder, self.progress = folder, progress
        self.load = Load(sandbox.dsn, events_per_second=script.events_per_second, scheduler=sandbox.has_pg_cron)
        self.known: dict[UUID, str] = {}
        self.plays: list[Play] = []
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> t.Self:
        self._operator = self.sandbox.dsn
        if self.script.operator != "owner":
            self._operator = self._ends.enter_context(operator(self.sandbox.dsn))
        self.known = oracle.bronze(self.sandbox.dsn)
        self._network = self._ends.enter_context(Network(self.sandbox.dsn))
        self._ends.enter_context(self.load)
        return self

    def __exit__(self, *_: object) -> None:
        for play in self.plays:
            play.process.stop()
        self._ends.close()

    def rest(self) -> None:
        """Nobody writes and no job begins any more."""
        self.load.rest()

    def written(self) -> dict[UUID, str]:
        """Every event that was ever accepted, as it was when first seen."""
        return {**self.known, **self.load.written}

    # --- acts

    def act(self, act: Act) -> str:
        """Does it; what was done, in words. What PostgreSQL or the fault itself refuses did not happen, and is raised."""
        does: Callable[..., str | None] | None = getattr(self, f"_{act.name}", None)
        if does is None and act.name in catalog_operators.OPERATORS:
            with ground.connect(self.sandbox.dsn) as connection:
                return catalog_operators.apply(connection, act.name, **act.options)
        if does is None:
            return self._fault(act)
        return does(**act.options) or kinds.KINDS[act.name].about

    def _fault(self, act: Act) -> str:
        try:
            found = FAULTS[act.name](self.sandbox.dsn, **act.options)
        finally:
            # One that did not take may have written all the same.
            self.note_arrivals()
        if hasattr(found, "close"):
            self._ends.callback(found.close)
        return kinds.KINDS[act.name].about

    def note_arrivals(self) -> None:
        """Events in bronze now count as accepted, as they were when first seen."""
        arrived = oracle.bronze(self.sandbox.dsn)
        self.known |= {event: text for event, text in arrived.items() if event not in self.known}

    def _hold_lock(self, mode: str, table: str, seconds: float) -> str:
        connection = next_runs.unhindered(self.sandbox.dsn, "gameday", autocommit=False)
        statement = sql.SQL("LOCK {} IN {} MODE").format(
            sql.Identifier("scout", table), sql.SQL(t.cast("t.LiteralString", mode))
        )

        def hold() -> None:
            with contextlib.suppress(psycopg.Error), connection:
                connection.execute("SET LOCAL lock_timeout = '5s'")
                connection.execute(statement)
                threading.Event().wait(seconds)

        thread = threading.Thread(target=hold, daemon=True, name="holder")
        thread.start()
        self._ends.callback(thread.join, seconds + 10)
        return f"{statement.as_string(connection)} for {seconds:g} s"

    def _prepare_transaction(self, table: str) -> str:
        with next_runs.unhindered(self.sandbox.dsn, "gameday", autocommit=False) as connection:
            connection.execute("SET LOCAL lock_timeout = '3s'")
            locked = sql.SQL("LOCK {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier("scout", table))
            connection.execute(locked)
            connection.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(f"{PREPARED}_{table}")))
            connection.commit()
        return f"a prepared transaction holds {table}"

    def _limit_connections(self, role: str, limit: int) -> str:
        with ground.connect(self.sandbox.dsn) as connection:
            named = self.sandbox.owner if role == "loader" else str(conninfo_to_dict(self._operator)["user"])
            if named == connection.info.user:
                raise LookupError("a superuser has no limit")
            statement = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(sql.Identifier(named), sql.Literal(limit))
            connection.execute(statement)
            return statement.as_string(connection)

    def _skew_clock(self, days: int, count: int) -> str:
        with ground.connect(self.sandbox.dsn) as connection:
            for _ in range(count):
                sold = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
                # A seed that nobody used, so that no sale repeats.
                event = generator.insert(connection, generator.transaction(time.time_ns() % 10**9, 0, sold_at=sold))
                connection.execute("UPDATE scout.bronze_events SET event_ts = %s WHERE event_id = %s", [sold, event])
        self.note_arrivals()
        return f"{count} sales of {days:+} days from now"

    def _restart_server(self, immediate: bool) -> None:
        self.sandbox.restart_server(immediate=immediate)

    def _slow_network(self, milliseconds: int) -> str:
        self._network.slow(milliseconds / 1000)
        return f"each message takes {milliseconds} ms longer"

    def _cut_network(self, seconds: float) -> str:
        self._network.cut(seconds)
        return f"no connections for {seconds:g} s"

    def _colleague(self, does: str) -> str:
        """In a session of its own, which nobody waits for."""

        def work() -> None:
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self.sandbox.dsn, autocommit=True, application_name="psql") as connection,
            ):
                connection.execute("SET statement_timeout = '20s'")
                connection.execute(BY_HAND[does])

        thread = threading.Thread(target=work, daemon=True, name="colleague")
        thread.start()
        self._ends.callback(thread.join, 25)
        return does.replace("_", " ")

    # --- playbooks

    def _takeover(self, playbook: str, actor: str) -> str:
        self.type(playbook, {**self._variables(playbook), "takeover": True}, actor=actor)
        return f"{playbook}.yml, which takes the lease from whoever has it"

    def _play(self, playbook: str, ends: str, after: float, actor: str) -> str:
        play = self.type(playbook, self._variables(playbook), actor=actor)
        if ends != "wait":
            play.ends, play.ends_at = ends, time.monotonic() + after
        return f"{playbook}.yml" + (f", {ends} after {after:g} s" if ends != "wait" else "")

    def type(self, playbook: str, variables: Mapping[str, t.Any], actor: str = "first", *, check: bool = False) -> Play:
        """The playbook on its way, by way of the network."""
        folder = self.folder / f"{len(self.plays) + 1:02d}-{playbook}"
        folder.mkdir(parents=True)
        dsn = self._network.dsn(self._operator)
        call = PlaybookCall(PLAYBOOKS / f"{playbook}.yml", folder, dsn, {**SHORT, **variables}, actor, check=check)
        made = Play(self.runner.start(call), playbook, folder, time.monotonic() + PLAYBOOK_SECONDS)
        self.plays.append(made)
        return made

    def ended(self, play: Play) -> PlaybookResult:
        """Waits for its end."""
        while play.process.running:
            self.look()
            self.progress.wait(0.05)
        return play.process.played()

    def look(self) -> None:
        """Ends those whose time has come."""
        now = time.monotonic()
        for play in self.plays:
            play.look(now)

    def _variables(self, playbook: str) -> dict[str, t.Any]:
        """What a person gives; LookupError where there is nothing that it could be about."""
        now = probes.now(self.sandbox.dsn)
        match playbook:
            case "quarantine" | "window_recovery":
                return {"incident": INCIDENT, "window_start": (now - WINDOW).isoformat(), "window_end": now.isoformat()}
            case "redrive":
                return {"incident": INCIDENT, "of_incident": INCIDENT}
            case "undo":
                run_id = self._latest_moved()
                if run_id is None:
                    raise LookupError("there is no run yet that could be undone")
                return {"incident": INCIDENT, "run_id": run_id}
            case "assess" | "acceptance_gate":
                return {}
            case _:
                return {"incident": INCIDENT}

    def latest_undo(self) -> list[str]:
        """What undoes the latest run that moved rows and was not undone, as somebody types it; nothing where there is none."""
        run_id = self._latest_moved()
        return [] if run_id is None else [f"ansible-playbook playbooks/undo.yml -e run_id={run_id}"]

    def _latest_moved(self) -> str | None:
        runs = probes.undoable(self.sandbox.dsn)
        return runs[0].run_id if runs else None
