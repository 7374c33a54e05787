# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a rollout, in the ledger of one database that all slices name: joined, asked whose turn it is, and told the ends."""

from __future__ import annotations

import typing as t

from ...core import redaction
from ...core.errors import BadInput, LeaseHeld
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
SLICE_SECONDS: t.Final = 50
OVER_SECONDS: t.Final = 86400
#: What others said, in the line of a database.
WORDS_OF_OTHERS: t.Final = ("did", "command")

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
ADD: t.Final = """
INSERT INTO scout_ops.rollout_hosts AS h (rollout, operation, host, place, slice, number)
SELECT %(rollout)s, %(operation)s, host, place, %(slice)s, number
FROM unnest(%(hosts)s::text[], %(places)s::text[]) WITH ORDINALITY AS given (host, place, number)
ON CONFLICT (rollout, operation, host) DO UPDATE SET slice = excluded.slice, number = excluded.number
WHERE h.failed IS NOT false AND (h.failed OR NOT EXISTS (
    SELECT FROM scout_ops.rollout_slices AS s
    WHERE s.slice = h.slice AND s.kept_at > clock_timestamp() - make_interval(secs => %(seconds)s)))
"""
HOSTS: t.Final = """
SELECT h.host, h.place, h.batch, h.row, h.slice = %(slice)s AS mine, h.slice::text AS slice,
       format('%%s on %%s', s.actor, s.controller) AS by,
       CASE WHEN h.failed THEN 'failed' WHEN NOT h.failed THEN 'well'
            WHEN h.batch IS NULL THEN 'waiting'
            WHEN s.kept_at > clock_timestamp() - make_interval(secs => %(seconds)s) THEN 'at work' ELSE 'lost' END AS state,
       coalesce(s.kept_at > clock_timestamp() - make_interval(secs => %(seconds)s), false) AS alive
FROM scout_ops.rollout_hosts AS h LEFT JOIN scout_ops.rollout_slices AS s USING (slice)
WHERE h.rollout = %(rollout)s AND h.operation = %(operation)s ORDER BY s.entered_at, h.number
"""
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
LEAVE: t.Final = "UPDATE scout_ops.rollout_slices SET kept_at = NULL WHERE slice = %(slice)s"
SLICES: t.Final = """
SELECT count(DISTINCT controller) AS slices FROM scout_ops.rollout_slices
WHERE rollout = %(rollout)s AND operation = %(operation)s
"""


def tell(ledger: Ledger, params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Does what `params` ask of the record, as `do`: join, turn, ended or left; gives what is known of each database then.

    Raises BadInput and LeaseHeld where a slice may not join.
    """
    session, about = ledger.session, {name: params[name] for name in ("rollout", "operation", "slice")}
    with attempting(f"could not use the record of rollout {params['rollout']}", on=session.where), session.write():
        ownership.require(session)
        made = STEPS[params["do"]](ledger, about, params)
        return {**made, "where": session.where, **_known(ledger, about)}


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
    session.execute(ADD, **about, hosts=[*places], places=[*places.values()], seconds=SLICE_SECONDS)
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
    found = ledger.session.row(LOCK, **about, over=OVER_SECONDS)
    rows = _hosts(ledger, about)
    entries = [plan.Entry(row["host"], row["batch"], row["state"], row["by"]) for row in rows]
    mine = [row["host"] for row in rows if row["mine"] and row["host"] not in params["tried"]]
    turn = plan.next_turn(entries, _sizes(found["batches"]), found["most"], mine)
    if turn.begin:
        ledger.session.execute(CLAIM, **about, batch=turn.batch, hosts=list(turn.begin))
        ledger.session.execute(TOUCH, **about)
    return {
        "begin": list(turn.begin),
        "batch": turn.batch,
        "waits_for": [f"{entry.host} ({entry.by})" for entry in turn.waits_for],
        "stopped": turn.stopped,
    }


def _sizes(batches: Sequence[int | str]) -> list[int | None]:
    return [each if isinstance(each, int) else None for each in batches]


def _ended(ledger: Ledger, about: Row, params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    for host, (failed, row) in params["ends"].items():
        shown = Jsonb(redaction.cleaned(row, WORDS_OF_OTHERS)) if row else None
        ledger.session.execute(END, **about, host=host, failed=failed, row=shown)
    ledger.session.execute(TOUCH, **about)
    return {}


def _left(ledger: Ledger, about: Row, _params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    ledger.session.execute(LEAVE, slice=about["slice"])
    return {}


STEPS: t.Final = {"join": _join, "turn": _turn, "ended": _ended, "left": _left}


def _hosts(ledger: Ledger, about: Row) -> list[Row]:
    return ledger.session.rows(HOSTS, **about, seconds=SLICE_SECONDS)


def _known(ledger: Ledger, about: Row) -> dict[str, t.Any]:
    """Each database with its state, and how many slices there are."""
    rows = [
        {name: row[name] for name in ("host", "state", "row", "mine", "by", "alive")} for row in _hosts(ledger, about)
    ]
    return {"hosts": rows, "slices": ledger.session.row(SLICES, **about)["slices"]}
