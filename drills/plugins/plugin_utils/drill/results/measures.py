# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario came to: its phases against their budgets, its events, its checks. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count, in_words

from ..scenario import FAILED

if t.TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from ..scenario import Play
    from .records import Ledger, Pause, PlaybookResult

Document = dict[str, t.Any]

#: Of what is listed in a sentence, the first so many.
SHOWN: t.Final = 3


@dataclasses.dataclass(frozen=True)
class Check:
    """What was promised, and what was found."""

    check: str
    wanted: str
    found: str
    passed: bool

    @property
    def broken(self) -> str:
        """The failure in a sentence; empty if it passed."""
        return "" if self.passed else f"{self.check}: wanted {self.wanted}, found {self.found}"


@dataclasses.dataclass(frozen=True)
class Moments:
    """When things happened, by the server's clock; None what never did."""

    faulted: dt.datetime
    detected: dt.datetime | None
    recovered: dt.datetime | None


def unchecked(check: str, wanted: str, error: BaseException) -> Check:
    """One that could not be checked counts as broken."""
    return Check(check, wanted, f"could not be checked: {str(error).partition(chr(10))[0]}", passed=False)


def phases(moments: Moments, pauses: Sequence[Pause]) -> dict[str, float | None]:
    """Return the seconds from the fault to each phase, as users feel it; None for one that never came."""
    pause = next((pause for pause in pauses if pause.paused_at >= moments.faulted), None)
    ends = {
        "detected": moments.detected,
        "paused": pause and pause.paused_at,
        "recovered": moments.recovered,
        "resumed": pause and pause.resumed_at,
    }
    return {
        name: None if end is None else round(max((end - moments.faulted).total_seconds(), 0.0), 2)
        for name, end in ends.items()
    }


def lateness(recovered: float | None, budget: float) -> str:
    """Return how a recovery missed its budget; empty if it did not."""
    if recovered is None:
        return f"never recovered, budget {in_words(budget)}"
    if recovered > budget:
        return f"recovered after {in_words(recovered)}, {in_words(recovered - budget)} over its budget of {in_words(budget)}"
    return ""


def events(written: Mapping[UUID, str], found: t.Any, doubtful: Iterable[UUID]) -> Document:
    """What the oracle says; an event whose commit was cut off may be there or not."""
    return {
        "written": len(written),
        "lost": len(found.lost),
        "duplicated": len(found.duplicated),
        "altered": len(found.altered),
        "unexpected": len(found.unexpected - set(doubtful)),
    }


def no_event_lost(found: t.Any, doubtful: Iterable[UUID], when: str = "") -> Check:
    """Every event ever written is in one place, as it was written."""
    wrong = {
        "lost": found.lost,
        "duplicated": found.duplicated,
        "altered": found.altered,
        "unexpected": found.unexpected - set(doubtful),
    }
    said = "; ".join(f"{len(ids):,} {name} ({some(ids)})" for name, ids in wrong.items() if ids)
    return Check(
        f"every event is in one place, as it was written{when}",
        "none lost or duplicated",
        said or "none lost or duplicated",
        not said,
    )


def silver_follows(difference: Mapping[str, t.Any]) -> Check:
    """Silver is what the ETL makes of bronze."""
    said = ", ".join(f"{len(rows)} or more {name}" for name, rows in difference.items())
    return Check(
        "silver is what the ETL makes of bronze", "no difference", f"different: {said}" if said else "no difference",
        not said,
    )  # fmt: skip


def of_play(play: Play, played: PlaybookResult) -> list[Check]:
    """How a playbook was to end, and did."""
    expect, name = play.expect, f"{play.playbook}.yml"
    wanted = "another than 0" if expect.rc == FAILED else str(expect.rc)
    kept = played.rc != 0 if expect.rc == FAILED else played.rc == expect.rc
    found = "none, it was killed" if played.rc is None else str(played.rc)
    made = [Check(f"the exit code of {name}", wanted, found if kept else f"{found} ({why(played)})", kept)]
    if expect.changed is not None:
        changed = played.changed
        kept = changed is not None and (changed > 0) == expect.changed
        found = "nothing is known" if changed is None else f"{changed} changed"
        made.append(Check(f"{name} changes", "something" if expect.changed else "nothing", found, kept))
    if expect.outcome is not None:
        outcome = str(played.result.get("outcome", "none"))
        made.append(Check(f"the outcome of {name}", expect.outcome, outcome, outcome == expect.outcome))
    if expect.says is not None:
        found = expect.says.search(played.screen)
        made.append(Check(f"{name} says", expect.says.pattern, found[0] if found else "nothing like it", bool(found)))
    return made


def nothing_changed(name: str, played: PlaybookResult) -> list[Check]:
    """The same playbook once more."""
    found = "nothing is known" if played.changed is None else f"{played.changed} changed"
    code = "none" if played.rc is None else str(played.rc)
    if played.rc != 0:
        code += f" ({why(played)})"
    return [
        Check(f"the exit code of a second {name}.yml", "0", code, played.rc == 0),
        Check(f"a second {name}.yml changes nothing", "0 changed", found, played.changed == 0),
    ]


def why(played: PlaybookResult) -> str:
    """The error of a playbook in its own words, else how it ended."""
    return played.said or "it said nothing"


def steady(when: str, found: Mapping[str, tuple[bool, str]]) -> list[Check]:
    """The steady state, part by part."""
    return [Check(f"{STEADY_WORDS[name]} {when}", "yes", said, kept) for name, (kept, said) in found.items()]


STEADY_WORDS: t.Final = {
    "flowing": "events flow",
    "gate": "the acceptance gate lets pass",
    "nothing_paused": "nothing is paused",
    "jobs": "every job is as it was",
    "gold": "gold is fresh",
}


def flowing(health: Mapping[str, t.Any]) -> tuple[bool, str]:
    """Ingestion runs and no figure fails; dead letters are where they belong."""
    state = health["ingestion"]["state"]
    failing = [i["name"] for i in health["indicators"] if i["status"] == "fail" and i["name"] not in NOT_OF_FLOW]
    said = [*([] if state == "running" else [f"ingestion is {state}"]), *failing]
    return not said, ", ".join(said) or "yes"


#: Judged elsewhere, or meant to be so after a recovery.
NOT_OF_FLOW: t.Final = ("dlq_unresolved", "gold_staleness", "stale_gold_views")


def fresh(health: Mapping[str, t.Any]) -> tuple[bool, str]:
    """Every gold view shows what silver says."""
    wrong = [
        f"{i['name']} {i['status']}" + (f" ({i['reason']})" if i["reason"] else "")
        for i in health["indicators"]
        if "gold" in i["name"] and i["status"] not in ("ok", "warn")
    ]
    return not wrong, ", ".join(wrong) or "yes"


def passing(gate: Mapping[str, t.Any], meant: tuple[str, ...] = ()) -> tuple[bool, str]:
    """Nothing fails; dead letters of a recovery are a warning."""
    failing = [
        check["name"] + (f" ({check['reason']})" if check.get("reason") else "")
        for check in gate["checks"]
        if check["status"] not in ("pass", "warn", "info") and check["name"] not in (*MEANT, *meant)
    ]
    return not failing, ", ".join(failing) if failing else f"yes, {gate['verdict']}"


#: Checks of the gate that a recovery is meant to set off: poison goes to the dead letter queue.
MEANT: t.Final = ("dead_letter_growth",)
#: What damage is meant to set off: the pipeline's own job raises alerts while it is there, which stay until a person resolves them.
MEANT_BY_DAMAGE: t.Final = ("unresolved_alerts",)


def unpaused(ledger: Ledger) -> tuple[bool, str]:
    """No pause is in force and nobody holds the lease."""
    said = [f"paused by {p.actor} for {p.incident}" for p in ledger.pauses if p.resumed_at is None]
    said += [f"the lease is held by {owner}" for owner in ledger.leases]
    return not said, ", ".join(said) or "yes"


def same_jobs(before: Mapping[str, bool], now: Mapping[str, bool]) -> tuple[bool, str]:
    """Each job is there, and as active as before."""
    said = [f"{name} is gone" for name in before if name not in now]
    said += [f"{name} is new" for name in now if name not in before]
    said += [
        f"{name} is {'on' if now[name] else 'off'}" for name in before if now.get(name, before[name]) != before[name]
    ]
    return not said, ", ".join(said) or "yes"


def nothing_left(ledger: Ledger, sessions: Sequence[str]) -> Check:
    """No lease, no pause, no session and no unfinished run stays behind."""
    said = [f"a lease of {owner}" for owner in ledger.leases]
    said += [f"a pause of {p.actor}" for p in ledger.pauses if p.resumed_at is None]
    said += [f"a session {name}" for name in sessions]
    return Check("nothing is left behind", "nothing", ", ".join(said) or "nothing", not said)


def some(values: Iterable[t.Any]) -> str:
    """The first few of many."""
    names = sorted(map(str, values))
    return ", ".join(names[:SHOWN]) + (f" and {count(len(names) - SHOWN, 'other')}" if len(names) > SHOWN else "")


def verdict(document: Document) -> str:
    """Passed only if everything measured is as promised, and something was measured."""
    events = document["events"] or {"lost": 1}
    astray = any(events.get(kind) for kind in ("lost", "duplicated", "altered", "unexpected"))
    broken = [check for check in document["checks"] if not check["passed"]]
    return (
        "passed"
        if document["checks"] and document["phases"] and not (astray or broken or document["why"])
        else "failed"
    )
