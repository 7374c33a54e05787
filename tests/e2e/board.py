# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Grafana dashboard as a picture: its panels in their places, each with what a Prometheus answers to its queries. The figures are
those that the collection would write in a night with a poison event and a reset, and of a drill."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import document, metrics
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import assessment as health
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import prometheus
from tests import CHECKOUT, debian, promtool
from tests.unit.drills.results import documents

BOARD = CHECKOUT / "monitoring" / "grafana-dashboard.json"
PICTURE = CHECKOUT / "docs" / "images" / "grafana-dashboard.svg"
ALT = "The Grafana dashboard in a night in which an event blocked the ETL at 01:20 and a reset recovered it at 02:14"
#: From midnight to 03:00 UTC of the day after the drill of the documents.
BEGAN, MINUTES = 1_795_651_200, 180
BLOCKED, PAUSED, RESUMED = 80, 134, 137
Points = list[tuple[float, float]]


def night(minute: int) -> dict[str, Any]:
    """What an assessment finds then: a poison event from 01:20 on, a reset at 02:14 that takes three minutes."""
    blocked = max(0, min(minute, RESUMED) - BLOCKED) if minute < RESUMED else 0
    paused = PAUSED <= minute < RESUMED
    values = {
        "bronze_staleness": 0.3 + minute % 3 * 0.1, "silver_staleness": 0.8 + minute % 5 * 0.2 + blocked,
        "gold_staleness": 2 + minute % 5 + blocked, "stale_gold_views": 0, "linking_coverage": 98.2 - blocked * 0.03,
        "critical_alerts": 0, "etl_duration": 4 + minute % 4 * 0.6, "backlog_events": 12 + minute % 5 * 4 + blocked * 112,
        "backlog_age": 0.4 + blocked, "stuck_locks": 0, "stuck_sessions": 0, "dlq_unresolved": 1 if minute >= PAUSED else 0,
    }  # fmt: skip
    indicators = [_indicator(figure, values[figure.name], paused=paused) for figure in health.FIGURES]
    worst = max((each["status"] for each in indicators), key=["unknown", "ok", "warn", "fail"].index)
    verdict = "paused" if paused else {"ok": "healthy", "warn": "degraded", "fail": "failing"}[worst]
    state = health.Indicator(
        "ingestion", "paused" if paused else "running", "state", "unknown" if paused else "ok", "cron.job"
    )
    return {
        "database": "scout on db1:5432", "verdict": verdict, "verdict_when_running": "healthy", "seconds": 0.4,
        "indicators": [*indicators, state.as_dict()], "suspects": [{}] if blocked and not paused else [], "unread": [],
        "needs_reset": [], "blockers": [],
        "ingestion": {"state": "paused" if paused else "running", "paused_for_seconds": (minute - PAUSED) * 60.0 if paused else None,
                      "jobs": {"bronze-to-silver-etl": not paused}},
    }  # fmt: skip


def _indicator(figure: Any, value: float, *, paused: bool) -> dict[str, Any]:
    limit = figure.threshold
    sign = -1 if limit.higher_is_better else 1
    status = "ok" if sign * value <= sign * limit.ok else "fail" if sign * value > sign * limit.fail else "warn"
    judged = "unknown" if paused and status != "ok" else status
    return health.Indicator(figure.name, value, figure.unit, judged, figure.source, "", limit.ok, limit.fail).as_dict()


def exposition() -> str:
    """All samples of the night as OpenMetrics, each metric together."""
    drill = documents.realistic(documents.TROUBLE)
    of_drill = list(text_string_to_metric_families(metrics.text(document.read(drill))))
    lines: dict[str, list[str]] = {}
    for minute in range(MINUTES + 1):
        at = BEGAN + 60 * minute
        for family in (*prometheus.families("luzon", night(minute), at - 20), *of_drill):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                lines.setdefault(family.name, [f"# TYPE {family.name} gauge"]).append(
                    f"{sample.name}{{{labels}}} {sample.value} {at}"
                )
    return "\n".join([line for each in lines.values() for line in each] + ["# EOF", ""])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a Prometheus with these samples; raises Unavailable."""
    program = debian.program("prometheus", "prometheus")
    (folder / "samples.om").write_text(exposition(), encoding="utf-8")
    (folder / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    made = promtool.run("tsdb", "create-blocks-from", "openmetrics", str(folder / "samples.om"), str(folder / "tsdb"))
    assert made.returncode == 0, made.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        "--storage.tsdb.retention.time=100y",
    ]
    command = [program.path, *words, f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                with (
                    suppress(OSError, urllib.error.URLError),
                    urllib.request.urlopen(f"http://{address}/-/ready", timeout=5),
                ):
                    break
                time.sleep(0.1)
            yield f"http://{address}"
        finally:
            running.terminate()


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a query gave: each series by its legend."""

    series: dict[str, Points]


def asked(address: str, target: dict[str, Any]) -> Answer:
    """A query of a panel, for the one pipeline that there is, over the night."""
    query = {
        "query": target["expr"].replace("$pipeline", ".*"),
        "start": BEGAN,
        "end": BEGAN + 60 * MINUTES,
        "step": 60,
    }
    with urllib.request.urlopen(f"{address}/api/v1/query_range?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        found = json.load(answer)["data"]["result"]
    series: dict[str, Points] = {}
    for each in found:
        labels = each["metric"]
        name = re.sub(r"\{\{(\w+)\}\}", lambda match, of=labels: of.get(match[1], ""), target["legendFormat"])
        series[name] = [(float(at), float(value)) for at, value in each["values"]]
    return Answer(dict(sorted(series.items())))


def answers(address: str) -> list[tuple[dict[str, Any], list[Answer]]]:
    """Each panel with the answers to its queries."""
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    return [(panel, [asked(address, target) for target in panel["targets"]]) for panel in panels]


def last(answer: Answer) -> Sequence[tuple[str, float]]:
    """The last value of each series."""
    return [(name, points[-1][1]) for name, points in answer.series.items()]
