# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes in the schema: what is gone or renamed, triggers that swallow rows, and events that the ETL passes over."""

from __future__ import annotations

import typing as t

from ...core.text import count, in_words
from ...scout import contract, lost_sales
from ..reads import losses
from ..reads.objects import needed_to_run
from .base import RESET, Diagnosis, cause, rolled_back

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..facts import Facts

RECOVER: t.Final = "ansible-playbook scout.recovery.window_recovery"
#: Fewer than this are no stream of sales.
SOME_EVENTS: t.Final = 3
MOST_TRIGGERS: t.Final = 5


def missing(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Each object that the pipeline itself cannot do without."""
    gone = [name for name in found.wider.missing or [] if needed_to_run(name)]
    tables = [name for name in gone if name in contract.names().columns]
    for name in gone:
        if any(name != table and (name.startswith(f"{table}.") or f" {table} " in name) for table in tables):
            continue
        what, otherwise = _told(found, name)
        evidence = (
            "; ".join(f"{old} is there instead" for old in _instead(found, name))
            or "the pipeline and this toolkit need it"
        )
        yield cause(what, evidence, rolled_back(found, otherwise))


def _told(found: Facts, name: str) -> tuple[str, str]:
    """What is wrong, and what a person does about it."""
    if name.startswith("unique index on "):
        # The index of a partitioned table is made with those of its partitions, which no statement does beside writers.
        plain = name.removeprefix("unique index on ").removeprefix("partitioned ")
        how = "" if name.startswith("unique index on partitioned ") else " CONCURRENTLY"
        table, _, columns = plain.partition(" ")
        twice = found.wider.duplicates
        more = (
            f", and {count(twice, 'key is', 'keys are')} there twice"
            if twice and table == contract.names().transactions
            else ""
        )
        made, key = f"CREATE UNIQUE INDEX{how} ON {table} {columns};", columns.strip("()")
        if more:
            # PostgreSQL makes none beside them, and leaves one behind that is not valid.
            find = f"SELECT {key}, count(*) FROM {table} GROUP BY {key} HAVING count(*) > 1;"  # noqa: S608  # to be read
            made = f"{find} names them: the owner of {table} removes all but one row of each, then {made}"
        return f"{table} has no unique index on {columns}{more}", made
    if name.endswith(")"):
        return f"function {name} is missing", f"create {name} again as the release has it, then {RESET}"
    if name in contract.names().columns:
        return (
            f"table {name} is missing: dropped or renamed",
            f"rename it back, or restore it from a backup, then {RESET}",
        )
    table, _, column = name.rpartition(".")
    renamed = next(iter(_instead(found, name)), None)
    fix = (
        f"ALTER TABLE {table} RENAME COLUMN {renamed} TO {column};"
        if renamed
        else f"add or rename it back, then {RESET}"
    )
    return f"column {name} is missing: dropped or renamed", fix


def _instead(found: Facts, name: str) -> list[str]:
    """Columns of the table that nobody knows, of which one may be the renamed one; where there is just one."""
    strange = [column for table, column in found.wider.unknown_columns or [] if name.rpartition(".")[0] == table]
    return strange if len(strange) == 1 else []


def triggers(found: Facts, status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """A trigger on the pipeline's own tables, where rows are lost or the ETL fails; one on bronze where nothing good comes in."""
    suffers = {"lost_events", "job_runs", "etl_duration", "silver_staleness", "backlog_age"}
    suffering = any(status.get(name) == "fail" for name in suffers)
    of_bronze = any(status.get(name) == "fail" for name in ("unloaded_sources", "bronze_staleness"))
    if found.wider.remedy or not (suffering or of_bronze):
        return
    rows = [row for row in found.wider.triggers or [] if suffering or row["relation"] == contract.names().bronze]
    for row in rows[:MOST_TRIGGERS]:
        what = f"trigger {row['name']} on {row['relation']} may swallow or refuse its rows"
        disable = f"ALTER TABLE {row['relation']} DISABLE TRIGGER {row['name']};"
        yield cause(what, f"it calls {row['function']}", rolled_back(found, disable, row["name"]))


def swallowed(found: Facts, status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Events that arrive and that the ETL never loads: of some sources, or of all, and silver stands still."""
    if status.get("silver_staleness") not in ("warn", "fail"):
        for each in found.wider.arrived or []:
            if not each["unloaded"] or status.get("unloaded_sources") != "fail":
                continue
            sender = f"{each['what']} {each['name'] or 'sources'}"
            fix = f"whoever runs {sender} sends the type and the transaction_id that the ETL loads; what came stays in bronze"
            yield cause(
                f"{sender} {'sends' if each['name'] else 'send'} what the ETL does not load", losses.in_words(each), fix
            )
        return
    row = next(iter(found.wider.arrived or []), None)
    if row and row["others"] >= SOME_EVENTS and row["others"] > row["typed"]:
        what = (
            f"events arrive as type {row['type']}, which the ETL ignores: it loads {contract.names().transaction_event}"
        )
        evidence = f"{row['others']:,} of {row['others'] + row['typed']:,} events of the last hour"
        yield cause(
            what, evidence, "have the sources send the type that the ETL loads, or deploy an ETL that loads theirs"
        )
    if row and row["nameless"] >= SOME_EVENTS and row["nameless"] * 2 > row["typed"]:
        what = "events arrive without a transaction_id: the ETL marks them as loaded and writes nothing"
        evidence = f"{row['nameless']:,} of {row['typed']:,} events of the last hour, for example {row['sample']}"
        yield cause(what, evidence, "have the sources send transaction_id again; the events stay in bronze")


def lost(found: Facts, status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Events that are marked as loaded and made no sale; where they are sound, silver is said to be damaged."""
    row = found.wider.lost
    of_all = found.wider.lost_of_all
    if gone := found.wider.gone:
        yield cause(
            "somebody takes away what has been loaded", gone, "switch off the job that deletes it", blocks=False
        )
    elif status.get("lost_events") == "fail" and row and not row["lost"] and of_all and not found.damaged:
        yield cause(
            f"silver has lost {count(of_all['lost'], 'sale')} of {of_all['looked']:,} that were looked at",
            f"for example {', '.join(of_all['ids'])}",
            f"{RECOVER} {lost_sales.window(of_all)} --check",
            blocks=False,
        )
    elif status.get("lost_events") == "fail" and row and not found.damaged:
        what = f"{count(row['lost'], 'event is', 'events are')} marked as loaded and not in silver"
        evidence = f"for example {', '.join(row['lost_ids'] or [])}"
        hours = count(found.alert_hours, "hour")
        yield cause(
            what,
            f"{evidence}; of the last {hours}",
            f"{RECOVER} -e scout_last={found.alert_hours}h --check",
            blocks=False,
        )
    if future := found.wider.future:
        evidence = f"the latest by {in_words(future['seconds'] or 0)}, for example {future['sample']}"
        what = f"{count(future['sales'], 'sale lies', 'sales lie')} in the future"
        look = "look at the clock of their source; quarantine.yml takes them out by -e scout_transactions"
        yield cause(what, evidence, look, blocks=False)
