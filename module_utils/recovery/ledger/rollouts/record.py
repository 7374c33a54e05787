# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a rollout, in the ledger of one database that all slices name: joined, asked whose turn it is, and told the ends."""

from __future__ import annotations

import typing as t

from ...core import redaction
from ...core.errors import BadInput, LeaseHeld, NotConverged
from ...core.times import to_the_second
from ...postgres.driver import Jsonb
from ...postgres.failures import attempting
from ..controller import same_login
from ..trust import ownership
from . import plan

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...postgres.session import Row
    from ..ledger import Ledger

#: After so long without its keeper a slice is dead, as a lease is free; and after so long without a word a rollout is over.
SLICE_SECONDS: t.Final = 25
OVER_SECONDS: t.Final = 86400
#: And after so long what it had at work is lost, which stops others: its command may have been typed again elsewhere, and waits for it.
LOST_SECONDS: t.Final = SLICE_SECONDS + 10
#: What others said, in the line of a database.
WORDS_OF_OTHERS: t.Final = ("did", "command")

#: For the statements below.
TIMES: t.Final = {"seconds": SLICE_SECONDS, "lost": LOST_SECONDS}
#: When slice `s` was heard of; after a restart of the server each has the time to be heard of again.
_HEARD: t.Final = (
    "(CASE WHEN s.kept_at IS NOT NULL THEN greatest(s.kept_at, pg_catalog.pg_postmaster_start_time()) END)"
)
ALIVE: t.Final = f"({_HEARD} > clock_timestamp() - make_interval(secs => %(seconds)s))"
AT_WORK: t.Final = f"({_HEARD} > clock_timestamp() - make_interval(secs => %(lost)s))"

BEGIN: t.Final = """
INSERT INTO scout_ops.rollouts AS r (rollout, operation, batches, most, started_by, last_at)
VALUES (%(rollout)s, %(operation)s, %(batches)s, %(most)s, %(actor)s, clock_timestamp())
ON CONFLICT (rollout, operation) DO NOTHING
"""
#: All that a slice reads and writes is behind this lock.
LOCK: t.Final = """
SELECT batches, most, started_by, started_at, last_at,
       last_at < clock_timestamp() - make_interval(secs => %(over)s) AS over
FROM scout_ops.rollouts WHERE rollout = %(rollout)s AND operation = %(operation)s FOR UPDATE
"""
TOUCH: t.Final = """
UPDATE scout_ops.rollouts SET last_at = clock_timestamp() WHERE rollout = %(rollout)s AND operation = %(operation)s
"""
ENTER: t.Final = """
INSERT INTO scout_ops.rollout_slices (slice, rollout, operation, controller, actor, kept_at)
VALUES (%(slice)s, %(rollout)s, %(operation)s, %(controller)s, %(actor)s, clock_timestamp())
"""
#: A database that is at work, or waits, in a slice that lives is left to that; one that is well is done.
ADD: t.Final = f"""
INSERT INTO scout_ops.rollout_hosts AS h (rollout, operation, host, place, slice, number)
SELECT %(rollout)s, %(operation)s, host, place, %(slice)s, number
FROM unnest(%(hosts)s::text[], %(places)s::text[]) WITH ORDINALITY AS given (host, place, number)
ON CONFLICT (rollout, operation, host) DO UPDATE SET slice = excluded.slice, number = excluded.number
WHERE h.failed IS NOT false
  AND (h.failed OR NOT EXISTS (SELECT FROM scout_ops.rollout_slices AS s WHERE s.slice = h.slice AND {ALIVE}))
"""  # noqa: S608  # made of literals alone
#: Those of this slice's hosts that one had which has died since.
ADOPT: t.Final = f"""
UPDATE scout_ops.rollout_hosts AS h SET slice = %(slice)s
WHERE h.rollout = %(rollout)s AND h.operation = %(operation)s AND h.host = ANY(%(hosts)s) AND h.failed IS NULL
  AND h.slice <> %(slice)s
  AND NOT EXISTS (SELECT FROM scout_ops.rollout_slices AS s WHERE s.slice = h.slice AND {ALIVE})
"""  # noqa: S608  # made of literals alone
HOSTS: t.Final = f"""
SELECT h.host, h.place, h.batch, h.row, h.slice = %(slice)s AS mine, h.slice::text AS slice,
       format('%%s on %%s', s.actor, s.controller) AS by,
       CASE WHEN h.failed THEN 'failed' WHEN NOT h.failed THEN 'well'
            WHEN h.batch IS NULL THEN 'waiting' WHEN {AT_WORK} THEN 'at work' ELSE 'lost' END AS state,
       coalesce({ALIVE}, false) AS alive, coalesce(s.kept_at > me.entered_at, false) AS heard
FROM scout_ops.rollout_hosts AS h LEFT JOIN scout_ops.rollout_slices AS s USING (slice)
LEFT JOIN scout_ops.rollout_slices AS me ON me.slice = %(slice)s
WHERE h.rollout = %(rollout)s AND h.operation = %(operation)s ORDER BY s.entered_at, h.number
"""  # noqa: S608  # made of literals alone
CLAIM: t.Final = """
UPDATE scout_ops.rollout_hosts SET batch = %(batch)s, begun_at = clock_timestamp(), ended_at = NULL, failed = NULL, row = NULL
WHERE rollout = %(rollout)s AND operation = %(operation)s AND slice = %(slice)s AND host = ANY(%(hosts)s)
"""
#: Not where another slice has begun it since: this one was taken for dead.
END: t.Final = """
UPDATE scout_ops.rollout_hosts SET ended_at = coalesce(ended_at, clock_timestamp()), failed = %(failed)s, row = %(row)s
WHERE rollout = %(rollout)s AND operation = %(operation)s AND slice = %(slice)s AND host = %(host)s AND batch IS NOT NULL
"""
KEEP: t.Final = """
UPDATE scout_ops.rollout_slices SET kept_at = clock_timestamp() WHERE slice = %(slice)s AND kept_at IS NOT NULL
RETURNING %(seconds)s::int AS ttl_seconds
"""
HERE: t.Final = "UPDATE scout_ops.rollout_slices SET kept_at = clock_timestamp() WHERE slice = %(slice)s"
LEAVE: t.Final = "UPDATE scout_ops.rollout_slices SET kept_at = NULL WHERE slice = %(slice)s"
SLICES: t.Final = """
SELECT count(DISTINCT controller) AS slices FROM scout_ops.rollout_slices
WHERE rollout = %(rollout)s AND operation = %(operation)s
"""


def tell(ledger: Ledger, params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Does what `params` ask of the record, as `do`: join, turn, told or left; gives what is known of each database then. First
    it is told the `ends` that it has not heard of.

    Raises BadInput and LeaseHeld where a slice may not join, and NotConverged where the record has lost one that had.
    """
    session, about = ledger.session, {name: params[name] for name in ("rollout", "operation", "slice")}
    with attempting(f"could not use the record of rollout {params['rollout']}", on=session.where), session.write():
        ownership.require(session)
        if params["do"] != "join":
            _hear(ledger, about, params["ends"])
        made = STEPS[params["do"]](ledger, about, params)
        return {**made, "where": session.where, **_known(ledger, about)}


def _hear(ledger: Ledger, about: Row, ends: Mapping[str, tuple[bool, Row | None]]) -> None:
    """The slice is there, and tells how databases ended."""
    session = ledger.session
    if not session.rows(LOCK, **about, over=OVER_SECONDS) or not session.execute(HERE, slice=about["slice"]):
        raise NotConverged(
            f"the record of rollout {about['rollout']} does not know this slice any more",
            on=session.where,
            said="its database was restored, or failed over to a server that had not got so far",
            next_step="run the same command again: it joins anew, and what is done already is not done again",
        )
    for host, (failed, row) in ends.items():
        shown = Jsonb(redaction.cleaned(row, WORDS_OF_OTHERS)) if row else None
        session.execute(END, **about, host=host, failed=failed, row=shown)
    if ends:
        session.execute(TOUCH, **about)


def _join(ledger: Ledger, about: Row, params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    session, asked = ledger.session, {"batches": params["batches"], "most": params["most"]}
    actor = {"actor": ledger.controller.actor, "controller": ledger.controller.name}
    session.execute(BEGIN, **about, **actor, batches=Jsonb(asked["batches"]), most=asked["most"])
    _refuse(session.row(LOCK, **about, over=OVER_SECONDS), asked, ledger, params)
    session.execute(ENTER, **about, **actor)
    places: Mapping[str, str] = params["hosts"]
    found = {row["host"]: row for row in _hosts(ledger, about)}
    other = [host for host, place in places.items() if host in found and found[host]["place"] != place]
    if other:
        raise BadInput(
            f"{other[0]} is another database in the other slices of rollout {about['rollout']}",
            on=session.where,
            said="by its name alone it would count as done there",
            next_step="give each database a name of its own in the inventory, or this slice another rollout=NAME",
        )
    session.execute(ADD, **about, hosts=[*places], places=[*places.values()], **TIMES)
    session.execute(TOUCH, **about)
    return {}


def _refuse(found: Row, asked: Mapping[str, t.Any], ledger: Ledger, params: Mapping[str, t.Any]) -> None:
    """Raises where a rollout of this name is over, is somebody else's, or goes otherwise than this slice."""
    name, on = f"rollout {params['rollout']} ({params['operation']})", ledger.session.where
    if found["over"]:
        raise BadInput(
            f"{name} is over: nothing was heard of it since {to_the_second(found['last_at'])}",
            on=on,
            next_step="give this one another name: -e rollout=NAME",
        )
    if not same_login(found["started_by"], ledger.controller.actor) and not params["takeover"]:
        raise LeaseHeld(
            f"{name} is of {found['started_by']}, since {to_the_second(found['started_at'])}",
            on=on,
            said="your databases would count with theirs",
            next_step="give yours another name: -e rollout=NAME; -e takeover=true joins theirs",
        )
    if (found["batches"], found["most"]) != (asked["batches"], asked["most"]):
        raise BadInput(
            f"{name} goes by serial={_said(found)}, and this slice by {_said(asked)}",
            on=on,
            said="all slices of a rollout go the same way",
            next_step="give the same scout_serial and scout_max_fail_percentage, or this slice another rollout=NAME",
        )


def _said(way: Mapping[str, t.Any]) -> str:
    return f"{','.join(map(str, way['batches']))} with max_fail_percentage={way['most']:g}"


def _turn(ledger: Ledger, about: Row, params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    session, tried = ledger.session, params["tried"]
    found = session.row(LOCK, **about, over=OVER_SECONDS)
    wanted = [host for host in params["hosts"] if host not in tried]
    session.execute(ADOPT, **about, hosts=wanted, **TIMES)
    rows = _hosts(ledger, about)
    entries = [plan.Entry(row["host"], row["batch"], row["state"], row["by"]) for row in rows]
    mine = [row["host"] for row in rows if row["mine"] and row["host"] not in tried]
    turn = plan.next_turn(entries, _sizes(found["batches"]), found["most"], mine)
    if turn.begin:
        session.execute(CLAIM, **about, batch=turn.batch, hosts=list(turn.begin))
        session.execute(TOUCH, **about)
    return {
        "begin": list(turn.begin),
        "again": [each.host for each in entries if each.host in turn.begin and each.state in (plan.LOST, plan.AT_WORK)],
        "batch": turn.batch,
        "waits_for": [
            f"{entry.host} ({entry.by})"
            for entry in turn.waits_for or ([] if turn.begin else _perhaps_dead(entries, rows, wanted))
        ],
        "stopped": turn.stopped,
    }


def _perhaps_dead(entries: Sequence[plan.Entry], rows: Sequence[Row], wanted: Sequence[str]) -> list[plan.Entry]:
    """Those of these hosts that are another slice's of which nothing was heard since this one came: it may be dead."""
    return [
        entry
        for entry, row in zip(entries, rows, strict=True)
        if row["host"] in wanted and not row["mine"] and row["alive"] and not row["heard"] and row["state"] != plan.WELL
    ]


def _sizes(batches: Sequence[int | str]) -> list[int | None]:
    return [each if isinstance(each, int) else None for each in batches]


def _told(_ledger: Ledger, _about: Row, _params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {}


def _left(ledger: Ledger, about: Row, _params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    ledger.session.execute(LEAVE, slice=about["slice"])
    return {}


STEPS: t.Final = {"join": _join, "turn": _turn, "told": _told, "left": _left}


def _hosts(ledger: Ledger, about: Row) -> list[Row]:
    return ledger.session.rows(HOSTS, **about, **TIMES)


def _known(ledger: Ledger, about: Row) -> dict[str, t.Any]:
    """Each database with its state, and how many slices there are."""
    rows = [
        {name: row[name] for name in ("host", "state", "row", "mine", "by", "alive")} for row in _hosts(ledger, about)
    ]
    return {"hosts": rows, "slices": ledger.session.row(SLICES, **about)["slices"]}
