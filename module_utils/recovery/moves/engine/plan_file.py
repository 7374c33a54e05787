# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in a file: what would be moved, so exactly that a run with it can refuse where the database has drifted since."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t
from pathlib import Path

from ...core import files
from ...core.errors import BadInput, NotConverged
from ...core.text import count
from ...core.values import loaded
from ...ledger.trust import signatures

if t.TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: t.Final = "scout-recovery-plan/1"

#: What a result shows of a plan.
SHOWN: t.Final = ("counts", "digests", "range", "gold_days", "estimated_seconds", "locks", "made_at", "key")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run would do to which database; `counts` and `digests` are by table."""

    action: str
    database: str
    made_at: str
    asked: dict[str, t.Any]
    selection: dict[str, t.Any]
    counts: dict[str, int]
    digests: dict[str, str]
    range: dict[str, str | None]
    gold_days: list[str]
    estimated_seconds: float
    locks: str

    @property
    def key(self) -> str:
        """Tells this plan from every other."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def save(self, name: str, by: str) -> None:
        """Writes it whole or not at all, with who made it."""
        made = {"format": FORMAT, **dataclasses.asdict(self), "by": by}
        signed = signatures.sign("plan", _signable(made))
        text = json.dumps(made | ({"signature": signed} if signed else {}), indent=1)
        files.write(Path(name), f"{text}\n".encode(), "plan_file")


def _signable(made: Mapping[str, t.Any]) -> bytes:
    return json.dumps(made, sort_keys=True).encode()


@dataclasses.dataclass(frozen=True)
class Written:
    """A plan as its file has it: what was signed, by whom it was made, and the approval, if there is one."""

    plan: Plan
    form: str
    by: str
    content: bytes
    signature: t.Any
    approval: dict[str, t.Any] | None
    whole: dict[str, t.Any]


def read(name: str) -> Written:
    """What a file has, with its signature verified where this controller has a key. Raises BadInput for one that is no plan."""
    try:
        whole: dict[str, t.Any] = loaded(Path(name).expanduser().read_text(encoding="utf-8"))
        found = dict(whole)
        signature, approval = found.pop("signature", None), found.pop("approval", None)
        content = _signable(found)
        form, by = found.pop("format"), found.pop("by", "")
        plan = Plan(**found)
        if not (isinstance(by, str) and isinstance(approval, (dict, type(None)))):
            raise TypeError("by is no name, or approval no approval")
        given = t.cast("dict[str, t.Any] | None", approval)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as e:
        raise BadInput(
            f"could not read plan_file {name}",
            said=getattr(e, "strerror", None) or f"it is not a plan: {e}",
            next_step=f"create it with --check -e plan_file={name}",
        ) from e
    signatures.refuse_unsigned("plan", content, signature, f"plan_file {name}")
    return Written(plan, form, by, content, signature, given, whole)


def fitting(found: Written, name: str, *, action: str, database: str) -> Plan:
    """The plan that was read from a file. Raises BadInput for one of another action, database or format."""
    plan = found.plan
    wrong = [
        f"it is a plan for {what}, this is {here}"
        for what, here in ((found.form, FORMAT), (plan.action, action), (plan.database, database))
        if what != here
    ]
    if wrong:
        raise BadInput(
            f"plan_file {name} does not match",
            said="; ".join(wrong),
            next_step=f"make a new one with --check -e plan_file={name}",
        )
    return plan


def refuse_other_words(plan: Plan, asked: Mapping[str, t.Any], name: str) -> None:
    """Raises BadInput where options given with a plan contradict it."""
    differing = [
        f"{option}: {asked[option]!r} instead of {plan.asked.get(option)!r}"
        for option in asked
        if asked[option] not in (None, [], {}, plan.asked.get(option))
    ]
    if differing:
        raise BadInput(
            f"the options do not agree with plan_file {name}",
            said="; ".join(differing),
            next_step="leave them out: the plan has them; or make a new plan with --check",
        )


def refuse_drift(plan: Plan, counts: Mapping[str, int], digests: Mapping[str, str], *, where: str, name: str) -> None:
    """Raises, naming each difference, unless the database holds exactly what was planned for."""
    differing: list[str] = []
    for table, planned in plan.counts.items():
        now = counts.get(table, 0)
        if now != planned:
            more = count(abs(now - planned), "row")
            differing.append(
                f"{table}: planned {planned:,}, now {now:,} ({more} {'more' if now > planned else 'fewer'})"
            )
        elif digests.get(table) != plan.digests.get(table):
            differing.append(f"{table}: {planned:,} as planned, but with other contents")
    if differing:
        raise NotConverged(
            f"refused to apply plan_file {name}: the database has drifted since {plan.made_at}",
            on=where,
            said="; ".join(differing),
            next_step=f"look at it and make a new plan: --check -e plan_file={name}",
        )
