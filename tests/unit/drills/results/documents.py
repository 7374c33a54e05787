# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of drills as a runner writes them, for whoever reads them: small ones, and one like a real drill's."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import history
from tests import CHECKOUT

Document = dict[str, Any]
#: Of the checkout.
VERSION = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
STARTED = datetime.datetime(2026, 11, 25, 21, 0, tzinfo=datetime.UTC)

#: Of each scenario: seconds until detected, paused, recovered, resumed; events written.
MEASURED: dict[str, tuple[tuple[float | None, ...], int]] = {
    "poison_event": ((3.2, 5.1, 18.4, 17.9), 2310),
    "stuck_etl_and_lock_holder": ((6.4, 4.8, 33.0, 32.6), 2344),
    "negative_totals": ((9.7, 6.2, 24.9, 24.1), 2371),
    "lost_window": ((12.0, 7.7, 61.3, 60.4), 2512),
    "gold_stale": ((4.1, None, 11.8, None), 2296),
    "gold_broken": ((4.4, 5.0, 15.2, 14.8), 2301),
    "bad_release": ((5.3, 8.9, 47.5, 46.8), 2477),
    "unnamed_table_renamed": ((8.8, 7.1, 52.6, 51.9), 2493),
    "quarantine_and_redrive": ((0.0, 5.5, 29.4, 28.8), 2360),
    "two_operators": ((3.3, 5.2, 22.7, 22.1), 2325),
    "restart_in_the_middle": ((2.9, 6.0, 71.8, 70.9), 2540),
    "controller_killed": ((3.0, 6.6, 66.1, 65.2), 2533),
    "paused_by_a_colleague": ((3.1, 0.2, 16.0, 40.3), 2318),
    "slow_standby": ((7.5, 6.9, 88.2, 87.0), 2601),
    "least_privileged": ((3.4, 5.3, 19.5, 19.0), 2315),
}


def _scenario(name: str) -> tuple[str, str, tuple[str, ...]]:
    """The title, the severity and the playbooks of a scenario, as its file has them."""
    text = (CHECKOUT / "drills" / "scenarios" / f"{name}.yml").read_text(encoding="utf-8")
    made = yaml.safe_load(text)
    return made["title"], made["severity"], tuple(dict.fromkeys(re.findall(r"\bplaybook: (\w+)", text)))


#: Until it is recovered, and until it is resumed.
BUDGET = 300.0
BUDGETS = {"slow_standby": 600.0}


def phase(name: str, seconds: float | None, budget: float | None = 300.0) -> Document:
    within = seconds is not None and (budget is None or seconds <= budget)
    return {"phase": name, "seconds": seconds, "budget": budget, "within": within}


def check(text: str = "a second run changes nothing", *, passed: bool = True, wanted: str = "0 changed",
            found: str = "0 changed") -> Document:  # fmt: skip
    return {"check": text, "wanted": wanted, "found": found, "passed": passed}


def step(playbook: str = "emergency_reset", **fields: Any) -> Document:
    made = {"playbook": playbook, "rc": 0, "seconds": 12.1, "changed": 7, "run_ids": ["0199e2f0-7a3e-7cc1-9c1c-2b0e4a6d3f10"],
            "artifacts": f"poison_event/1-{playbook}", "said": "Recovered: ingestion runs, 1 poison event quarantined"}  # fmt: skip
    return made | fields


def scenario(name: str = "poison_event", **fields: Any) -> Document:
    """One that passed, unless told otherwise."""
    made = {
        "name": name, "title": "A poison event stops the ETL", "severity": "high", "verdict": "passed",
        "started_at": "2026-11-25T21:00:05Z", "seconds": 41.2,
        "phases": [phase("detected", 3.2, None), phase("paused", 5.1, 60.0), phase("recovered", 18.4), phase("resumed", 17.9)],
        "events": events(), "steps": [step()], "checks": [check()], "lacks": [], "why": [],
    }  # fmt: skip
    return made | fields


def events(written: int = 2310, **lost_or_duplicated: int) -> Document:
    return {"written": written, "lost": 0, "duplicated": 0, "altered": 0, "unexpected": 0} | lost_or_duplicated


def document(*scenarios: Document, **fields: Any) -> Document:
    """A drill of these; its verdict is theirs."""
    passed = bool(scenarios) and all(each["verdict"] == "passed" for each in scenarios)
    made = {
        "format": "scout-recovery/drill-1", "drill": "2026-11-25T210000Z", "started_at": "2026-11-25T21:00:00Z",
        "finished_at": "2026-11-25T21:13:32Z", "seconds": 812.4, "verdict": "passed" if passed else "failed",
        "collection": VERSION, "server": "17.10", "sandbox": "embedded", "schema_from": None, "operator": "owner",
        "scenarios": list(scenarios),
    }  # fmt: skip
    return made | fields


def realistic(
    changed: Mapping[str, Document] | None = None, *, pace: float = 1.0, uneven: int = 0, **fields: Any
) -> Document:
    """A drill of all scenarios; `changed` has fields of some of them, `pace` makes all faster or slower, `uneven` some."""
    made: list[Document] = []
    for number, (name, (told, written)) in enumerate(MEASURED.items(), 1):
        title, severity, playbooks = _scenario(name)
        seconds = [took and took * (1 + 0.01 * (number * number * uneven % 17)) for took in told]
        budgets = (None, 60.0, BUDGETS.get(name, BUDGET), BUDGETS.get(name, BUDGET))
        names = ("detected", "paused", "recovered", "resumed")
        phases = [
            phase(each, round(took * pace, 1), budget)
            for each, took, budget in zip(names, seconds, budgets, strict=True)
            if took is not None
        ]
        fields_of = {
            "title": title, "severity": severity, "phases": phases, "events": events(written),
            "seconds": round(28 + (seconds[2] or 0) * pace, 1), "steps": _steps(name, playbooks, (seconds[2] or 0) * pace),
            "checks": [
                check("every exit code is as expected", wanted="0", found="0"),
                check(),
                check("undo brings back what was there", wanted="the same digest", found="the same digest"),
                check("steady state before", wanted="flowing, gate, nothing paused, jobs, gold", found="all of it"),
                check("steady state after", wanted="flowing, gate, nothing paused, jobs, gold", found="all of it"),
            ],
        }  # fmt: skip
        made.append(scenario(name, **(fields_of | dict((changed or {}).get(name, {})))))
    seconds = round(sum(each["seconds"] for each in made) + 12, 1)
    return document(*made, **({"seconds": seconds} | fields))


def _steps(name: str, playbooks: tuple[str, ...], seconds: float) -> list[Document]:
    said = {
        "emergency_reset": "Recovered: ingestion runs, 1 poison event quarantined",
        "quarantine": "Done: 118 events with 116 transactions quarantined",
        "redrive": "Done: 118 events redriven",
        "quality_cleanup": "Done: 12 sales quarantined",
        "refresh_gold": "Done: 2 views refreshed",
        "resume_ingestion": "Resumed: 3 jobs",
        "window_recovery": "Recovered: 214 of 214 events of the window are in silver",
        "rollback": "Rolled back to release 2026.11.3: 6 objects",
    }
    each = seconds / len(playbooks)
    run = [
        step(p, seconds=round(each, 1), said=said[p], artifacts=f"{name}/{n}-{p}") for n, p in enumerate(playbooks, 1)
    ]
    again = step(playbooks[-1], seconds=6.3, changed=0, run_ids=[], said="Nothing to do",
                 artifacts=f"{name}/{len(playbooks) + 1}-{playbooks[-1]}")  # fmt: skip
    return [*run, again]


def at(days_before: int) -> Document:
    """The fields of a drill's time, so many days before the one that everything here is compared with."""
    started = STARTED - datetime.timedelta(days=days_before)
    return {"drill": f"{started:%Y-%m-%dT%H%M%SZ}", "started_at": started.isoformat(),
            "finished_at": (started + datetime.timedelta(seconds=800)).isoformat()}  # fmt: skip


#: What went wrong in the drill of the pictures: one scenario fails its budget and a check, and one became slower.
TROUBLE: dict[str, Document] = {
    "slow_standby": {
        "verdict": "failed",
        "phases": [
            phase("detected", 7.5, None),
            phase("paused", 6.9, 60.0),
            phase("recovered", 718.0, 600.0),
            phase("resumed", 716.2, 600.0),
        ],
        "seconds": 746.0,
        "why": ["the standby replayed slower than the move wrote, so the move gave way for 8 min 40 s"],
    },
    "controller_killed": {
        "phases": [
            phase("detected", 3.0, None),
            phase("paused", 6.6, 60.0),
            phase("recovered", 104.3),
            phase("resumed", 103.2),
        ],
        "seconds": 132.3,
    },
    "gold_broken": {
        "verdict": "failed",
        "checks": [
            check("every exit code is as expected", wanted="0", found="0"),
            check(passed=False, found="1 changed: gold.daily_sales was refreshed again"),
            check("steady state after", wanted="flowing, gate, nothing paused, jobs, gold", found="all of it"),
        ],
        "why": ["a second run of emergency_reset changed 1 thing"],
    },
    "unnamed_table_renamed": {
        "verdict": "not_run",
        "phases": [],
        "events": None,
        "steps": [],
        "checks": [],
        "seconds": 0.4,
        "lacks": ["table scout.dim_product, needed by the fault unnamed"],
        "why": ["the schema under drill lacks what its fault needs"],
    },
}


def past(*, quarters: int = 5) -> history.Earlier:
    """A team's history: quarterly drills, one in between that was stopped, and a file that nobody can read."""
    paces = (1.42, 1.31, 1.18, 1.07, 0.98, 1.02, 0.97, 1.0)[-quarters:]
    entries: list[history.Entry] = []
    for number, pace in enumerate(paces):
        changed: dict[str, Document] = (
            {"two_operators": {"verdict": "failed", "why": ["both held the lease"]}} if number == 1 else {}
        )
        made = realistic(changed, pace=pace, uneven=number + 1, **at(91 * (quarters - number)))
        entries.append(history.entry_of(history.entry(made)))
    stopped = realistic({"slow_standby": {"verdict": "interrupted"}}, verdict="interrupted", **at(40))
    entries.append(history.entry_of(history.entry(stopped)))
    entries.sort(key=lambda each: each.started_at)
    return history.Earlier(tuple(entries), ("notes.json: not a drill",))


#: What would act on a page, a table, a screen, or on people who are named.
HOSTILE = (
    '<script>alert(1)</script> | "><img src=x onerror=alert(2)> @everyone #12 `code` **bold** [a](http://x) \\ $1 $2\n'
    "# heading\r\n| a | b |\n\x1b[31mred\x1b[0m \x07\x00\u202eevil ]]> &amp; </testcase> _x_ ~~y~~ {{ 7 * 7 }}"
)
#: The fields of one that the drill never came to.
UNBEGUN: dict[str, Any] = {
    "verdict": "not_run", "phases": [], "events": None, "steps": [], "checks": [], "started_at": None, "seconds": 0.0,
}  # fmt: skip
#: Reasons that fill a page.
LONG = [f"{n}" * 900 for n in range(9)]


def drill_of_everything() -> dict[str, Any]:
    """Hostile wherever a text may stand."""
    return document(
        scenario(
            HOSTILE, title=HOSTILE, severity=HOSTILE, verdict="failed", steps=[step(HOSTILE, artifacts=HOSTILE, said=HOSTILE,
            run_ids=[HOSTILE])], checks=[check(HOSTILE, wanted=HOSTILE, found=HOSTILE, passed=False)], lacks=[HOSTILE],
            why=[HOSTILE],
        ),
        scenario(steps=[step(HOSTILE, artifacts="javascript:alert(3)", said=HOSTILE)]),
        scenario(HOSTILE + "2", verdict="not_run", phases=[], events=None, steps=[], checks=[]),
        collection=HOSTILE, server=HOSTILE, sandbox=HOSTILE, schema_from=HOSTILE, operator=HOSTILE,
    )  # fmt: skip


#: Of every kind, by what it shows.
DRILLS: dict[str, dict[str, Any]] = {
    "passed": realistic(),
    "trouble": realistic(TROUBLE),
    "none": document(),
    "one": document(scenario()),
    "hostile": drill_of_everything(),
    "forty": document(*(scenario(f"scenario_{n}", verdict="failed" if n % 3 else "passed", why=LONG) for n in range(40))),
    "bare": document({"name": "a", "verdict": "error"}, server=None, collection=None, operator=None, finished_at=None),
    "interrupted": document(scenario(), scenario("b", verdict="interrupted", phases=[]), scenario("c", **UNBEGUN), verdict="interrupted"),
    "killed": document(scenario(steps=[step(rc=None, changed=None, said=None, artifacts=None, run_ids=[])])),
    "over budget": document(scenario(verdict="failed", phases=[phase("recovered", 372.0)])),
    "claims": document(scenario(events=events(lost=1))),
    "never": document(scenario(verdict="failed", phases=[phase("paused", None), phase("recovered", None, None)])),
    "nothing": document(scenario(phases=[phase("recovered", 0.0, 0.0)], events=events(0), checks=[])),
}  # fmt: skip
