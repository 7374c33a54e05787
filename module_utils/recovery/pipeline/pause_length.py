# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an operation is going to keep ingestion paused, told before it pauses; one that takes too long is refused while nothing has
been stopped."""

from __future__ import annotations

import math
import typing as t

from ..core import batch_size
from ..core.errors import BadInput, NotConverged
from ..core.text import count, in_words
from ..core.times import seconds_of
from ..postgres.driver import psycopg
from ..postgres.failures import attempting
from ..scout import event_queue
from . import drain, expected

if t.TYPE_CHECKING:
    from ..core.progress import Progress
    from ..postgres.session import Session

#: Measured with other work on both cores: 0.1 to 0.3 ms an event that the ETL loads, 3 to 20 ms one that is moved with all that was
#: made of it.
LOAD_SECONDS: t.Final = 0.0003
MOVE_SECONDS: t.Final = 0.01
KINDS: t.Final = ("moves", "gold", "drains", "pending")
#: What every pause takes that something is done in.
AT_LEAST_SECONDS: t.Final = 5.0


class Part(t.NamedTuple):
    """A part of what is to be done, in words, and its seconds."""

    what: str
    seconds: float


def parts(session: Session, expects: t.Mapping[str, t.Any]) -> list[Part]:
    """What an operation is going to do in a pause, each with its seconds. `expects` has how many events it `moves`, whether it refreshes
    `gold`, and whether it `drains`, with how many events are `pending` where that is known. Raises BadInput for another word or no
    number."""
    if unknown := sorted(set(expects) - set(KINDS)):
        raise BadInput(f"expects has {unknown[0]!r}, which is none of {', '.join(KINDS)}")
    moves, loads = _number(expects, "moves") or 0, _number(expects, "pending") if expects.get("drains") else 0
    with attempting("could not estimate how long ingestion stays paused", on=session.where), session.read():
        call = expected.call_seconds(session)
        if loads is None:
            session.limit_statements(expected.limit(None, session.settings.statement_timeout_seconds, call))
            loads = _pending(session)
        gold = expected.gold_seconds(session) if expects.get("gold") else 0.0
    found = [
        Part(f"loading {count(loads, 'event')}", _calls(loads) * call + loads * LOAD_SECONDS if loads else 0.0),
        # One to load what is there, one to see that nothing is left.
        Part(f"moving {count(moves, 'event')}", 2 * call + moves * MOVE_SECONDS if moves else 0.0),
        Part("gold", gold),
    ]
    return [part for part in found if part.seconds >= 1.0]


def require_short(session: Session, expects: t.Mapping[str, t.Any], max_pause: str, progress: Progress) -> float:
    """Says for how long ingestion is going to be paused, and returns it in seconds. Raises NotConverged where that is longer than
    `max_pause`, such as 15m; nothing has been paused then."""
    most, found = seconds_of(max_pause, "max_pause"), parts(session, expects)
    seconds = sum(part.seconds for part in found) + AT_LEAST_SECONDS
    told = ", ".join(f"{part.what} {in_words(part.seconds)}" for part in found) or "what every pause takes"
    if seconds > most:
        raise NotConverged(
            "refused to pause ingestion",
            on=session.where,
            said=f"it would stay paused for about {in_words(seconds)} ({told}), longer than max_pause, which is {in_words(most)}",
            next_step=f"run the same command again with -e scout_max_pause={_rounded(seconds)}, or on a smaller part",
        )
    if found:
        progress.say(f"expects to keep ingestion paused for about {in_words(seconds)}: {told}")
    return seconds


def _calls(loads: int) -> int:
    """How often a drain of so many events calls the ETL: each batch is larger than the one before, as far as it may be."""
    first, growth = drain.Options.first_batch_rows, batch_size.GROWTH
    return 1 + math.ceil(math.log(1 + (growth - 1) * loads / first, growth)) + loads // drain.MAX_BATCH_ROWS


def _number(expects: t.Mapping[str, t.Any], name: str) -> int | None:
    value = expects.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not str(value).isdecimal():
        raise BadInput(f"expects.{name} {value!r} is no number of events", next_step="give a whole number")
    return int(value)


def _pending(session: Session) -> int:
    """How many events are pending; none where the release that is to be rolled back broke what tells it."""
    try:
        with session.savepoint():
            return event_queue.read(session).events
    except psycopg.Error:
        if session.connection.closed:
            raise
        return 0


def _rounded(seconds: float) -> str:
    """With a margin, as one types it."""
    return f"{int(seconds * 2 // 60) + 1}m"
