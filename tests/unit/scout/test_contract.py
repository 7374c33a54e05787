# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of Scout stand in one place, can be others, and what cannot be a name is refused with its key."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from psycopg import sql

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract
from tests import CHECKOUT

OTHER = contract.of({"schema": "pos", "bronze": "inbox", "load_job": "load; every minute"})

#: What stands alone as a name; `alerts` and the parts of names are words of everyday life, and `scout` is ours as well.
ALONE = [
    str(name)
    for key, name in contract.defaults().items()
    if key not in ("schema", "alerts", "silver_prefix", "gold_prefix", "writers")
]
NAMES = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ALONE))})(?!\w)")
#: Of the schema: `scout.t`, which is no import, and 'scout', "scout" or a prefix as a constant.
IN_SCHEMA = re.compile(r"""(?<![\w.])scout\.(?!recovery\b|drills\b)\w|'scout'|"scout"|'(?:silver|gold)(?:_|\\)""")
#: The component's name at a service that wakes people.
OURS = '"component": "scout"', 'notice.database or "scout"'


def names_scout(line: str) -> bool:
    """Whether a line has a name of Scout's in it."""
    return any(pattern.search(line) for pattern in (NAMES, IN_SCHEMA))


def test_no_other_file_knows_a_name() -> None:
    found: list[str] = []
    for path in sorted((CHECKOUT / "module_utils").rglob("*.py")):
        if path.match("scout/contract.py"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if names_scout(line) and not any(each in line for each in OURS):
                found.append(f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "SELECT count(*) FROM scout.anything",
        "FROM {schema}.bronze_events",
        "WHERE c.relname = 'etl_processed'",
        "AND n.nspname IN ('scout', 'cron')",
        'sql.Identifier("scout", table)',
        'if job.jobname == "bronze-to-silver-etl":',
        "pg_try_advisory_lock(94752052)",
        "b.event_type = 'transaction.v1'",
        "c.relname LIKE 'silver\\\\_%%'",
        "to_regprocedure('control_ingestion(text)')",
    ],
)
def test_a_name_would_be_found(line: str) -> None:
    assert names_scout(line)


@pytest.mark.parametrize(
    "line",
    [
        "from ..scout import contract",
        "application_name = scout-recovery/x",
        "scout.recovery.scout_drain",
        "scout_ops.runs",
    ],
)
def test_what_is_no_name_is_not(line: str) -> None:
    assert not NAMES.search(line)
    assert not IN_SCHEMA.search(line)
    assert not names_scout(line)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a key that is nearly one": ({"bronz": "inbox"}, "has no key 'bronz'. Next: write bronze"),
    "a key that is none": ({"x": "y"}, "its keys are schema, bronze,"),
    "a key that is no text": ({7: "y"}, "has no key '7'"),
    "nothing": ({"bronze": ""}, "bronze '' is not usable"),
    "no value": ({"bronze": None}, "bronze 'None' is not usable"),
    "a number": ({"bronze": 7}, "bronze '7' is not usable"),
    "a quote": ({"bronze": 'in"box'}, "without a schema or quotes"),
    "an apostrophe": ({"bronze": "in'box"}, "is not usable"),
    "a NUL": ({"bronze": "in\0box"}, "is not usable"),
    "a brace": ({"bronze": "{dead_letters}"}, "is not usable"),
    "a per cent sign": ({"bronze": "in%sbox"}, "is not usable"),
    "a line's end": ({"bronze": "inbox\n"}, "is not usable"),
    "its schema": ({"bronze": "pos.inbox"}, "without a schema"),
    "a name that would need quotes": ({"bronze": "Inbox"}, "lower-case letters"),
    "one that PostgreSQL would cut": ({"bronze": "i" * 64}, "at most 63"),
    "PostgreSQL's own schema": ({"schema": "pg_catalog"}, "is not the pipeline's"),
    "the scheduler's": ({"schema": "cron"}, "is not the pipeline's"),
    "the ledger's": ({"schema": "scout_ops"}, "is not the pipeline's"),
    "two tables": ({"bronze": "t", "alerts": "t"}, "bronze and alerts have the same name, 't'"),
    "one and a default": ({"bronze": "bronze_events_dlq"}, "bronze and dead_letters have the same name"),
    "a table and a view": ({"linking_view": "alerts"}, "alerts and linking_view have the same name"),
    "two functions": ({"load_function": "f", "link_function": "f"}, "have the same name, 'f'"),
    "two jobs": ({"load_job": "j", "refresh_job": "j"}, "load_job and refresh_job"),
    "two prefixes": ({"gold_prefix": "silver_"}, "silver_prefix and gold_prefix"),
    "a job without a name": ({"load_job": ""}, "1 to 200 characters"),
    "a job of two lines": ({"load_job": "a\nb"}, "in one line"),
    "an event of two words": ({"transaction_event": "a b"}, "give a type of events"),
    "a lock that is no number": ({"gold_lock": "94752052"}, "gold_lock '94752052' is not usable"),
    "a lock that is a switch": ({"gold_lock": True}, "gold_lock 'True' is not usable"),
    "a lock of 65 bits": ({"gold_lock": 2**63}, "a whole number of 64 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    given, said = REFUSED[name]
    with pytest.raises(BadInput) as raised:
        contract.of(given)
    assert str(raised.value).startswith("scout_contract")
    assert said in str(raised.value)


def test_a_statement_has_the_names_in_force() -> None:
    text = "SELECT '{{}}', {part} FROM {bronze} WHERE t = {transaction_event} AND {}"
    parts = {"part": sql.SQL("1")}
    assert contract.compose(text, sql.SQL("true"), **parts).as_string() == (
        """SELECT '{}', 1 FROM "scout"."bronze_events" WHERE t = 'transaction.v1' AND true"""
    )
    with contract.using(OTHER):
        assert '"pos"."inbox"' in contract.compose(text, sql.SQL("true"), **parts).as_string()
        assert contract.words("look at {bronze}") == "look at pos.inbox"
    assert contract.names() == contract.DEFAULT


def test_braces_of_the_statement_and_of_a_name_stay_what_they_are() -> None:
    text = "SELECT '{{x}}', {} FROM {bronze} WHERE {part}"
    parts = {"part": sql.SQL("'{{y}}' <> '{{'")}
    odd = dataclasses.replace(OTHER, bronze='pos.in{box}"')
    with contract.using(odd):
        assert contract.compose(text, sql.Literal("{z}"), **parts).as_string() == (
            "SELECT '{x}', '{z}' FROM \"pos\".\"in{box}\"\"\" WHERE '{{y}}' <> '{{'"
        )
    with pytest.raises(ValueError, match="no format spec"):
        contract.compose("SELECT {part:>5} FROM {bronze}", **parts)
