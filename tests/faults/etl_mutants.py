# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a proof, an assessment or the gate tells of each small change of the pipeline by which ten minutes of it come to other figures.

`python -m tests.faults.etl_mutants [words]` makes all changes of mutations.py, or those whose names have these words, and prints the
share that is told, each that is not, and each that makes the same figures for no reason in UNSEEN. With `sample` it makes one of each
fifteen; with `into=FILE` each verdict is added to a file of lines, and what that has already is not made again; `variant=deployed`
changes that one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.cron_schedule import missed
from tests.faults.mutations import VIEWS, Mutant, mutants, unseen
from tests.integration.modules import call, connect, one, rows
from tests.scout.fixtures import memory
from tests.scout.variants import define_view

#: What the pipeline makes of events, down to clocks and generated ids.
SILVER: Final = """
SELECT to_jsonb(t) - ARRAY['id', 'processed_at', 'created_at', 'updated_at'] FROM scout.silver_transactions AS t ORDER BY transaction_id
"""
LINES: Final = """
SELECT to_jsonb(l) - ARRAY['line_id', 'processed_at', 'updated_at'] FROM scout.silver_line_items AS l
ORDER BY transaction_id, product_id, line_sequence
"""
GOLD: Final = "SELECT to_jsonb(g) - ARRAY['created_at', 'updated_at'] AS row FROM scout.{} AS g ORDER BY 1"
JOBS: Final = """
SELECT schedule, command, username FROM cron.job
WHERE active AND database = current_database() AND jobname NOT LIKE '%%-simulation' ORDER BY jobid
"""
#: Events that came before the change, and that come within the ten minutes: sales of all kinds, corrections of some, and what is no sale.
BEFORE: Final = range(50_000, 50_250)
NUMBERS: Final = range(60_000, 60_250)
NOON: Final = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.UTC)
MINUTES: Final = 10
ONE_OF: Final = 15
#: What one of twenty sales has otherwise, and one of 125; `...` where it lacks that.
ODD: Final[dict[int, dict[str, Any]]] = {
    3: {"payment_method": ...},
    7: {
        "items": [{"product_id": "P-1", "quantity": 2, "qty": 2, "unit_price": 1.5, "line_amount": 3}],
        "total_amount": 3,
        "net_amount": 3,
    },
    13: {"net_amount": ..., "discount_amount": ..., "tax_amount": ...},
    17: {"handshake_score": 0.75, "customer_type": "staff", "region": "Nowhere"},
}
RARE: Final[dict[int, dict[str, Any]]] = {
    5: {"total_amount": ..., "net_amount": 0, "items": [{"product_id": "P-1"}]},
    15: {"ts": ...},
    35: {"handshake_triggered": ..., "customer_type": ..., "region": ..., "city": ..., "province": ...},
    45: {"total_amount": 0, "items": [{"product_id": "P-2", "qty": 0, "unit_price": -1, "line_amount": -1}]},
    55: {"total_amount": 3, "items": [{"product_id": "P-3", "quantity": 3, "unit_price": 1, "line_amount": 3}]},
    65: {"handshake_triggered": "true", "handshake_score": "high", "campaign_id": None, "customer_id": None},
    75: {"discount_amount": -1, "tax_amount": None, "payment_method": None, "net_amount": None},
    85: {"transaction_id": ...},
}
#: One of so many sales of the second half corrects one of the first half, in all that a correction may change but the sum.
CORRECTS: Final = 25
SOLD, CORRECTED = (
    {"total_amount": 12, "net_amount": 12, "items": [{"product_id": "P-5", "qty": 2, "unit_price": 6, "line_amount": 12}]},
    {
        "net_amount": 11,
        "items": [
            {"product_id": "P-5", "qty": 4, "unit_price": 3, "line_amount": 12},
            {"product_id": "P-6", "qty": 1, "unit_price": 0, "line_amount": 0},
        ],
    },
)  # fmt: skip


def made(dsn: str, mutant: Mutant) -> bool:
    """Whether PostgreSQL takes the change."""
    try:
        if mutant.of in VIEWS:
            define_view(dsn, mutant.of, mutant.text)
        else:
            with connect(dsn) as session:
                session.execute(mutant.text.encode())
    except psycopg.Error:
        return False
    return True


def ten_minutes(dsn: str, numbers: range = NUMBERS) -> None:
    """Sales come, and each job runs as often as it is due within ten minutes, as its role; how one ends is its own matter."""
    # Equal in all databases of the same template.
    now: datetime.datetime = one(dsn, "SELECT max(ingested_at) FROM scout.bronze_events")
    for minute in range(1, MINUTES + 1):
        if minute in (1, MINUTES // 2 + 1):
            _arrive(dsn, now, numbers, later=minute > 1)
        until = NOON + datetime.timedelta(minutes=minute)
        # All start at once: which one comes first is chance.
        for schedule, command, role in rows(dsn, JOBS)[:: -1 if minute % 2 == 0 else 1]:
            if missed(schedule, until - datetime.timedelta(minutes=1), until):
                with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, user=role) as session:
                    session.execute(command)


def _arrive(dsn: str, now: datetime.datetime, numbers: range, *, later: bool) -> None:
    """A correction comes after its sale: the ETL takes no two events of one sale at once."""
    half = numbers[len(numbers) // 2]
    coming = [n for n in numbers if later == (n >= half or generator.corrects(n) is not None)]
    with contextlib.suppress(psycopg.Error), connect(dsn) as session:
        generator.copy(
            session,
            (_event(n, half, now + datetime.timedelta(milliseconds=10 * (n - numbers[0]))) for n in coming),
        )


def _event(number: int, half: int, now: datetime.datetime) -> generator.Event:
    """Sales of each hour of a day, some of which lack what may be lacking, or correct one that came before half of them."""
    event = generator.event(9, number, now)
    if not generator.is_transaction(number) or generator.corrects(number) is not None:
        return event
    fields, of_other_half = ODD.get(number % 20, {}) | RARE.get(number % 125, {}), 2 * half - number - 1
    if number >= half and number % CORRECTS == 0:
        fields = CORRECTED | {"transaction_id": f"9-{of_other_half:08d}"}
    elif number < half and of_other_half % CORRECTS == 0:
        fields = SOLD
    sold_at = now - datetime.timedelta(hours=number % 24)
    sale = generator.transaction(9, number, sold_at=sold_at, **fields)
    return dataclasses.replace(event, text=json.dumps(sale, ensure_ascii=False))


def figures(dsn: str) -> str:
    """What silver and gold have, without ids and clocks; the error, where they cannot be read."""
    found: list[Any] = []
    for query in (SILVER, LINES, *map(GOLD.format, VIEWS)):
        try:
            found.append(rows(dsn, query))
        except psycopg.Error as e:
            found.append(e.diag.message_primary)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", str(found))


def told(dsn: str) -> str:
    """What the proof says where it does not believe the pipeline; empty where it does."""
    proof = call("scout_proof_info", dsn)
    return "" if proof.get("proven") else str(proof.get("error") or proof)


def seen(dsn: str) -> str:
    """What an assessment, the gate or the proof says of a pipeline that has gone on; empty where all of them find nothing."""
    health = call("scout_health_info", dsn, budget_seconds=30)
    if health.get("verdict") != "healthy":
        return str(health.get("summary") or health)
    gate = call("scout_gate_info", dsn, smoke=True)
    return told(dsn) if gate.get("verdict") == "pass" else str(gate.get("summary") or gate)


class Judge:
    """Compares the pipeline with a change to the one without, on the same events."""

    def __init__(self, template: builder.Template) -> None:
        """Of this pipeline, whose history gets sales of the kinds that come later."""
        self.template = template
        template.prepare = lambda dsn: ten_minutes(dsn, BEFORE)
        self.sound: tuple[float, str] = (0.0, "")

    def verdict(self, mutant: Mutant) -> str:
        """`invalid`; `told` or `missed` where the figures are other ones, `told by the release` where that needs a captured one; else
        `equal`, or `told, and equal here`: the sales of the figures are not all that there can be."""
        while True:
            sound = self._sound()
            with self._clone("changed") as changed:
                # One that was renewed in between has sales of other times.
                if self.template._renewed_at == self.sound[0]:
                    return self._judged(mutant, changed, sound)

    def _judged(self, mutant: Mutant, changed: str, sound: str) -> str:
        if not made(changed, mutant):
            return "invalid"
        # Of which nothing remains.
        proof = told(changed)
        ten_minutes(changed)
        if figures(changed) == sound:
            return "told, and equal here" if proof else "equal"
        return "told" if proof or seen(changed) else self._by_the_release(mutant)

    def _by_the_release(self, mutant: Mutant) -> str:
        with self._clone("captured") as captured:
            assert not call("scout_capture", captured, release="v1").get("failed")
            made(captured, mutant)
            return "told by the release" if told(captured) else "missed"

    def _sound(self) -> str:
        """The figures of the pipeline without a change, which have to be believed; of the same age."""
        if self.template._renewed_at != self.sound[0]:
            with self._clone("sound") as sound:
                age = self.template._renewed_at
                ten_minutes(sound)
                assert not (said := seen(sound)), said
                self.sound = (age, figures(sound))
        return self.sound[1]

    @contextlib.contextmanager
    def _clone(self, kind: str) -> Iterator[str]:
        try:
            yield self.template.clone(f"mutant_{kind}")
        finally:
            self.template.server.drop_database(f"mutant_{kind}")


def chosen(every: list[Mutant], words: str) -> list[Mutant]:
    """Those that are meant: of a sample the same ones each time, whatever else is made."""
    if words == "sample":
        return [mutant for mutant in every if zlib.crc32(mutant.name.encode()) % ONE_OF == 0]
    return [mutant for mutant in every if words in mutant.name]


def main(words: list[str]) -> int:
    """Prints the share, and what is missed; 1 where that is more than one of twenty."""
    os.environ["SCOUT_ALLOW_SUPERUSER"] = "1"
    options = dict(word.split("=", 1) for word in words if word.startswith(("into=", "variant=")))
    into = Path(options.get("into", os.devnull))
    wanted = " ".join(word for word in words if not word.startswith(("into=", "variant=")))
    known = dict(map(json.loads, into.read_text().splitlines())) if into.is_file() else {}
    with Server(folder=memory()) as server, into.open("a") as lines:
        template = builder.template(server, options.get("variant", "faithful"), events=2000)
        judge = Judge(template)
        found: dict[str, str] = {}
        for mutant in chosen(list(mutants(template.clone("mutant_texts"))), wanted):
            found[mutant.name] = known.get(mutant.name) or judge.verdict(mutant)
            if mutant.name not in known:
                lines.write(json.dumps([mutant.name, found[mutant.name]]) + "\n")
                lines.flush()
    count = Counter(found.values())
    wrong = sum(count[verdict] for verdict in ("told", "told by the release", "missed"))
    for name, verdict in found.items():
        if verdict in ("missed", "told by the release") or (verdict == "equal" and not unseen(name)):
            print(f"{verdict}: {name}")
    by_sales, in_all = (100.0 * told / max(1, wrong) for told in (count["told"], wrong - count["missed"]))
    print(
        dict(count),
        f"told of {in_all:.1f} % of {wrong} that make other figures, of {by_sales:.1f} % without a captured release",
    )
    return int(count["missed"] > 0.05 * wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
