# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of docs/images that are drawn from what the checkout has: the floors of the packages, the life of an event, the
order of a rollback, the architecture, and how seconds grow with a pipeline. scripts/docs writes them. They are plain SVG: shapes and
text with a place each, so that every renderer shows the same, and nothing is loaded from elsewhere."""

from __future__ import annotations

import html
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b2733}.n{font-weight:600}.s{font-size:11px;fill:#4a5a6a}"
    ".m{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#1b2733}"
)
#: A fill and its edge: of what is Scout's, of what this toolkit adds, of a danger, of others.
SCOUT, OURS, DANGER, OTHERS = (
    ("#e8f0f7", "#9db4c8"),
    ("#e9f5ea", "#8fbf94"),
    ("#fdeee6", "#dba58a"),
    ("#f3f3f5", "#b9bcc4"),
)
HEAD = '<marker id="a" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto"><path d="M0,0L9,4L0,8z" fill="#4a5a6a"/></marker>'
#: A step of a playbook that is one of several, as its tasks name it.
STEP = re.compile(r"^ *- name: \((\d+)/\d+\) (.+)$", re.MULTILINE)


def page(width: float, height: float, alt: str, parts: Iterable[str], *, arrows: bool = False) -> str:
    """A picture of these parts on white."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(alt)}">'
    ground = [f"<style>{STYLE}</style>", f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>']
    return "\n".join([head, *ground, *([f"<defs>{HEAD}</defs>"] if arrows else []), *parts, "</svg>"]) + "\n"


#: What a character takes at most in each kind of text.
WIDE = {"n": 8.2, "s": 6.6, "m": 6.7}


def box(
    x: float, y: float, width: float, height: float, title: str, *lines: str, like: tuple[str, str] = SCOUT
) -> list[str]:
    """A box with its name, and small lines below it; one that begins with a backtick is a name of the database or a command. Raises
    ValueError where one does not fit."""
    fill, edge = like
    place = f'x="{x:g}" y="{y:g}" width="{width:.4g}" height="{height:g}"'
    made = [f'<rect {place} rx="6" fill="{fill}" stroke="{edge}"/>']
    for at, line in enumerate((title, *lines)):
        words, kind = line.strip("`"), "m" if line.startswith("`") else "s" if at else "n"
        if len(words) * WIDE[kind] > width - 14:
            raise ValueError(f"{words!r} does not fit into {width:g} pixels")
        made += [text(x + 12, y + (21 + 15 * at if at else 19), words, kind)] if words else []
    return made


def text(x: float, y: float, words: str, kind: str = "s", anchor: str = "") -> str:
    """Words at a place."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{f' text-anchor="{anchor}"' if anchor else ""}>{html.escape(words)}</text>'


def arrow(
    points: Sequence[tuple[float, float]],
    words: str = "",
    at: tuple[float, float] | None = None,
    *,
    dashed: bool = False,
) -> list[str]:
    """A line with a head through some points, and what it is called."""
    way = " ".join(f"{x:g},{y:g}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    made = [f'<polyline points="{way}" fill="none" stroke="#4a5a6a" stroke-width="1.4"{dash} marker-end="url(#a)"/>']
    return made + ([text(*(at or points[0]), words, "m")] if words else [])


WIDTH, MARGIN, GAP, FLOOR_HEIGHT = 860, 16, 8, 46


def layers(floors: Sequence[Sequence[tuple[str, str]]]) -> str:
    """The packages, top to bottom, each with its name and what it is for, or what is in it."""
    parts: list[str] = []
    for number, floor in enumerate(floors):
        width = (WIDTH - 2 * MARGIN - GAP * (len(floor) - 1)) / len(floor)
        for place, (name, about) in enumerate(floor):
            shown = _clause(about, int((width - 14) / WIDE["s"]))
            parts += box(
                MARGIN + place * (width + GAP), 16 + number * (FLOOR_HEIGHT + GAP), width, FLOOR_HEIGHT, name, shown
            )
    height = 32 + len(floors) * (FLOOR_HEIGHT + GAP) - GAP
    return page(WIDTH, height, "The packages of module_utils/recovery: each imports only from those below it", parts)


def _clause(words: str, room: int) -> str:
    """A text, or where it is too long as many of its whole clauses as there is room for."""
    return words if len(words) <= room else re.sub(r"[,:][^,:]*$", "", words[:room])


def life() -> str:
    """The life of an event: through the pipeline, or into the dead letter queue and out of it again."""
    top, low = 60, 236
    parts = [
        *box(16, top, 146, 66, "a till sends it", "through an edge", "function, as JSON", like=OTHERS),
        *box(212, top, 184, 66, "bronze", "`scout.bronze_events", "stays, also when loaded"),
        *box(492, top, 208, 66, "silver", "`scout.silver_transactions", "a row for each sale"),
        *box(772, top, 150, 66, "gold", "materialized views,", "for dashboards"),
        *arrow([(162, top + 33), (212, top + 33)]),
        *arrow([(396, top + 33), (492, top + 33)], "ETL", (428, top + 26)),
        text(412, top + 50, "by pg_cron"),
        *arrow([(700, top + 33), (772, top + 33)], "refresh", (708, top + 26)),
        *box(212, low, 184, 66, "dead letter", "`scout.bronze_events_dlq", "with its full image", like=DANGER),
        *arrow([(248, top + 66), (248, low)], "reset: poison", (118, 170)),
        text(118, 186, "quarantine: suspect"),
        *arrow([(348, low), (348, top + 66)], "redrive, undo", (358, 178)),
        *arrow([(540, top + 66), (540, low + 33), (396, low + 33)], "cleanup", (440, low + 26)),
        text(412, low + 52, "with the event it came from"),
        *box(692, low, 230, 66, "journal", "`scout_ops.images", "what a redrive or undo removed", like=OURS),
        *arrow([(640, top + 66), (640, low + 33), (692, low + 33)], dashed=True),
        text(16, 30, "The life of an event", "n"),
        text(16, 336, "Each move is one transaction: the image is stored, the rows are removed, and both are compared before it commits."),
    ]  # fmt: skip
    alt = "The life of an event: from bronze to silver and gold, or into the dead letter queue and out of it again"
    return page(938, 354, alt, parts, arrows=True)


def steps() -> list[str]:
    """The steps of a rollback, as the tasks of its role name them."""
    found = {int(number): name.partition(",")[0] for path in sorted((ROOT / "roles/rollback/tasks").glob("*.yml"))
             for number, name in STEP.findall(path.read_text(encoding="utf-8"))}  # fmt: skip
    return [found[number] for number in sorted(found)]


#: What is worth knowing of a step of a rollback, by its name.
ABOUT = {
    "Take the lease": "one operator at a time",
    "Plan the schema": "rehearsed on a copy",
    "Pause ingestion": "nothing is in flight",
    "Roll back the application": "first, to fit the older schema",
    "Roll back the schema": "one transaction, or nothing",
    "Run the acceptance gate": "with a test sale, still paused",
    "Resume ingestion": "what the rollback paused",
}


def rollback() -> str:
    """The order of a rollback: its steps, while ingestion runs and while it is paused, and what a failure leaves."""
    names = steps()
    paused, schema = names.index("Pause ingestion"), names.index("Roll back the schema")
    width, height, gap, columns = 238, 46, 14, 4
    parts = [text(16, 30, "The order of a rollback", "n")]
    for number, name in enumerate(names):
        x, y = 16 + number % columns * (width + gap), 48 + number // columns * (height + 30)
        last, turns = number == len(names) - 1, (number + 1) % columns == 0
        like = SCOUT if number < paused or last else DANGER
        shown, *rest = re.split(r" (?=and |for )", name, maxsplit=1)
        parts += box(x, y, width, height, f"{number + 1} {shown}", ABOUT.get(name, "".join(rest)), like=like)
        middle, below = x + width / 2, y + height
        if turns and not last:
            parts += arrow(
                [(middle, below), (middle, below + 15), (16 + width / 2, below + 15), (16 + width / 2, below + 30)]
            )
        elif not last:
            parts += arrow([(x + width, y + 23), (x + width + gap, y + 23)])
    low = 52 + -(-len(names) // columns) * (height + 30)
    parts += [
        *box(16, low, 18, 16, "", like=SCOUT),
        text(42, low + 12, f"ingestion runs: a failure up to step {paused} leaves all as it was"),
        *box(16, low + 26, 18, 16, "", like=DANGER),
        text(42, low + 38, "ingestion is paused: after a failure it stays paused, and the same command continues"),
        text(42, low + 58, f"If step {schema + 1} fails and nothing was changed yet, what ran before is resumed."
                           " A gate that does not pass keeps the pause: exit code 2."),
    ]  # fmt: skip
    alt = "The order of a rollback: its steps, and which of them happen while ingestion is paused"
    return page(1026, low + 74, alt, parts, arrows=True)


def architecture() -> str:
    """Where everything is, for those who use it."""
    parts = [
        text(16, 30, "Where everything is", "n"),
        *box(16, 48, 300, 96, "controller", "a laptop, a CI job or AWX, with Ansible", "`ansible-playbook playbooks/assess.yml",
             "no agent and no service: nothing is", "installed on the database's machine", like=OURS),
        *box(16, 172, 300, 96, "files that it writes", "evidence/: snapshots, with digests",
             "reports/: an incident, for people", "result_file: one document, for a machine", like=OURS),
        *arrow([(166, 144), (166, 172)]),
        *box(420, 48, 546, 220, "one PostgreSQL database", like=OTHERS),
        *box(436, 80, 162, 82, "schema scout", "bronze, silver, gold,", "dead letters, the ETL:", "as it is deployed"),
        *box(612, 80, 162, 82, "pg_cron", "starts the ETL and", "the refreshes; a pause", "deactivates its jobs"),
        *box(788, 80, 162, 82, "schema scout_ops", "the ledger: lease,", "runs, pauses, images,", "captures", like=OURS),
        *box(436, 178, 514, 74, "role of the operator", "the grants of docs/operator_role.sql; never a superuser",
             "each statement has a time limit; each change and its row in the", "ledger are one transaction", like=OURS),
        *arrow([(316, 96), (420, 96)], "SQL over TLS", (326, 88)),
        *box(16, 300, 300, 82, "people and their monitoring", "Slack, PagerDuty, email, any address",
             "Prometheus, Alertmanager, Grafana: alerts", "name the command to type", like=OTHERS),
        *arrow([(166, 268), (166, 300)]),
        *box(420, 300, 266, 82, "the application", "a git branch, and an edge function",
             "written to only by a rollback, which", "restores the captured commit"),
        *arrow([(316, 124), (368, 124), (368, 341), (420, 341)], dashed=True),
        *box(700, 300, 266, 82, "scout.drills, elsewhere", "throwaway pipelines, broken and",
             "recovered by the same playbooks;", "no production host needs it", like=OTHERS),
    ]  # fmt: skip
    alt = "Where everything is: the controller, the database with Scout and the ledger, and what stands around them"
    return page(982, 398, alt, parts, arrows=True)


#: A curve of the picture of growth: its line of the table, its name and its colour.
CURVES = (
    ("one call of the ETL", "one call of the ETL", "#7a8794"),
    ("the same with that on updated_at as well", "assess, with indexes", "#1f6fb4"),
    ("gold refreshed by hand", "gold refreshed by hand", "#8a5bb5"),
    ("quarantine.yml of an hour", "an hour quarantined", "#2a8a43"),
    ("emergency_reset.yml, 20,000 pending", "reset, 20,000 pending", "#c9522c"),
)
TABLE = re.compile(r"<!-- growth -->(.*?)<!-- /growth -->", re.DOTALL)


class Axes(NamedTuple):
    """Where values stand in a picture with both axes logarithmic: sales from the first to the last, seconds by powers of ten."""

    sales: Sequence[float]
    left: float = 60.0
    right: float = 560.0
    top: float = 24.0
    bottom: float = 300.0
    low: int = -1
    high: int = 3

    def across(self, sales: float) -> float:
        """From the left."""
        first, last, here = (math.log10(each) for each in (self.sales[0], self.sales[-1], sales))
        return self.left + (here - first) / (last - first) * (self.right - self.left)

    def down(self, seconds: float) -> float:
        """From the top."""
        return self.bottom - (math.log10(seconds) - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def grid(self) -> list[str]:
        """Lines and what they mean."""
        made = [text((self.left + self.right) / 2, self.bottom + 38, "sales", "s", "middle")]
        for second in (10.0**power for power in range(self.low, self.high + 1)):
            y = self.down(second)
            made.append(f'<path d="M{self.left:g},{y:.5g}H{self.right:g}" stroke="#dfe4e9"/>')
            made.append(text(self.left - 8, y + 4, f"{second:g} s", "s", "end"))
        for each in self.sales:
            x = self.across(each)
            made.append(f'<path d="M{x:.5g},{self.top:g}V{self.bottom:g}" stroke="#dfe4e9"/>')
            made.append(text(x, self.bottom + 18, f"{each:,.0f}", "s", "middle"))
        return made

    def curve(self, seconds: Sequence[float], name: str, colour: str, number: int) -> list[str]:
        """A curve, and its name beside it. Where less was measured than the table shows, a logarithm has no place for it."""
        places = [(self.across(x), self.down(y)) for x, y in zip(self.sales, seconds, strict=True) if y]
        way, key = " ".join(f"{x:.5g},{y:.5g}" for x, y in places), self.top + 12 + 22 * number
        return [
            f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(f'<circle cx="{x:.5g}" cy="{y:.5g}" r="3.2" fill="{colour}"/>' for x, y in places),
            f'<path d="M{self.right + 24:g},{key - 4:g}h22" stroke="{colour}" stroke-width="2"/>',
            text(self.right + 54, key, name),
        ]


def growth() -> str:
    """Seconds of CPU by sales, both logarithmic, from the table in docs/sizing.md."""
    sizing = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    lines = [line for line in TABLE.findall(sizing)[0].splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    axes = Axes([float(size.replace(",", "")) for size in head[1:]])
    of = {name: [_seconds(cell) for cell in cells] for name, *cells in rows}
    curves = [axes.curve(of[line], name, colour, number) for number, (line, name, colour) in enumerate(CURVES)]
    parts = [*axes.grid(), *itertools.chain(*curves)]
    return page(760, axes.bottom + 52, "Seconds of CPU by sales, both logarithmic", parts)


def _seconds(cell: str) -> float:
    """0 where it was not measured."""
    number = cell.partition(" ")[0]
    return 0.0 if number == "-" else float(number)
