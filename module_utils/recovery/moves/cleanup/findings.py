# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What quality rules found, when that is systemic, and how it is described; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.text import count
from ...scout import contract
from ..engine.job import about_requeued, in_numbers
from .rules import SEVERITIES, Rule

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

#: What a row of the table with this alias is called.
NOUNS: t.Final = {"t": "transaction", "l": "line", "b": "event"}
#: A share says little of a handful of rows: so many must violate a rule before it can be systemic, unless it is most of
#: what was looked at and more than one. One of three is no trend, three of three are.
FEW: t.Final = 5


@dataclasses.dataclass(frozen=True)
class Scope:
    """Which rows are judged: a half-open window on the time of the sale (of an event: event_ts); all without bounds."""

    start: datetime.datetime | None = None
    end: datetime.datetime | None = None

    def as_dict(self) -> dict[str, str | None]:
        """For results."""
        return {
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
        }


@dataclasses.dataclass(frozen=True)
class Figures:
    """How much a set of violations concerns: sales, events, the sum of its amounts, its times, the days of gold."""

    transactions: int = 0
    events: int = 0
    #: Exact, as text; of the rows whose amount is a number.
    amount: str | None = None
    #: Rows whose amount is missing or not a number.
    no_amount: int = 0
    window: tuple[str | None, str | None] = (None, None)
    processed: tuple[str | None, str | None] = (None, None)
    gold_days: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """For results; both ends of each window are of rows that are in it."""
        return {
            **dataclasses.asdict(self),
            "window": dict(zip(("start", "end"), self.window, strict=True)),
            "processed": dict(zip(("start", "end"), self.processed, strict=True)),
            "gold_days": list(self.gold_days),
        }


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one rule found among the scanned rows of its table."""

    rule: Rule
    scanned: int
    violations: int
    systemic: bool
    figures: Figures = Figures()
    samples: tuple[dict[str, t.Any], ...] = ()

    @property
    def share(self) -> float:
        """The part of the scanned rows that violates the rule; 0 where there was none to scan."""
        return self.violations / self.scanned if self.scanned else 0.0

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        rule = {key: value for key, value in self.rule.as_dict().items() if key != "predicate"}
        found = {"scanned": self.scanned, "violations": self.violations, "share": round(self.share, 6)}
        return {
            **rule,
            **found,
            "systemic": self.systemic,
            **self.figures.as_dict(),
            "samples": list(self.samples),
        }


@dataclasses.dataclass(frozen=True)
class Report:
    """What the rules found, and what of it would move."""

    scope: Scope
    max_share: float
    scanned: dict[str, int]
    findings: tuple[Finding, ...]
    #: Every sale once, however many rules it violates.
    moving: Figures = Figures()

    @property
    def systemic(self) -> list[Finding]:
        """The rules that would move more than a cleanup should; those that only report stop nothing."""
        return [finding for finding in self.findings if finding.systemic and finding.rule.moves]

    @property
    def violated(self) -> list[Finding]:
        """The rules that found anything."""
        return [finding for finding in self.findings if finding.violations]

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        return {
            "scope": self.scope.as_dict(),
            "max_share": self.max_share,
            "scanned": self.scanned,
            "rules": [finding.as_dict() for finding in self.findings],
            "moving": self.moving.as_dict(),
            "systemic": [finding.rule.name for finding in self.systemic],
        }

    def lines(self) -> list[str]:
        """For a person: one line for each violated rule, the gravest first."""
        ordered = sorted(self.violated, key=lambda f: -SEVERITIES.index(f.rule.severity))
        return [line(finding) for finding in ordered] or ["no row violates a rule"]


def is_systemic(violations: int, scanned: int, max_share: float) -> bool:
    """Whether so many violations cannot be the fault of single rows; a share of 0 allows none at all."""
    if violations <= max_share * scanned:
        return False
    return max_share == 0 or violations >= FEW or (violations > 1 and 2 * violations > scanned)


def line(finding: Finding) -> str:
    """How much violates a rule, and when it happened."""
    noun, rule = NOUNS[finding.rule.alias], finding.rule
    start, end = finding.figures.window
    when = "" if start is None else f", from {start} to {end}" if start != end else f", at {start}"
    told = "" if rule.moves else ", only reported"
    of = f"{finding.violations} of {count(finding.scanned, noun)} ({percent(finding.share)})"
    return f"{rule.name} ({rule.severity}{told}): {of}{when}"


def percent(share: float) -> str:
    """`5 %`."""
    return f"{100 * share:.3g} %"


def by_rule(report: Report, moved: Mapping[str, int] | None = None) -> list[dict[str, t.Any]]:
    """What each rule found, and how many sales (for a rule on events: events) move or moved for it."""
    made: list[dict[str, t.Any]] = []
    for finding in report.findings:
        rule, found = finding.rule, finding.figures
        would = found.events if rule.table == contract.names().bronze else found.transactions
        made.append(
            {
                **{key: getattr(rule, key) for key in ("name", "table", "severity", "action", "error_code")},
                "scanned": finding.scanned,
                "violations": finding.violations,
                "share": round(finding.share, 6),
                "moved": moved.get(rule.name, 0) if moved is not None else would if rule.moves else 0,
            }
        )
    return made


def told(verb: str, effects: Mapping[str, t.Any], found: Sequence[Mapping[str, t.Any]]) -> str:
    """`moved 12 events, 12 transactions, 31 line items: negative_total 9, empty_basket 3; 2 rules only reported`."""
    moved = in_numbers(effects["moved"])
    text = "no row violates a rule that moves it" if moved == "nothing" else f"{verb} {moved}"
    names = [f"{rule['name']} {rule['moved']:,}" for rule in found if rule["moved"]]
    if names and moved != "nothing":
        text += f": {', '.join(names)}"
    text += about_requeued(verb, effects)
    reported = sum(bool(rule["violations"]) for rule in found if rule["action"] == "report")
    return text + (f"; {count(reported, 'rule')} only reported" if reported else "")
