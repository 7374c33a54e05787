# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record what each operation does on each healthy deployment, so that two versions of the project can be compared.

python -m tests.baseline DIR [WORDS]    write DIR/VARIANT/OPERATION.json for the variants whose names contain the words

Run it before and after a change, and compare the two folders with `diff -r`. `python -m tests.faults.etl_mutants into=FILE`
records which changes of the ETL are reported.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.scout import variants
from tests.scout.fixtures import memory

#: The sales are dated as if it were this moment. After 27 more days "gold of 30 days" no longer contains all of them.
NOON: Final = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
OPERATIONS: Final = ("reset", "quarantine", "cleanup", "window", "release", "gate", "assess")
BAD_ETL = variants.edit(variants.ETL, ("    WITH batch AS (", "    RAISE EXCEPTION 'no';\n    WITH batch AS ("))
BAD_SCHEMA = variants.run("ALTER TABLE scout.alerts ADD a text", "REVOKE SELECT ON scout.alerts FROM dashboard_reader")
EVENTS = "SELECT event_id::text FROM scout.bronze_events JOIN scout.etl_processed USING (event_id) ORDER BY ingested_at LIMIT 20"
LOSE = "DELETE FROM scout.silver_transactions AS t USING scout.bronze_events WHERE event_id = source_event_id AND ingested_at >= '{}'"
TABLES = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'scout'::regnamespace ORDER BY 1"

ID = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b"
MOMENT = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?|\b\d\d:\d\d(?::\d\d)?(?:\.\d+)?\b"
AMOUNT = r"\b(?:\d[\d.,]* ?(?:ms|s|min|h|d|kB|MB)\b ?)+"
PLACE = r"/(?:tmp|dev/shm)/[^\s'\"\\]+|\b\w+@[\w.-]+|\blocalhost:\d+"
DIGEST = r"\b(?=[a-f]*\d)[0-9a-f]{10,}\b|(?<=run )[0-9a-f]{8}\b"
IN_RESULTS = re.compile("|".join((ID, MOMENT, AMOUNT, PLACE, DIGEST)))
#: The last three depend on full hours of the clock.
CHANGING = r"\w*(?:seconds|_ms|_at|bytes|version|host|_pid|token|since|until)|hours|table|state"
NAMED = rf'"(?:{CHANGING})": |"unit": "(?:minutes|seconds)", "value": '
VALUES = re.compile(rf'({NAMED})(?:"(?:\\.|[^"\\])*"|[-\d.e]+|\[[^]]*\])')
#: Generated ids and load times. The times of sales are the same in each run.
NUMBERS = r'(?<="database": )"\w+"|(?:(?<=id": )|(?<="nodeport": ))\d+'
LOADED = r'(?:(?<=_at": )|(?<=_ts": ))"[^"]*"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+[+\d:]*'
IN_ROWS = re.compile("|".join((ID, NUMBERS, LOADED)))


def arrived(moment: datetime) -> datetime:
    """Move a moment from around noon to around the present."""
    return moment + (datetime.now(UTC) - NOON)


def stop_clock() -> None:
    """Date sales by noon; their events arrive around the present all the same."""
    copy, insert = generator.copy, generator.insert

    def copy_arrived(session: Any, events: Any) -> int:
        return copy(session, (replace(event, ingested_at=arrived(event.ingested_at)) for event in events))

    def insert_arrived(session: Any, payload: Any, *, ingested_at: datetime, **fields: Any) -> Any:
        return insert(session, payload, ingested_at=arrived(ingested_at), **fields)

    noon = Mock(now=Mock(return_value=NOON))
    generator.__dict__.update(copy=copy_arrived, insert=insert_arrived, datetime=noon)
    variants.__dict__.update(datetime=noon)


def steps(operation: str, dsn: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Break what the operation repairs, and return its playbooks with their options."""
    match operation:
        case "reset":
            variants.sell(120, over=timedelta(minutes=20), first=70_000, loaded=False)(dsn)
            variants.sell(1, lambda _sale: {"total_amount": "abc"}, first=80_000, ago=HOUR, loaded=False)(dsn)
            variants.sell(1, lambda _sale: {"ts": "half past nine"}, first=80_001, ago=2 * HOUR, loaded=False)(dsn)
            yield "emergency_reset", {}
            yield "emergency_reset", {}
        case "quarantine":
            yield "quarantine", {"event_ids": [event for (event,) in Pipeline(dsn).rows(EVENTS)]}
            yield "undo", {"run_id": "last"}
        case "cleanup":
            variants.sell(3, lambda _sale: {"total_amount": -50, "net_amount": -50}, first=70_000)(dsn)
            yield "quality_cleanup", {"last": "2h", "rules": ["negative_total"]}
            yield "undo", {"run_id": "last"}
        case "window":
            variants.sell(60, over=timedelta(minutes=50), first=70_000)(dsn)
            start, end = arrived(NOON - HOUR), arrived(NOON)
            variants.run(LOSE.format(start))(dsn)
            yield "window_recovery", {"window_start": start.isoformat(), "window_end": end.isoformat()}
            yield "undo", {"run_id": "last"}
        case "release":
            yield "capture_release", {"release": "v1"}
            BAD_ETL(dsn)
            BAD_SCHEMA(dsn)
            yield "rollback", {"release": "v1", "rehearse": False, "allow_owners": "postgres"}
            yield "undo", {"run_id": "last", "rehearse": False, "allow_owners": "postgres"}
        case "gate":
            yield "acceptance_gate", {"smoke": True}
        case _:
            yield operation, {}


def fingerprint(pipeline: Pipeline) -> dict[str, str]:
    """Count and digest the rows of each table, without generated ids and load times."""
    found: dict[str, str] = {}
    for (table,) in [("cron.job",), *pipeline.rows(TABLES)]:
        rows = pipeline.rows(f"SELECT to_jsonb(t)::text FROM {table} AS t")
        # A dead letter lists lines in the order of their random ids.
        masked = sorted(sorted(re.split(r"[][{}, ]+", IN_ROWS.sub("#", row))) for (row,) in rows)
        found[table] = f"{len(rows)} rows, {hashlib.md5(str(masked).encode()).hexdigest()}"
    return found


def main(folder: Path, words: str) -> None:
    """Record the variants whose names contain the words."""
    os.environ["SCOUT_ALLOW_SUPERUSER"] = "1"
    stop_clock()
    with Server(folder=memory()) as server:
        template = builder.template(server, "deployed", events=0)
        for variant, operation in itertools.product((name for name in variants.HEALTHY if words in name), OPERATIONS):
            records: list[Any] = []
            with tempfile.TemporaryDirectory() as home:
                dsn = template.clone("baseline")
                variants.HEALTHY[variant].make(dsn)
                for playbook, options in steps(operation, dsn):
                    options |= {"budget_seconds": 60, "evidence_budget_seconds": 60}
                    played = Stage(Path(home)).play(playbook, dsn, **options)
                    result = IN_RESULTS.sub("#", VALUES.sub(r'\1"#"', json.dumps(played.result, sort_keys=True)))
                    records.append([playbook, played.rc, json.loads(result), fingerprint(Pipeline(dsn))])
            server.drop_database("baseline")
            file = folder / variant.replace(" ", "_") / f"{operation}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), " ".join(sys.argv[2:]))
