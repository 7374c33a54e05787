# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all moves of data have in common: their options, the ledger they need, the row limit, and how they describe
what they did."""

from __future__ import annotations

import contextlib
import typing as t

from ...core.errors import BadInput
from ...core.results import ModuleResult
from ...core.text import count, in_words
from ...core.times import to_the_second
from ...ledger import pauses, runs
from ...pipeline import blockers, pause_resume
from ...postgres import lock_holders
from ...postgres.driver import errors, psycopg
from ...postgres.failures import translate
from ...scout import contract, row_hazards
from ...scout.judging import foreign_code
from .batches import LOCK_PATIENCE, Options

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ...invoke import Call
    from ...ledger.runs import Run
    from ...postgres.session import Session
    from .batches import Batches

#: Options every module that moves data has; documented in plugins/doc_fragments/moving.py.
MOVING_SPEC: dict[str, dict[str, t.Any]] = {
    "max_rows": {"type": "int", "default": 100_000},
    "look": {"type": "bool", "default": False},
    "stop_file": {"type": "path"},
    "target_seconds": {"type": "float", "default": 0.5},
    "max_replica_lag_seconds": {"type": "float", "default": 30.0},
    "max_replica_wait_seconds": {"type": "float", "default": 300.0},
    "ignore_replicas": {"type": "list", "elements": "str", "default": []},
    "yield_to_waiters": {"type": "bool", "default": True},
    "require_pause": {"type": "bool", "default": False},
}

SCAN_SECONDS: t.Final = 1800.0

LOCKS: t.Final = (
    "for each batch: SHARE ROW EXCLUSIVE on {etl_ledger} (the ETL waits, readers and writers of bronze do not) "
    "and the rows that are moved"
)

#: How rows are called in what a person reads.
NOUNS: t.Final = {
    "events": "event",
    "transactions": "transaction",
    "lines": "line item",
    "ledger": "line of the ETL's ledger",
}


def closed() -> tuple[str, ...]:
    """What nobody else may write while a batch lasts, so that no run of the ETL is in flight or can start. Bronze stays
    open."""
    return (contract.names().etl_ledger,)


def options(params: Mapping[str, t.Any]) -> Options:
    """The limits of the batch engine. Raises BadInput for values it cannot use."""
    if params["max_rows"] < 0:
        raise BadInput(f"max_rows {params['max_rows']} is not usable", next_step="give 0 or more")
    return Options(
        target_seconds=params["target_seconds"],
        max_replica_lag_seconds=params["max_replica_lag_seconds"],
        max_replica_wait_seconds=params["max_replica_wait_seconds"],
        ignore_replicas=tuple(params["ignore_replicas"]),
        yield_to_waiters=params["yield_to_waiters"],
        stop_file=params["stop_file"],
    )


@contextlib.contextmanager
def reading(session: Session, attempted: str) -> Generator[None]:
    """A READ ONLY transaction for the first look, which may be long; waits for whoever holds a lock. Raises a
    RecoveryError that names them in the end."""
    patience = session.settings.lock_timeout_seconds * LOCK_PATIENCE
    try:
        with session.read(statement_timeout_seconds=SCAN_SECONDS, lock_timeout_seconds=patience):
            yield
    except psycopg.Error as e:
        raised = translate(e, attempted, on=session.where)
        if isinstance(e, errors.LockNotAvailable):
            with session.read():
                who = blockers.explain(
                    session,
                    lock_holders.in_the_way(session, contract.names().required_tables) or lock_holders.keepers(session),
                )
            raised.said += who.held()
            raised.next_step = who.then("run the same command again", raised.next_step)
        raise raised from e


class Whole(t.Protocol):
    """What a move would take along, counted by table on one snapshot."""

    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def gold_days(self) -> list[str]: ...
    @property
    def range(self) -> dict[str, str | None]: ...
    @property
    def estimated_seconds(self) -> float: ...


class MoveOutcome(ModuleResult):
    """What every move says of its rows; in check mode, of those it would move."""

    run_id: str | None
    moved: dict[str, int]
    requeued: int
    gold_days: list[str]
    resumed: bool
    effects: dict[str, t.Any]
    diff: dict[str, t.Any]


class MoveResult(MoveOutcome):
    """The same with its plan, in check mode, or with its batches, where it had something to do."""

    plan: t.NotRequired[dict[str, t.Any]]
    batches: t.NotRequired[dict[str, t.Any]]


class FinishedMove(MoveOutcome):
    """What a run says that came to its end."""

    batches: dict[str, t.Any]


#: Options that runs of earlier releases do not have: where they are left out, such a run can be gone on with.
LATER: t.Final = frozenset({"source_files"})


class MoveJob:
    """What a move was asked for: by options, or by the same options before it was interrupted."""

    def __init__(
        self, call: Call, params: Mapping[str, t.Any], action: str, spec: Mapping[str, Mapping[str, t.Any]]
    ) -> None:
        self.call = call
        self.params = params
        self.action = action
        if params["ledger"] == "off":
            raise BadInput(
                "refused to move data with ledger=off",
                next_step="leave ledger at auto: moves must be recorded so that they can be undone",
            )
        self.asked: dict[str, t.Any] = {name: params[name] for name in spec if name not in LATER or params[name]}
        self.interrupted: dict[str, t.Any] | None = None
        ledger = call.look()
        if ledger.present:
            with call.session.read():
                self.interrupted = runs.interrupted(ledger, action, self.asked)
        if self.interrupted and not call.check:
            call.progress.say(
                f"continuing interrupted run {self.interrupted['run_id']} of {to_the_second(self.interrupted['started_at'])}, "
                "which did not come to its end"
            )

    @contextlib.contextmanager
    def operation(self, parameters: dict[str, t.Any], *, undoes: str | None = None) -> Generator[Run]:
        """The run under the lease; the ledger is not optional: a move that is not recorded could not be undone."""
        call, params = self.call, self.params
        self.require_leave()
        ledger = call.ensure("required")
        if params["require_pause"]:
            pause_resume.require_barrier(call.session, ledger, params["jobs"], call.progress)
        token, takeover = params["lease_token"], params["takeover"]
        with runs.operation(
            ledger,
            self.action,
            parameters,
            lease_token=token,
            takeover=takeover,
            asked=self.asked,
            undoes=undoes,
        ) as run:
            yield run

    @property
    def wants_all(self) -> bool:
        """Whether to count everything that would move, for a check."""
        return self.call.check and not self.params["look"]

    def looked(self, rows: int, verb: str) -> MoveResult:
        """The result of a look that only has to know whether there is anything to do."""
        some = rows > 0
        if some:
            self.require_leave()
        return {
            **self.nothing(f"{verb} {count(rows, 'event')}" if some else "0 events match"),
            "changed": some or self.interrupted is not None,
            "moved": {**dict.fromkeys(NOUNS, 0), "events": rows},
        }

    @property
    def frozen(self) -> dict[str, t.Any] | None:
        """What was selected when the run that was interrupted began; None where the options say it."""
        return self.interrupted["parameters"]["selection"] if self.interrupted else None

    @property
    def document(self) -> dict[str, t.Any]:
        """What each image says of the run it is of."""
        return {"incident": self.call.incident, "actor": self.call.controller.actor}

    def refuse_too_many(self, rows: int, noun: str = "event") -> None:
        """Raises BadInput before the first write where more rows would be moved than allowed."""
        refuse_too_many(rows, self.params, where=self.call.session.where, noun=noun)

    def planned(self, whole: Whole, *, verb: str) -> MoveResult:
        """The result of a check."""
        some = any(whole.counts.values())
        if some:
            self.require_leave()
        seconds = whole.estimated_seconds if some else 0.0
        moved, requeued = {k: whole.counts.get(k, 0) for k in NOUNS}, whole.counts.get("requeued", 0)
        effects: dict[str, t.Any] = {"moved": moved, "requeued": requeued}
        summary = sentence(verb, effects) if some else "0 events match"
        if some:
            summary += f", in about {in_words(seconds)}"
        return {
            # An interrupted run with nothing left still has to come to its end.
            "changed": some or self.interrupted is not None,
            "run_id": None,
            "plan": {
                "counts": whole.counts,
                "range": whole.range,
                "gold_days": whole.gold_days,
                "estimated_seconds": seconds,
                "locks": contract.words(LOCKS),
            },
            "gold_days": whole.gold_days,
            "resumed": False,
            "moved": moved,
            "requeued": requeued,
            "effects": effects,
            "summary": summary,
            "diff": {"before": {"selected": whole.counts}, "after": {"selected": dict.fromkeys(whole.counts, 0)}},
        }

    def require_leave(self) -> None:
        """Raises PauseHeld in a pause of somebody else, and what the looks at code of others and at what would go along raise."""
        ask_first(self.call, self.params)
        with self.call.session.read():
            foreign_code.refuse(self.call.session)
            row_hazards.refuse_cascades(self.call.session)

    def nothing(self, why: str) -> MoveResult:
        """The result of a run that finds its work done."""
        moved = dict.fromkeys(NOUNS, 0)
        return {
            "changed": False,
            "run_id": None,
            "gold_days": [],
            "resumed": False,
            "moved": moved,
            "requeued": 0,
            "effects": {"moved": moved, "requeued": 0},
            "summary": why,
            "diff": {"before": {}, "after": {}},
        }

    def done(self, run: Run, batches: Batches, *, verb: str) -> FinishedMove:
        """The result of a run that finished; effects are those of the whole run, also where it was resumed."""
        moved: dict[str, int] = {**dict.fromkeys(NOUNS, 0), **run.effects.get("moved", {})}
        effects: dict[str, t.Any] = {"requeued": 0, "gold_days": [], **run.effects, "moved": moved}
        figures = batches.figures()
        return {
            "changed": batches.rows > 0,
            "run_id": run.run_id,
            "moved": effects["moved"],
            "requeued": effects["requeued"],
            "gold_days": effects["gold_days"],
            "batches": figures,
            "resumed": run.interrupted is not None,
            "effects": effects,
            "summary": sentence(verb, effects, figures["seconds"]),
            "diff": {
                "before": {"selected": effects["moved"]},
                "after": {"selected": dict.fromkeys(effects["moved"], 0)},
            },
        }


def ask_first(call: Call, params: Mapping[str, t.Any]) -> None:
    """Raises PauseHeld in a pause of somebody else, and says so where that is taken over."""
    for taken in pauses.ask_first(call.look(), "change", takeover=params["takeover"]):
        call.progress.say(taken)


def refuse_too_many(rows: int, params: Mapping[str, t.Any], *, where: str, noun: str = "event") -> None:
    """Raises BadInput before the first write where more rows would be moved than allowed."""
    if rows > params["max_rows"]:
        raise BadInput(
            f"refused to move {count(rows, noun)}: max_rows is {params['max_rows']:,}",
            on=where,
            next_step=f"look at it with --check; if all of them are meant, -e scout_max_rows={rows}",
        )


def in_numbers(moved: Mapping[str, int]) -> str:
    """`12 events, 11 transactions, 35 line items`."""
    parts = [count(moved[name], noun) for name, noun in NOUNS.items() if moved.get(name) and name != "ledger"]
    return ", ".join(parts) or "nothing"


def sentence(verb: str, effects: Mapping[str, t.Any], seconds: float | None = None) -> str:
    """One line for a person about a move of events out of the pipeline."""
    text = f"{verb} {in_numbers(effects.get('moved') or {})}{about_requeued(verb, effects)}"
    return text if seconds is None else f"{text} ({in_words(seconds)})"


def about_requeued(verb: str, effects: Mapping[str, t.Any]) -> str:
    """The part of the sentence about events that stay; empty where there are none."""
    if not effects.get("requeued"):
        return ""
    goes = "would go" if verb.startswith("would") else "went"
    return f"; {count(effects['requeued'], 'event')} of the same transactions {goes} back to the queue"
