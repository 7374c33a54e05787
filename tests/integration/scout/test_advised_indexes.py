# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A preflight advises the indexes that large tables want, each until one is there that serves, with the size that it has then."""

from __future__ import annotations

import re
import subprocess

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import advice
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import advised_indexes, contract
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from tests import CHECKOUT
from tests.integration.modules import Result, call, connect, fingerprint, one, operator
from tests.scout import levels, partman
from tests.unit.summary.test_summary import START, story

SIZE = "SELECT pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE schemaname = 'scout' ORDER BY indexrelid DESC LIMIT 1"
#: What serves as well as what is advised.
ALIKE = (
    "CREATE INDEX ON scout.bronze_events (ingested_at)",
    "CREATE INDEX ON scout.silver_transactions (source_event_id, transaction_id)",
)

#: The indexes of bronze that its partitions got as well: whether each is valid, and how many they are.
WHOLES = """
SELECT x.indisvalid, (SELECT count(*) FROM pg_inherits AS i WHERE i.inhparent = x.indexrelid)
FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
WHERE x.indrelid = 'scout.bronze_events'::regclass AND NOT x.indisunique AND c.relname <> 'bronze_events_event_hash_idx'
"""
LEAVES = "SELECT count(*) FROM pg_partition_tree('scout.bronze_events') WHERE isleaf"
SIZES = """
SELECT sum(pg_relation_size(x.indexrelid))::bigint FROM pg_partition_tree('scout.bronze_events') AS p
JOIN pg_index AS x ON x.indrelid = p.relid
WHERE p.isleaf AND NOT x.indisunique AND pg_get_indexdef(x.indexrelid) !~ 'event_hash'
"""


def screen(found: Result) -> list[str]:
    """What a preflight prints of it to be pasted."""
    told = story({"preflight": START["preflight"] | found}, operation="preflight")
    lines = [line.strip() for line in render.drawn(told, "unchanged", 0, phases=False)]
    first = next(number for number, line in enumerate(lines) if line.startswith(("SELECT", "CREATE", "DROP")))
    return lines[first:]


def pasted(dsn: str, printed: list[str]) -> None:
    """Psql takes it as it is printed."""
    done = subprocess.run(
        [psql(), "-X", "-v", "ON_ERROR_STOP=1", "-d", dsn],
        input="\n".join(printed), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def advised(dsn: str) -> list[str]:
    return [each["statement"] for each in looked(dsn)["advised_indexes"]]


def looked(dsn: str) -> Result:
    with operator(dsn) as operators:
        result = call("scout_preflight_info", operators, job_rights=True, required=False)
    assert not result.get("failed"), result
    assert not any("INDEX" in warning for warning in result["warnings"])
    return result


@pytest.fixture
def large(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its tables count as large."""
    with connect(scout_db) as connection:
        connection.execute("ANALYZE")
    monkeypatch.setattr(advised_indexes, "LARGE", 100)
    return scout_db


def test_a_small_table_gets_no_advice(scout_db: str) -> None:
    assert advised(scout_db) == []


def test_each_is_advised_until_it_is_there_with_the_size_that_it_has_then(large: str) -> None:
    before = fingerprint(large)
    found = looked(large)["advised_indexes"]
    assert fingerprint(large) == before
    wanted = [index.statement for index in advised_indexes.INDEXES]
    assert [each["statement"] for each in found] == wanted
    for number, each in enumerate(found, 1):
        with connect(large) as connection:
            connection.execute(each["statement"].encode())
        assert advised(large) == wanted[number:]
        # An index of few rows has a page more than these fill.
        assert each["bytes"] / 2 <= one(large, SIZE) <= 2 * each["bytes"] + 16384


def test_another_that_serves_is_one(large: str) -> None:
    with connect(large) as connection:
        for statement in ALIKE:
            connection.execute(statement.encode())
    assert advised(large) == [index.statement for index in advised_indexes.INDEXES[2:]]


def left_invalid(dsn: str, table: str, on: str) -> None:
    """As CREATE INDEX CONCURRENTLY leaves one where it is cancelled while it waits for somebody's transaction."""
    with connect(dsn) as reader, connect(dsn) as creator:
        reader.execute("BEGIN")
        reader.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE".encode())
        creator.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            creator.execute(f"CREATE INDEX CONCURRENTLY left_invalid ON {table} {on}".encode())


def test_one_that_is_invalid_is_none_and_is_dropped_first(large: str) -> None:
    left_invalid(large, "scout.silver_transactions", "(source_event_id)")
    wanted = [index.statement for index in advised_indexes.INDEXES]
    wanted[1] = f"DROP INDEX CONCURRENTLY scout.left_invalid\n{wanted[1]}"
    assert advised(large) == wanted
    with connect(large) as connection:
        for line in wanted[1].splitlines():
            connection.execute(line.encode())
    assert advised(large) == [wanted[0], *wanted[2:]]


def test_an_invalid_one_of_a_partition_does_not_make_that_of_the_whole_invalid(
    partitioned_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(partitioned_db) as connection:
        connection.execute("ANALYZE")
    monkeypatch.setattr(advised_indexes, "LARGE", 100)
    leaf = one(
        partitioned_db,
        "SELECT relid::regclass::text FROM pg_partition_tree('scout.bronze_events') WHERE isleaf ORDER BY 1 DESC LIMIT 1",
    )
    left_invalid(partitioned_db, leaf, contract.words(f"(({advised_indexes.OF_SALE}))"))
    pasted(partitioned_db, screen(looked(partitioned_db)))
    assert advised(partitioned_db) == []
    assert one(partitioned_db, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_nobody_who_only_begins_an_operation_is_told(large: str) -> None:
    assert call("scout_preflight_info", large)["advised_indexes"] == []


def test_what_is_printed_for_partitions_makes_them_of_each_and_of_those_to_come(
    partman_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(partman_db) as connection:
        connection.execute("ANALYZE")
    monkeypatch.setattr(advised_indexes, "LARGE", 100)
    found = looked(partman_db)
    printed = screen(found)
    pasted(partman_db, printed)
    assert advised(partman_db) == []
    with connect(partman_db) as connection:
        wholes = connection.execute(WHOLES).fetchall()
        partitions = connection.execute(LEAVES).fetchone()
        assert partitions
        # Times are found by the partition that has them.
        assert wholes == [(True, partitions[0])]
        made = sum(each["bytes"] for each in found["advised_indexes"] if each["table"] == "scout.bronze_events")
    partman.maintain(partman_db, premake=9)
    assert made / 2 <= one(partman_db, SIZES) <= 2 * made + 16384 * partitions[0]
    assert one(partman_db, LEAVES) > partitions[0]
    assert advised(partman_db) == []


@pytest.mark.parametrize("kind", ["list", levels.PARTMAN])
def test_so_it_does_for_parts_of_partitions(
    request: pytest.FixtureRequest, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn: str = request.getfixturevalue("partman_db" if kind == levels.PARTMAN else "partitioned_db")
    levels.make(dsn, kind)
    with connect(dsn) as connection:
        connection.execute("ANALYZE")
    monkeypatch.setattr(advised_indexes, "LARGE", 100)
    pasted(dsn, screen(looked(dsn)))
    levels.night(dsn, kind)
    assert advised(dsn) == []
    assert one(dsn, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_each_stands_alone_on_its_line_and_so_does_the_page() -> None:
    page = re.sub(r"\s", "", (CHECKOUT / "docs" / "sizing.md").read_text())
    for index in advised_indexes.INDEXES:
        assert f"{re.sub(r'\s', '', index.statement)};" in page
        [words, statement] = advice.parts(f"{index.why}: {index.statement};")
        assert (words.text, statement.text) == (f"{index.why}:", f"{index.statement};")
        assert statement.is_statement


def test_it_has_the_names_in_force() -> None:
    with contract.using(contract.of({"schema": "shop", "bronze": "raw", "transaction_event": "sale"})):
        first, _, of_sale, broken = (index.statement for index in advised_indexes.INDEXES)
    assert first == "CREATE INDEX CONCURRENTLY ON shop.raw USING brin (ingested_at)"
    assert "event_type = 'sale'" in of_sale
    assert broken.startswith("CREATE INDEX CONCURRENTLY ON shop.silver_transactions (processed_at) WHERE ")
