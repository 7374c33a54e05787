# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reads the pipeline: which of it holds what an operation changed, and calling it, each within its own time. A call that fails
is a result, never an error."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import threading
import time
import typing as t
from pathlib import Path

from ..core import redaction, subprocesses
from ..core.errors import BadInput
from ..core.results import ModuleResult
from ..core.text import printable
from ..core.values import as_list
from ..scout import contract
from . import channels
from .services import Undelivered

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..invoke import Params, WithoutSession

Result = dict[str, t.Any]

KEYS: t.Final = ("name", "reads", "command", "url", "headers", "ca_file", "timeout_seconds")
MOST_SECONDS: t.Final = 3600.0
#: So much of what a program wrote last is told.
SAID: t.Final = 300
FEW: t.Final = 3
#: A table or a view, with its schema or without, as no statement needs quotes for it.
RELATION: t.Final = re.compile(rf"{contract.PLAIN.pattern}(?:\.{contract.PLAIN.pattern})?")
#: A relation in the key of a step of a rollback.
IN_A_KEY: t.Final = re.compile(rf"(?<![\w.\"])({contract.PLAIN.pattern}\.{contract.PLAIN.pattern})")
#: What a program that is called is not to see: how to reach the database, and what signs.
HIDDEN: t.Final = ("PG", "SCOUT_", "SUPERSET_")
#: The names under which moves count rows, with the key of their table.
COUNTED: t.Final = {
    "events": "bronze", "transactions": "transactions", "lines": "line_items", "ledger": "etl_ledger",
    "dead_letters": "dead_letters",
}  # fmt: skip
#: Steps of which rows that were loaded tell that silver has changed.
LOADING: t.Final = ("drain", "window_recovery", "redrive")


class Affected(t.TypedDict):
    """What an operation changed, or would change: relations with their schema, refreshed views among them, and days of gold."""

    operation: str
    relations: list[str]
    views: list[str]
    days: list[str]
    run_id: str | None


class DownstreamResult(ModuleResult):
    """What scout_downstream returns."""

    named: list[dict[str, t.Any]]
    called: list[str]
    uncalled: list[dict[str, str]]
    document: dict[str, t.Any]
    effects: dict[str, t.Any]
    warnings: list[str]


@dataclasses.dataclass(frozen=True)
class Consumer:
    """Something that reads the pipeline, checked; how it is called stands in no text where it is an address."""

    name: str
    reads: tuple[str, ...]
    timeout_seconds: float
    command: tuple[str, ...] = ()
    posted: channels.Posted | None = dataclasses.field(default=None, repr=False)

    def holds(self, relations: Sequence[str]) -> list[str]:
        """Those that it reads of these relations; one that it names without a schema is meant in any."""
        return [name for name in relations if name in self.reads or contract.bare(name) in self.reads]


def affected(operation: str, steps: Mapping[str, Mapping[str, t.Any]]) -> Affected | None:
    """What the steps of an operation changed, of what they committed also where one failed; None where nothing did."""
    changed = {name: result for name, result in steps.items() if result and (result.get("changed") or _moved(result))}
    relations: dict[str, None] = {}
    for name, result in changed.items():
        relations |= dict.fromkeys(_relations(name, result))
    views = [
        str(each["name"])
        for each in as_list(changed.get("refresh_gold", {}).get("refreshed"))
        if not each.get("error") and each.get("name")
    ]
    relations |= dict.fromkeys(views)
    if not relations:
        return None
    days = {str(day) for result in changed.values() for day in as_list(_of(result, "gold_days"))}
    run_id = next((str(r["run_id"]) for name, r in changed.items() if r.get("run_id") and name != "pause"), None)
    return {
        "operation": operation,
        "relations": list(relations),
        "views": views,
        "days": sorted(days),
        "run_id": run_id,
    }


def _of(result: Mapping[str, t.Any], name: str) -> t.Any:
    """A field of a result, also of one that failed half way, which has it among its effects."""
    value: t.Any = result.get(name)
    effects: Result = result.get("effects") or {}
    return effects.get(name) if value is None else value


def _moved(result: Mapping[str, t.Any]) -> bool:
    moved = _of(result, "moved")
    return isinstance(moved, dict) and any(t.cast("dict[str, t.Any]", moved).values())


def _relations(step: str, result: Mapping[str, t.Any]) -> Iterator[str]:
    names = contract.names()
    if step == "rollback":
        for each in as_list(result.get("steps")):
            kind, _, name = str(each.get("key", "")).partition(":")
            if kind != "job" and (found := IN_A_KEY.search(name)):
                yield found[1]
    for field in ("moved", "put_back", "taken"):
        counts = _of(result, field)
        for name, number in t.cast("dict[str, t.Any]", counts).items() if isinstance(counts, dict) else ():
            if number and name in COUNTED:
                yield names[COUNTED[name]]
    if step in LOADING and (_of(result, "loaded") or _of(result, "redriven")):
        yield from (names.transactions, names.line_items)


def parse(raw: t.Any, number: int, timeout_seconds: float) -> Consumer:
    """A consumer as it stands in the inventory. Raises BadInput where it cannot be used, without its address."""
    if not isinstance(raw, dict):
        raise BadInput("it is not a dictionary", next_step="give it name, reads, and command or url")
    given = {str(k): v for k, v in t.cast("dict[t.Any, t.Any]", raw).items() if v is not None and v != ""}
    if unknown := sorted(set(given) - set(KEYS)):
        raise BadInput(f"it has no {', '.join(unknown)[:80]}", next_step=f"it knows {', '.join(KEYS)}")
    listed: t.Any = given.get("reads") or []
    reads = channels.texts("reads", listed)
    for name in reads:
        if not RELATION.fullmatch(name):
            raise BadInput(f"reads {name[:80]!r} is no table or view", next_step="give names such as gold_daily_sales")
    if not given.get("name") or not reads:
        raise BadInput("name or reads is missing", next_step="give name, and reads as a list of tables and views")
    if "command" in given and "url" in given:
        raise BadInput("command and url are given", next_step="give one of them, or none where it is only to be named")
    posted = None
    if "url" in given:
        http = channels.read_http(given)
        posted = channels.Posted(http["url"], {}, http["headers"], http.get("ca_file"))
    return Consumer(
        name=channels.name_of(given, number),
        reads=tuple(reads),
        timeout_seconds=channels.at_most(
            "timeout_seconds", given.get("timeout_seconds", timeout_seconds), MOST_SECONDS
        ),
        command=_argv(given.get("command")),
        posted=posted,
    )


def _argv(value: t.Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not as_list(value):
        raise BadInput(
            "command is no list of texts",
            next_step="give the program and each argument as an entry of a list",
        )
    words = channels.texts("command", as_list(value))
    if not words[0] or any("\0" in word for word in words):
        raise BadInput("command cannot be run", next_step="give the program first, without NUL")
    return tuple(words)


def carry_out(call: WithoutSession, params: Params) -> DownstreamResult:
    """What holds what was changed, by name; each called where that is asked for, with the document, all side by side.

    In check mode nothing is called. Raises BadInput for seconds that cannot be used; what could not be called is in the result.
    """
    if not 0 < params["timeout_seconds"] <= MOST_SECONDS:
        raise BadInput(
            f"timeout_seconds {params['timeout_seconds']:g} is not usable",
            next_step=f"give a number above 0, at most {MOST_SECONDS:g}",
        )
    usable, wrong = _parsed(params)
    relations: list[str] = params["affected"].get("relations") or []
    holding = [(consumer, holds) for consumer in usable if (holds := consumer.holds(relations))]
    document = _document(params["affected"])
    able = [consumer for consumer, _ in holding if consumer.command or consumer.posted]
    wanted = able if params["call"] else []
    failed = {} if call.check or not wanted else _call(wanted, document, call.progress.checkpoint)
    called = [consumer.name for consumer in wanted if consumer.name not in failed]
    uncalled = [{"name": name, "error": error} for name, error in {**wrong, **failed}.items()]
    named = [{"name": consumer.name, "holds": holds} for consumer, holds in holding]
    return {
        "changed": bool(called) and not call.check,
        "named": named,
        "called": called,
        "uncalled": uncalled,
        "document": document,
        "effects": {"named": [each["name"] for each in named], "called": called, "uncalled": uncalled},
        "warnings": [f"{each['name']} was not called: {each['error']}" for each in uncalled],
        "summary": _summary(holding, called, uncalled, params, check=call.check),
    }


def _parsed(params: Params) -> tuple[list[Consumer], dict[str, str]]:
    """The consumers that can be used, and why others cannot."""
    usable: list[Consumer] = []
    wrong: dict[str, str] = {}
    for number, raw in enumerate(params["consumers"], 1):
        try:
            usable.append(parse(raw, number, params["timeout_seconds"]))
        except BadInput as e:
            wrong[channels.name_of(raw, number)] = channels.hide(str(e), channels.secrets(raw))
    return usable, wrong


def _document(changed: Mapping[str, t.Any]) -> Result:
    """What a consumer is sent; JSON on its standard input, or as the body of a POST."""
    kept = ("operation", "run_id", "relations", "views", "days")
    return {"format": "scout-recovery-downstream/1", **{name: changed.get(name) for name in kept}}


def _call(wanted: Sequence[Consumer], document: Result, checkpoint: t.Callable[[], None]) -> dict[str, str]:
    """Why a call failed, by the consumer's name; all are called side by side, and none is waited for beyond its time."""
    failed: dict[str, str] = {}
    done: set[str] = set()

    def one(consumer: Consumer) -> None:
        try:
            error = _run(consumer, document) if consumer.command else _post(consumer, document)
        except Exception as e:  # noqa: BLE001  # nothing downstream may stop a recovery; its text may hold a secret
            error = f"unexpected error: {type(e).__name__}"
        if error:
            failed[consumer.name] = error
        done.add(consumer.name)

    began = time.monotonic()
    threads = [(each, threading.Thread(target=one, args=(each,), daemon=True)) for each in wanted]
    for _, thread in threads:
        thread.start()
    for consumer, thread in threads:
        # A program is ended a little later than its time, which is told then.
        over = began + consumer.timeout_seconds + (2 * subprocesses.PATIENCE_SECONDS if consumer.command else 0)
        while thread.is_alive() and time.monotonic() < over:
            checkpoint()
            thread.join(min(subprocesses.STEP_SECONDS, max(0.0, over - time.monotonic())))
    late = {each.name: f"no reply within {each.timeout_seconds:g} s" for each in wanted if each.name not in done}
    return {**late, **failed}


def _run(consumer: Consumer, document: Result) -> str:
    """Runs its command by its arguments, without a shell; why that failed, empty where it ended with 0."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith(HIDDEN)}
    again = f"to call it: {redaction.clean(shlex.join(consumer.command))}"
    try:
        done = subprocesses.run(
            consumer.command,
            cwd=Path.cwd(),
            environment=environment,
            seconds=consumer.timeout_seconds,
            stdin=json.dumps(document).encode(),
            limit=SAID * 10,
            tail=True,
        )
    except OSError as e:
        return f"{consumer.command[0]} could not be started: {e.strerror}; {again}"
    if done.code == 0:
        return ""
    said = redaction.clean(printable(subprocesses.text(done.err) or subprocesses.text(done.out)))[-SAID:]
    why = f"it was ended after {consumer.timeout_seconds:g} s" if done.code is None else f"it exited with {done.code}"
    return "; ".join(part for part in (f"{why}: {' '.join(said.split())}" if said else why, again) if part)


def _post(consumer: Consumer, document: Result) -> str:
    """Posts the document; why that failed, empty where it was taken. It is tried once: a second call may do its work twice."""
    from . import delivery

    request = t.cast("channels.Posted", consumer.posted)
    hidden = channels.secrets({"url": request.url, "headers": request.headers})
    try:
        delivery.post(dataclasses.replace(request, body=document), consumer.timeout_seconds)
    except Undelivered as e:
        return channels.hide(str(e), hidden)
    return ""


def _summary(
    holding: Sequence[tuple[Consumer, list[str]]],
    called: Sequence[str],
    uncalled: Sequence[Mapping[str, str]],
    params: Params,
    *,
    check: bool,
) -> str:
    """`export reads gold_daily of 2026-11-25; called export; not dbt`."""
    if not holding and not uncalled:
        return "nothing downstream reads what was changed"
    days: list[str] = params["affected"].get("days") or []
    of = f", of {', '.join(days[:FEW])}{f' and {len(days) - FEW} more days' if len(days) > FEW else ''}" if days else ""
    told = [f"{consumer.name} reads {', '.join(map(contract.bare, holds[:FEW]))}" for consumer, holds in holding]
    parts = [f"{'; '.join(told)}{of}"] if told else []
    if called:
        parts.append(f"{'would call' if check else 'called'} {', '.join(called)}")
    elif holding and not params["call"]:
        parts.append("none was called: -e notify_downstream=true calls them")
    if uncalled:
        parts.append(f"not called: {', '.join(each['name'] for each in uncalled)}")
    return "; ".join(parts)
