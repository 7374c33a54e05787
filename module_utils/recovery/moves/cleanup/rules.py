# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quality rules as data: the built-in ones, and those people write, none of which can leave its parentheses."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...core.errors import BadInput
from ...scout import contract
from ...scout.judging import predicates
from . import violations

SEVERITIES: t.Final = ("info", "warning", "critical")
ACTIONS: t.Final = ("quarantine", "report")


NAME: t.Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
CODE: t.Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
LONGEST_MESSAGE: t.Final = 300


def aliases() -> dict[str, str]:
    """The tables a rule may judge, and the name a row has in its predicate."""
    names = contract.names()
    return {names.transactions: "t", names.line_items: "l", names.bronze: "b"}


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is wrong with a row of one table, how bad that is, and what becomes of the row."""

    name: str
    table: str
    predicate: str
    severity: str = "warning"
    action: str = "report"
    error_code: str = ""
    message: str = ""

    @property
    def alias(self) -> str:
        """The name of the row in the predicate."""
        return aliases()[self.table]

    @property
    def moves(self) -> bool:
        """Whether a row that violates it is moved."""
        return self.action == "quarantine"

    def as_dict(self) -> dict[str, str]:
        """For results, plans and the ledger; `choose` accepts it."""
        return dataclasses.asdict(self)


#: A sale whose event is gone is not wrong for that: where old events are pruned, all old sales are such, and none of them
#: could be rebuilt. So that rule only reports; what the others find is wrong in itself, and its event holds the cause.
#: Tables stand here as in the contract.
_BUILT_IN: t.Final = (
    Rule(
        "negative_total",
        "{transactions}",
        violations.NEGATIVE_TOTAL,
        "critical",
        "quarantine",
        "INVALID_AMOUNTS",
        "the total is negative",
    ),
    Rule(
        "empty_basket",
        "{transactions}",
        violations.EMPTY_BASKET,
        "warning",
        "quarantine",
        "INVALID_AMOUNTS",
        "the basket has no items",
    ),
    Rule(
        "invalid_amounts",
        "{transactions}",
        violations.INVALID_AMOUNTS,
        "critical",
        "quarantine",
        "INVALID_AMOUNTS",
        "an amount is missing or not a number",
    ),
    Rule(
        "lines_do_not_add_up",
        "{transactions}",
        violations.LINES_DO_NOT_ADD_UP,
        "critical",
        "quarantine",
        "LINE_TOTAL_MISMATCH",
        "the lines do not add up to the total, with or without discounts",
    ),
    Rule(
        "invalid_line",
        "{line_items}",
        f"{violations.INVALID_LINE} OR {violations.INVALID_FIGURES}",
        "critical",
        "quarantine",
        "INVALID_LINE_ITEM",
        "a line has no positive quantity, a negative price, or a figure that is missing or not a number",
    ),
    Rule(
        "orphan_source_event",
        "{transactions}",
        "t.source_event_id IS NOT NULL AND NOT EXISTS (SELECT FROM {bronze} AS e WHERE e.event_id = t.source_event_id)",
        "warning",
        "report",
        "ORPHAN_SOURCE_EVENT",
        "the event it came from is not in bronze",
    ),
)


def built_in() -> tuple[Rule, ...]:
    """The rules that need not be given, of the tables as they are called in this database."""
    return tuple(
        dataclasses.replace(rule, table=contract.words(rule.table), predicate=contract.words(rule.predicate))
        for rule in _BUILT_IN
    )


KEYS: t.Final = tuple(field.name for field in dataclasses.fields(Rule))


def choose(given: object = None, only: object = None) -> tuple[Rule, ...]:
    """The built-in rules and the given ones, of which `only` picks some; a given rule with a built-in name overrides
    it, and what it leaves out stays as built in. Raises BadInput for rules that are not usable."""
    if given is not None and not isinstance(given, (list, tuple)):
        raise _refused("the rules", given, "they must be a list of dictionaries")
    rules = {rule.name: rule for rule in built_in()}
    own: set[str] = set()
    for entry in t.cast("list[object]", given or []):
        rule = parse(entry, rules)
        if rule.name in own:
            raise _refused(f"rule {rule.name}", rule.name, "two rules have this name")
        own.add(rule.name)
        rules[rule.name] = rule
    return _only(rules, only)


def parse(entry: object, base: t.Mapping[str, Rule] | None = None) -> Rule:
    """One rule as people write it. Raises BadInput, naming the value, for every mistake in it."""
    if not isinstance(entry, dict):
        raise _refused("a rule", entry, "it must be a dictionary")
    given = {str(key): value for key, value in t.cast("dict[object, object]", entry).items() if value is not None}
    name = given.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _refused("a rule's name", name, "it must be a lowercase letter and then at most 40 of a-z, 0-9 and _")
    where = f"rule {name}"
    for key in given:
        if key not in KEYS:
            raise _refused(where, key, f"this key is unknown; a rule has {', '.join(KEYS)}")
    built_in = (base or {}).get(name)
    whole = {**(built_in.as_dict() if built_in else {}), **given}
    error_code = _text(where, whole, "error_code", name.upper())
    if not CODE.fullmatch(error_code):
        raise _refused(f"error_code of {where}", error_code, "it must be uppercase letters, digits and _, at most 64")
    return Rule(
        name=name,
        table=_table(where, whole.get("table")),
        predicate=_predicate(where, whole.get("predicate")),
        severity=_one_of(where, whole, "severity", SEVERITIES, "warning"),
        action=_one_of(where, whole, "action", ACTIONS, "report"),
        error_code=error_code,
        message=_message(where, whole, f"violates the rule {name}"),
    )


def gravest_first(rules: t.Iterable[Rule]) -> list[Rule]:
    """The order in which the names of violated rules stand with a row: the first one gives its error code."""
    return sorted(rules, key=lambda rule: -SEVERITIES.index(rule.severity))


def _predicate(where: str, value: object) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _refused(where, value, "its predicate is missing: an SQL condition that is true for a wrong row")
    if why := predicates.unusable(value):
        raise _refused(f"predicate of {where}", value, why)
    return str(value).strip()


def _table(where: str, value: object) -> str:
    tables = aliases()
    for table in tables:
        if value in (table, contract.bare(table)):
            return table
    raise _refused(f"table of {where}", value, f"it must be one of {', '.join(map(contract.bare, tables))}")


def _one_of(where: str, whole: dict[str, t.Any], key: str, allowed: tuple[str, ...], default: str) -> str:
    value = whole.get(key, default)
    if value not in allowed:
        raise _refused(f"{key} of {where}", value, f"it must be {' or '.join(allowed)}")
    return value


def _text(where: str, whole: dict[str, t.Any], key: str, default: str) -> str:
    value = whole.get(key) or default
    if not isinstance(value, str):
        raise _refused(f"{key} of {where}", value, "it must be text")
    return value


def _message(where: str, whole: dict[str, t.Any], default: str) -> str:
    text = " ".join(_text(where, whole, "message", default).split())
    if len(text) > LONGEST_MESSAGE or not text.isprintable():
        raise _refused(f"message of {where}", text, f"it must be readable, and at most {LONGEST_MESSAGE} characters")
    return text


def _only(rules: dict[str, Rule], only: object) -> tuple[Rule, ...]:
    """All rules, or those named, in the order they are defined in."""
    if only is None or only == []:
        return tuple(rules.values())
    if not isinstance(only, (list, tuple)):
        raise _refused("only", only, "it must be a list of names of rules")
    names = t.cast("list[object]", only)
    for name in names:
        if not isinstance(name, str) or name not in rules:
            raise _refused("only", name, f"no rule has this name; there are {', '.join(rules)}")
    return tuple(rule for rule in rules.values() if rule.name in names)


def _refused(what: str, value: object, why: str) -> BadInput:
    shown = repr(value)
    return BadInput(
        f"{what} {shown if len(shown) <= 200 else shown[:200] + '…'} is not usable",
        said=why,
        next_step="correct the name" if what == "only" else "correct it in quality_cleanup_rules",
    )
