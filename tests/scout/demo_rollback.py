# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys a bad release to a pipeline at work, goes back with one command, and proves that everything is as it was captured and
that no event was lost; then brings the release back.

`make demo-rollback`, or `python -m tests.scout.demo_rollback --events 4000`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.shop import MINUTE_SECONDS, Connection, Shop
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import where
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.bad_release import (
    ETL_JOB,
    HISTORY,
    MIGRATION,
    PRICES,
    TIERS,
    Observer,
    Picture,
    Team,
)
from tests import CHECKOUT
from tests.scout import player
from tests.scout.demo_moves import ASTRAY, EXISTED, FINGERPRINT, LOAD_ALL, SETTLE
from tests.scout.player import OLD_LETTER, Hands, Prints, Ran, Stage, Story, rows, table
from tests.scout.screen import Screen

DATABASE = "scout_rollback"
STATE = Path(".scout") / "demo-rollback"
EVENTS = 50_000
RATE = 100.0
#: A real scheduler needs a minute to the next run.
PATIENCE_SECONDS = 100.0
RELEASE, INCIDENT = "scout_release=v5.2.1", "scout_incident=DEMO-7"

#: What the release breaks, and the gate has to see.
SEEN = {"job_runs", "jobs_active", "smoke_test"}

#: Every column of every row that was there; `xmin` makes even a rewrite of the same values show. The release itself rewrites silver.
UNTOUCHED = {
    "bronze_events": ("t.xmin::text || t::text", "scout.bronze_events AS t JOIN existed_events USING (event_id)"),
    "etl_processed": ("t.xmin::text || t::text", "scout.etl_processed AS t JOIN existed_events USING (event_id)"),
    "silver_transactions": ("t::text", "scout.silver_transactions AS t JOIN existed_sales USING (transaction_id)"),
    "silver_line_items": (
        "t.xmin::text || t::text", "scout.silver_line_items AS t JOIN existed_sales USING (transaction_id)",
    ),
    "bronze_events_dlq": ("t.xmin::text || t::text", "scout.bronze_events_dlq AS t"),
    "dim_store": ("t.xmin::text || t::text", "scout.dim_store AS t"),
    "dim_region": ("t.xmin::text || t::text", "scout.dim_region AS t"),
}  # fmt: skip

#: The migrations are the pipeline's owner's, as whom an operator restores them; he could become no superuser.
HISTORY_OWNED = """
ALTER SCHEMA supabase_migrations OWNER TO loader;
ALTER TABLE supabase_migrations.schema_migrations OWNER TO loader
"""

RUNS = """
SELECT d.status, d.return_message FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
WHERE j.jobname = %(job)s AND d.runid > %(after)s AND d.status <> 'running' ORDER BY d.runid
"""
LAST_RUN = "SELECT coalesce(max(runid), 0) FROM cron.job_run_details"


@dataclass
class Case:
    """A pipeline with its application, and what was seen of it before and after the release."""

    connection: Connection
    dsn: str
    operator: str
    team: Team
    before: Prints
    good: Picture
    prices: list[tuple[Any, ...]]
    bad: Picture = field(default_factory=lambda: Picture([], [], []))
    tiers: list[tuple[Any, ...]] = field(default_factory=list)
    tip: str = ""
    checkout: dict[str, str] = field(default_factory=dict)

    def now(self) -> Picture:
        """What pg_dump, the scheduler and the history say."""
        return Picture.of(self.connection, self.dsn)

    def prints(self) -> Prints:
        """Number and digest of the rows of tables that a way back need not touch."""
        return _prints(self.connection)


def show(stage: Stage) -> None:
    """A bad release comes and goes, and comes back."""
    screen, dsn, connection = stage.screen, stage.dsn, stage.connection
    screen.title("A pipeline at work, and the application around it")
    case = _prepare(stage)
    hands = stage.hands(case.operator)
    shop = Shop(dsn, rate=RATE, corrections_per_second=2.0, scheduler=builder.has_scheduler(connection))
    shop.existing = case.before["bronze_events"][0]
    with shop:
        _introduce(screen, shop, case, stage.events, stage.seconds)
        hands.begin()
        _capture(screen, hands, case)
        _deploy(screen, hands, case)
        back, seen = _go_back(screen, hands, case)
        again = hands.types_again("rollback", *_options(case), RELEASE, INCIDENT)
        _ask_again(screen, hands)
    connection.execute(LOAD_ALL)
    screen.title("The facts")
    _check_release(screen, case)
    _check_application(screen, case)
    _check_rows(screen, case, shop)
    _check_run(screen, back, again)
    with shop.reopened() as shop:
        undone, while_undone = _bring_back(screen, hands, case, back)
    _check_undone(screen, case, shop, undone)
    _figures(screen, hands, {"rollback": seen, "undo": while_undone})


def _prepare(stage: Stage) -> Case:
    """A healthy pipeline at rest with its application, all of it as it should be."""
    connection, dsn = stage.connection, stage.dsn
    builder.build(dsn, events=stage.events)
    for statements in (HISTORY, HISTORY_OWNED, OLD_LETTER, LOAD_ALL, SETTLE, EXISTED):
        connection.execute(statements)
    operator = builder.operator(dsn, rollback=True)
    # For the rehearsal, as docs/privileges.md says.
    connection.execute(f"ALTER ROLE {builder.OPERATOR} CREATEDB")
    team = Team(CHECKOUT / stage.story.state / "team")
    prices = rows(connection, PRICES)
    return Case(connection, dsn, operator, team, _prints(connection), Picture.of(connection, dsn), prices)


def _prints(connection: Connection) -> Prints:
    query = FINGERPRINT.replace("t::text", "{}")
    return {name: rows(connection, query.format(what, these))[0] for name, (what, these) in UNTOUCHED.items()}


def _options(case: Case) -> tuple[str, ...]:
    """What the team has written down about its application."""
    return (f"@{case.team.variables.relative_to(CHECKOUT, walk_up=True)}",)


def _introduce(screen: Screen, shop: Shop, case: Case, events: int, seconds: float) -> None:
    screen.say(
        f"Scout with {events:,} events, built in {seconds:.0f} s. From here on {shop.rate:.0f} sales a second arrive, some in slow "
        "transactions, and some are corrected; while the release goes and comes again, a dashboard reads silver 20 times a second. "
        + ("pg_cron runs the jobs." if shop.scheduler else
           f"A stand-in for pg_cron runs the active jobs, each as its owner; its minute has {MINUTE_SECONDS:g} seconds.")
    )  # fmt: skip
    screen.say(
        "The application lies in a bare git repository, and in a checkout of the person on call. "
        "A program takes the place of the Supabase CLI, and writes down what it would deploy. "
        f"{case.team.variables.name} tells the playbooks where all that is."
    )


def _capture(screen: Screen, hands: Hands, case: Case) -> None:
    screen.title("Before the deployment: the release is captured")
    ran = hands.types("capture_release", *_options(case), RELEASE, "scout_protect=scout.dim_product.list_price")
    made = ran.part("release")
    screen.promise(
        made.get("git_commit") == case.team.good,
        f"the capture knows the commit that is checked out: {case.team.good[:10]}",
    )


def _deploy(screen: Screen, hands: Hands, case: Case) -> None:
    """The release, its migration, and the gate's opinion of it."""
    screen.title("The deployment: three commits and a merge, and a migration")
    [[after]] = rows(case.connection, LAST_RUN)
    case.team.release(case.connection)
    case.bad, case.tiers, case.tip = case.now(), rows(case.connection, TIERS), case.team.tip
    case.checkout = case.team.checkout.state()
    screen.command("git", "log", "--oneline", "--graph")
    for line in case.team.checkout.git("log", "--oneline", "--graph", "--no-decorate").splitlines():
        screen.output(line)
    print()
    screen.say(f"{MIGRATION} does all of this:")
    screen.item("the loader expects the store where the new edge function will put it, and the tills do not")
    screen.item(f"silver_transactions has a new column, loyalty_tier, with data in {case.tiers[0][0]:,} rows")
    screen.item(f"dim_product has lost its column list_price, with {len(case.prices)} prices")
    screen.item("the view v_pipeline_throughput is another one, made of the new column")
    screen.item("dashboard_reader may no longer read silver_transactions, and product-linking is off")
    ran = _job_ran(case.connection, after, "failed")
    screen.say(f"The next run of the ETL's job: {ran.splitlines()[0] if ran else 'none failed'}")
    print()
    gate = hands.types("acceptance_gate", INCIDENT, "scout_smoke=true", fails=True)
    checks = {check["name"]: check for check in gate.part("gate").get("checks", ())}
    failing = {name for name, check in checks.items() if check["counts"] and check["status"] == "fail"}
    screen.promise(
        gate.exit_code != 0 and ran and failing >= SEEN,
        f"the gate says no: exit code {gate.exit_code}, code {gate.part('gate').get('exit_code')} of the old script; failing: "
        + ", ".join(sorted(failing)),
    )


def _job_ran(connection: Connection, after: int, status: str) -> str:
    """What the first run of the ETL's job that ended so since then says; empty where there was none."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for ended, said in rows(connection, RUNS, job=ETL_JOB, after=after):
            if ended == status:
                return str(said or ended)
        time.sleep(0.1)
    return ""


def _go_back(screen: Screen, hands: Hands, case: Case) -> tuple[Ran, Observer]:
    """One command, and the ETL's own job once more."""
    screen.title("One command")
    with Observer(case.dsn) as seen:
        ran = hands.types("rollback", *_options(case), RELEASE, INCIDENT)
        [[after]] = rows(case.connection, LAST_RUN)
        loaded = _job_ran(case.connection, after, "succeeded")
    screen.promise(
        loaded and seen.refused and seen.answered,
        f"the ETL's own job runs again, and the dashboard reads again, which was refused {seen.refused} times before",
    )
    print()
    return ran, seen


def _check_release(screen: Screen, case: Case) -> None:
    """Schema, grants, jobs, history and protected data are those of the capture."""
    now, changed = case.now(), _differing(case.good.schema, case.bad.schema)
    left = _differing(case.good.schema, now.schema)
    screen.promise(
        changed and now.schema == case.good.schema,
        f"pg_dump of the whole database but our ledger, {len(now.schema):,} lines with every grant: {changed} differed with the "
        f"release, {left} now",
    )
    screen.promise(
        case.bad.jobs != case.good.jobs == now.jobs and case.bad.migrations != case.good.migrations == now.migrations,
        f"{len(now.jobs)} jobs are as captured, product-linking on; the history of migrations ends with "
        f"{now.migrations[-1][0] if now.migrations else 'none'}",
    )
    prices = rows(case.connection, PRICES)
    same = sum(one == other for one, other in zip(prices, case.prices, strict=False))
    screen.promise(prices == case.prices, f"{same} of {len(case.prices)} list prices are back, each at its product")


def _differing(one: list[str], other: list[str]) -> int:
    """How many lines are only on one side."""
    here, there = set(one), set(other)
    return sum(line not in there for line in one) + sum(line not in here for line in other)


def _check_application(screen: Screen, case: Case) -> None:
    """Branch, checkout and function."""
    team = case.team
    parents = team.remote.git("rev-list", "--parents", "--max-count=1", team.tip).split()[1:]
    screen.promise(
        team.remote.tree("main") == team.remote.tree(team.good) and parents == [case.tip],
        f"the branch's tree is that of {team.good[:10]}, by one commit on top of the release: {team.tip[:10]}",
    )
    screen.promise(team.checkout.state() == case.checkout, "the checkout is as it was")
    calls = team.cli.calls
    often = "once" if len(calls) == 1 else f"{len(calls)} times"
    screen.promise(
        len(calls) == 1
        and calls[0]["files"] == team.function_of(team.good) != team.function_of(case.tip)
        and "--no-verify-jwt=false" in calls[0]["argv"],
        f"the edge function was deployed {often}, from the tree of {team.good[:10]}; JWT verification stays on",
    )


def _check_rows(screen: Screen, case: Case, shop: Shop) -> None:
    """Every event is in one place as it was sent, silver has what bronze says, and what was there is there."""
    _check_events(screen, shop)
    [[astray, sales]] = rows(case.connection, ASTRAY)
    screen.promise(
        astray == 0, f"silver has each of {sales:,} sales of bronze once, with its total; {astray} are astray"
    )
    after = case.prints()
    screen.promise(case.before == after, "of what was there before the release not one row was touched:")
    table(case.before, after)
    screen.say(
        "Compared is every column, and which transaction wrote the row last; not the latter in silver_transactions, where the "
        "release itself had written.", "        ",
    )  # fmt: skip
    print()


def _check_events(screen: Screen, shop: Shop) -> None:
    found = where(shop.dsn, shop.written)
    screen.promise(
        not (found.lost or found.duplicated or found.unexpected or found.altered),
        f"{len(shop.written):,} events sent, {shop.arrived:,} of them meanwhile: {len(found.lost)} lost, "
        f"{len(found.duplicated)} duplicated, {len(found.unexpected)} unexpected, {len(found.altered)} altered, in bronze or "
        "among the dead letters",
    )


def _ask_again(screen: Screen, hands: Hands) -> None:
    gate = hands.types("acceptance_gate", INCIDENT, "scout_smoke=true").part("gate")
    screen.promise(
        gate.get("ok") and _smoke(gate) == "pass",
        f"the gate's verdict is {gate.get('verdict')}, its smoke test's {_smoke(gate)}",
    )


def _smoke(gate: dict[str, Any]) -> str:
    smoke: dict[str, Any] = gate.get("smoke") or {}
    return str(smoke.get("status", "not run"))


def _check_run(screen: Screen, back: Ran, again: Ran) -> None:
    gate = back.part("gate")
    screen.promise(
        gate.get("ok") and _smoke(gate) == "pass",
        f"the rollback had asked the gate itself, before it resumed; its smoke test's verdict was {_smoke(gate)}",
    )
    screen.promise(again.changed == 0, f"changed by the second run: {again.changed}")


def _bring_back(screen: Screen, hands: Hands, case: Case, back: Ran) -> tuple[Ran, Observer]:
    """The undo, and the same once more."""
    screen.title("The rollback was the mistake: the release comes back")
    screen.say(
        "The shops are open again. The loader of this release cannot load what they send, so an undo does not ask it to, and "
        "is told to prove nothing."
    )
    print()
    schema: dict[str, Any] = back.part("rollback").get("schema") or {}
    undo = (INCIDENT, f"scout_run_id={schema.get('undo')}", "scout_proof=false")
    with Observer(case.dsn) as seen:
        hands.types("undo", *undo)
    return hands.types_again("undo", *undo), seen


def _check_undone(screen: Screen, case: Case, shop: Shop, again: Ran) -> None:
    """The release is there with its data, and still no event is lost."""
    now = case.now()
    screen.promise(
        now == case.bad,
        f"pg_dump, jobs and history are those of the release: {_differing(case.bad.schema, now.schema)} lines differ",
    )
    tiers = rows(case.connection, TIERS)
    screen.promise(
        tiers == case.tiers,
        f"loyalty_tier has its data back: {tiers[0][0]:,} of {case.tiers[0][0]:,} rows, the same digest",
    )
    _check_events(screen, shop)
    screen.promise(again.changed == 0, f"changed by the second undo: {again.changed}")


def _figures(screen: Screen, hands: Hands, seen: dict[str, Observer]) -> None:
    screen.title("Figures, which are not promises")
    screen.say("Seconds, looked at from outside a hundred times a second.")
    print()
    for ran in hands.first:
        screen.pair(ran.name, f"{ran.seconds:5.1f} s from the command to its end")
    for ran in hands.again:
        screen.pair(f"{ran.name} again", f"{ran.seconds:5.1f} s")
    for name, each in seen.items():
        screen.pair(f"{name}: ingestion paused", f"{each.paused_seconds:5.1f} s")
        screen.pair(f"{name}: tables locked", f"{each.locked_seconds:5.2f} s, so that nobody can read what is altered")
        screen.pair(f"{name}: the slowest read", f"{each.slowest_read_seconds:5.2f} s of {each.reads} by the dashboard")


DOES = "Deploys a bad release to a running Scout, and rolls back to the previous one."
STORY = Story("demo_rollback", DOES, DATABASE, STATE, EVENTS, show)

if __name__ == "__main__":
    sys.exit(player.main(STORY))
