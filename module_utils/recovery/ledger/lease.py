# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator at a time: a lease with a fencing token that every write proves and renews."""

from __future__ import annotations

import dataclasses
import time
import typing as t
import uuid

from ..core.errors import BadInput, LeaseHeld, LeaseLost, NotConverged
from ..core.progress import Progress
from ..core.results import ModuleResult
from ..core.text import in_words
from ..core.times import to_the_second
from ..postgres.failures import attempting
from .controller import same_login
from .trust import ownership

if t.TYPE_CHECKING:
    from ..postgres.session import Row, Session
    from .ledger import Ledger

LEASE: t.Final = "pipeline"
#: After how long without a renewal a lease is free.
LEASE_SECONDS: t.Final = 50
#: For how long a run waits for a renewal by whoever holds the lease, or for its end, and how often it looks: by then it has expired.
MOST_WAIT_SECONDS: t.Final = LEASE_SECONDS + 5.0
LOOK_SECONDS: t.Final = 0.5

#: Whether a session of whoever holds `l` still works; one that only hangs there has lost its controller. A ledger that nobody has
#: written to since has no such columns.
_WORKS: t.Final = """EXISTS (
    SELECT FROM scout_ops.runs AS r JOIN pg_catalog.pg_stat_activity AS a
    ON a.pid = (to_jsonb(r) ->> 'backend_pid')::int AND a.backend_start = (to_jsonb(r) ->> 'backend_start')::timestamptz
    WHERE l.run_id IN (r.run_id, r.parent_run_id) AND a.state = 'active')"""

#: Whether `l` is somebody's: by the clock of the server, which may have been set back, or because a session of theirs works.
HELD: t.Final = f"""(l.owner IS NOT NULL AND (
    (l.expires_at > clock_timestamp()
     AND l.expires_at < clock_timestamp() + make_interval(secs => coalesce(l.ttl_seconds, 86400) + 5))
    OR {_WORKS}))"""

READ_LEASE = f"""
SELECT token, run_id, incident, owner, acquired_at, expires_at, {HELD} AS held,
       extract(epoch FROM clock_timestamp() - acquired_at)::float8 AS seconds,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds_left
FROM scout_ops.leases AS l WHERE name = %(name)s
"""  # noqa: S608  # made of literals alone

#: What the holder is doing: the latest run under the lease, or the one it was taken for.
STEP = """
SELECT action, status, extract(epoch FROM clock_timestamp() - started_at)::float8 AS seconds
FROM scout_ops.runs WHERE run_id = %(run_id)s OR parent_run_id = %(run_id)s ORDER BY started_at DESC LIMIT 1
"""

#: Tokens of different databases are different numbers, so that whoever is led to another one in between holds no lease there.
TAKE_LEASE = """
INSERT INTO scout_ops.leases AS held (name, token, run_id, incident, owner, acquired_at, ttl_seconds, expires_at)
VALUES (%(name)s, 1 + floor(random() * 1e12)::bigint, %(run_id)s, %(incident)s, %(owner)s, clock_timestamp(), %(seconds)s,
        clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE
SET token = held.token + 1, run_id = excluded.run_id, incident = excluded.incident, owner = excluded.owner,
    acquired_at = excluded.acquired_at, ttl_seconds = excluded.ttl_seconds, expires_at = excluded.expires_at
WHERE held.token = %(seen_token)s
  -- Through a pooler no session is seen, and the holder may have written while this waited for it.
  AND (%(forced)s OR held.expires_at IS NOT DISTINCT FROM %(seen_expires)s)
RETURNING token
"""

#: Whoever has the token has the lease, expired or not: the next who takes it has another one.
RENEW = """
UPDATE scout_ops.leases
SET ttl_seconds = coalesce(%(seconds)s, ttl_seconds),
    expires_at = clock_timestamp() + make_interval(secs => coalesce(%(seconds)s, ttl_seconds))
WHERE name = %(name)s AND token = %(token)s AND owner IS NOT NULL
RETURNING run_id, ttl_seconds, expires_at
"""

WORKS = f"SELECT {_WORKS} AS works FROM (SELECT %(run_id)s::uuid AS run_id) AS l"  # noqa: S608  # made of literals alone

#: What the lease said of a dead operation is lost with the next one that takes it, so its pause remembers it.
ABANDON = """
UPDATE scout_ops.runs SET effects = effects || '{"abandoned": true}'
WHERE parent_run_id = %(run_id)s AND run_id IN (SELECT p.run_id FROM scout_ops.pauses AS p WHERE p.resumed_at IS NULL)
"""

FREE_LEASE = """
UPDATE scout_ops.leases
SET owner = NULL, run_id = NULL, incident = NULL, ttl_seconds = NULL, expires_at = NULL
WHERE name = %(name)s AND token = %(token)s
"""


@dataclasses.dataclass(frozen=True)
class Lease:
    """A held lease: its fencing token and the run it was taken for."""

    token: int
    run_id: str
    notes: tuple[str, ...] = ()


def read(ledger: Ledger) -> Row | None:
    """The lease as it stands, or None where nobody ever took one."""
    if not ledger.present:
        return None
    found = ledger.session.rows(READ_LEASE, name=LEASE)
    return found[0] if found else None


@dataclasses.dataclass(frozen=True)
class AtWork:
    """Somebody who holds the lease, or the same person in another terminal, and what they are doing."""

    owner: str
    incident: str
    seconds: float
    step: str
    step_seconds: float | None
    seconds_left: float

    def describe(self) -> str:
        """`drain for 12 s`, or that no step has begun."""
        return f"{self.step} for {in_words(self.step_seconds)}" if self.step_seconds is not None else "no step yet"


def at_work(ledger: Ledger) -> AtWork | None:
    """Who else is at work, at which step, and for how long; None where nobody is. Inside the caller's transaction."""
    seen = read(ledger)
    if not seen or not seen["held"] or seen["token"] == ledger.session.lease:
        return None
    return _described(ledger, seen)


def _described(ledger: Ledger, seen: Row) -> AtWork:
    rows = ledger.session.rows(STEP, run_id=seen["run_id"])
    step: Row = rows[0] if rows else {"action": "", "seconds": None}
    return AtWork(
        seen["owner"],
        seen["incident"],
        seen["seconds"],
        step["action"],
        step["seconds"],
        max(0.0, seen["seconds_left"]),
    )


def acquire(
    ledger: Ledger,
    run_id: str,
    *,
    takeover: bool = False,
    seconds: int = LEASE_SECONDS,
    progress: Progress | None = None,
) -> Lease | None:
    """Takes the lease; raises LeaseHeld, naming the holder, where somebody else holds it, and NotConverged where someone else
    takes it at the same moment.

    Returns None where there is no ledger. Waits for that of a run which died, unless it is taken over, and up to the session's
    lock timeout for a write of the holder in flight.
    """
    if not ledger.present:
        return None
    try:
        return _take(ledger, run_id, seconds, takeover=takeover)
    except LeaseHeld:
        if not _becomes_free(ledger, progress or Progress()):
            raise
    return _take(ledger, run_id, seconds, takeover=False)


def _take(ledger: Ledger, run_id: str, seconds: int, *, takeover: bool) -> Lease:
    session = ledger.session
    notes = list[str]()
    with attempting("could not take the lease", on=session.where), session.write():
        ownership.require(session)
        seen = read(ledger)
        if seen is not None and seen["held"]:
            if not takeover:
                raise held_by(seen, session.where)
            run = f"run of {seen['acquired_at']:%H:%M} UTC (incident {seen['incident']})"
            notes.append(f"reclaimed the lease of {seen['owner']}, {run}: takeover was requested")
        if seen is not None and _is_left(session, seen):
            session.execute(ABANDON, run_id=seen["run_id"])
        token = session.rows(
            TAKE_LEASE,
            name=LEASE,
            run_id=run_id,
            incident=ledger.incident,
            owner=ledger.controller.actor,
            seconds=seconds,
            seen_token=seen["token"] if seen else 0,
            seen_expires=seen["expires_at"] if seen else None,
            forced=takeover,
        )
        if not token:
            raise NotConverged(
                "could not take the lease",
                on=session.where,
                said="someone else took it at the same moment, or whoever holds it wrote",
                next_step="assess.yml shows who is working",
            )
    session.lease = token[0]["token"]
    return Lease(token[0]["token"], run_id, tuple(notes))


def _becomes_free(ledger: Ledger, progress: Progress) -> bool:
    """Whether the lease becomes free without being renewed first, which every call of a run that lives does. At once no, where it
    lasts for long."""
    first: Row | None = None
    until = time.monotonic() + MOST_WAIT_SECONDS
    while True:
        with attempting("could not read the lease", on=ledger.session.where), ledger.session.read():
            seen = read(ledger)
        if seen is None or not seen["held"]:
            return True
        if seen["seconds_left"] > MOST_WAIT_SECONDS or time.monotonic() > until:
            return False
        if first is None:
            first = seen
            progress.doing(f"waits for a sign of life of {seen['owner']}, or until the lease is free")
        elif any(seen[name] != first[name] for name in ("token", "expires_at")):
            return False
        progress.wait(LOOK_SECONDS)


def _is_left(session: Session, lease: Row) -> bool:
    """Whether a lease that nobody may be behind any more was never released, and no session of its operation works."""
    return lease["owner"] is not None and not session.row(WORKS, run_id=lease["run_id"])["works"]


def died(ledger: Ledger, run_id: str) -> bool:
    """Whether the operation that took the lease for this run died: it was not released, has expired, and no session of it works.
    Inside the caller's transaction."""
    seen = read(ledger)
    if seen is None or str(seen["run_id"]) != run_id or seen["held"]:
        return False
    return _is_left(ledger.session, seen)


def held_by(lease: Row, where: str) -> LeaseHeld:
    """The refusal a second operator sees."""
    since, until = to_the_second(lease["acquired_at"]), to_the_second(lease["expires_at"])
    return LeaseHeld(
        "refused to start while another run is active",
        on=where,
        said=f"{lease['owner']} has been working on incident {lease['incident']} since {since}",
        next_step=(
            f"talk to {lease['owner']}; to take over on purpose run again with -e scout_takeover=true (the lease is theirs until {until}, "
            "and longer if they renew it)"
        ),
        result={"lease": {k: str(lease[k]) for k in ("owner", "incident", "run_id", "acquired_at", "expires_at")}},
    )


def renew(session: Session, token: int, seconds: int | None = None) -> Row:
    """Renews the lease `token`, from now on for so many seconds each time where they are given, and gives it as it is then; raises
    LeaseLost, with the name of whoever has it, where it is not that any more. Inside the caller's transaction."""
    renewed = session.rows(RENEW, name=LEASE, token=token, seconds=seconds)
    if not renewed:
        raise lost(session, token)
    return renewed[0]


def fence_with(session: Session, token: int) -> None:
    """From now on every writing transaction of this session first proves, and renews, the lease `token`, and one that takes long
    renews it once more at its end."""
    session.fence = session.renew = lambda: renew(session, token)


def lost(session: Session, token: int) -> LeaseLost:
    """What somebody is told at the next step whose lease is not theirs any more: by whom, and since when."""
    found = session.rows(READ_LEASE, name=LEASE)
    said = ""
    if found and found[0]["owner"] and found[0]["token"] != token:
        taker = found[0]
        said = f"{taker['owner']} took over at {to_the_second(taker['acquired_at'])} for incident {taker['incident']}"
    return LeaseLost(
        "stopped: the lease was taken over or released while this run was active",
        on=session.where,
        said=said,
        next_step="assess.yml shows who is working now; nothing of the last step was committed",
    )


def release(ledger: Ledger, token: int) -> bool:
    """Releases the lease if it is still ours; says whether it was."""
    if not ledger.present:
        return False
    session = ledger.session
    fence, session.fence = session.fence, None
    try:
        with attempting("could not release the lease", on=session.where), session.write():
            return session.execute(FREE_LEASE, name=LEASE, token=token) == 1
    finally:
        session.fence = fence


class LeaseResult(ModuleResult):
    """What scout_lease returns."""

    token: int | None
    run_id: t.NotRequired[str | None]
    owner: str
    warnings: t.NotRequired[list[str]]


def hold(
    ledger: Ledger, progress: Progress, *, takeover: bool, ttl_seconds: int, token: int | None = None
) -> LeaseResult:
    """A module's result with the token of the lease, taken for `ttl_seconds`, or with that `token` held for as long from now on.
    Raises LeaseHeld with the name of a holder who lives, and LeaseLost where it is not that token's any more."""
    if ledger.present and token is not None:
        with attempting("could not renew the lease", on=ledger.session.where), ledger.session.write():
            ownership.require(ledger.session)
            renewed = renew(ledger.session, token, ttl_seconds)
        until = f"lease held by {ledger.controller.actor} until {to_the_second(renewed['expires_at'])}"
        return {**_held(ledger, until), "token": token, "run_id": str(renewed["run_id"])}
    lease = acquire(ledger, str(uuid.uuid4()), takeover=takeover, seconds=ttl_seconds, progress=progress)
    if lease is None:
        return {**_held(ledger, "no ledger, so no lease"), "warnings": ledger.warnings}
    held = f"lease held by {ledger.controller.actor} for {ledger.incident}"
    result: LeaseResult = {**_held(ledger, held), "token": lease.token, "run_id": lease.run_id}
    return {**result, "warnings": [*lease.notes]} if lease.notes else result


def foresee(ledger: Ledger, *, takeover: bool) -> LeaseResult:
    """The result of `hold` in check mode: nothing is taken; raises LeaseHeld where it would."""
    with ledger.session.read():
        seen = read(ledger)
    if seen and seen["held"] and not takeover and seen["token"] != ledger.session.lease:
        raise held_by(seen, ledger.session.where)
    return _held(ledger, "the lease is free")


def _held(ledger: Ledger, summary: str) -> LeaseResult:
    return {"changed": False, "token": None, "run_id": None, "owner": ledger.controller.actor, "summary": summary}


def free(ledger: Ledger, token: int | None, *, check: bool) -> LeaseResult:
    """A module's result after freeing the lease, unless this is a check; raises BadInput without its token, and LeaseHeld
    where it is the token of somebody else who is at work: tokens are numbers, and the next one is easily guessed."""
    if token is None:
        raise BadInput("state=released needs lease_token", next_step="pass the token that state=held returned")
    with ledger.session.read():
        seen = read(ledger)
        theirs = (
            seen and seen["held"] and seen["token"] == token and not same_login(seen["owner"], ledger.controller.actor)
        )
        other = _described(ledger, seen) if seen and theirs else None
    if other is not None:
        raise LeaseHeld(
            f"refused to release the lease of {other.owner}",
            on=ledger.session.where,
            said=f"token {token} is theirs, for incident {other.incident}, and they are at work: {other.describe()}",
            next_step=f"talk to {other.owner}; to take over on purpose use state=held with takeover=true",
        )
    freed = "lease released" if not check and release(ledger, token) else "lease was no longer ours"
    return {
        "changed": False,
        "token": token,
        "owner": ledger.controller.actor,
        "summary": "would release the lease" if check else freed,
    }
