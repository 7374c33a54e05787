# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the pictures of docs/incidents.md again: python -m tests.e2e.incident_pictures [FOLDER]

An incident is played with the playbooks, which takes a minute; then the clock of its ledger is stretched, so that what is
shown looks as long as a real one.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e import incident_story, stamped
from tests.e2e.browser import open_browser
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage

PICTURES = {"incident-report": False, "incident-report-dark": True}
#: What the look of the page comes from.
DRAWN_BY = ("roles/report/templates/report.html.j2", "module_utils/recovery/incidents/report/*.py")
PORT = re.compile(r"localhost:\d+")
#: How long the incident is made.
MINUTES = 48
#: Who is seen to have done it: the one who works, and the one who writes.
NAMES = {"scout_ops.runs": "ana@laptop", "scout_ops.pauses": "ana@laptop", "scout_ops.incident_entries": "ben@laptop"}
TIMES = (
    ("scout_ops.runs", "started_at"),
    ("scout_ops.runs", "finished_at"),
    ("scout_ops.pauses", "paused_at"),
    ("scout_ops.pauses", "resumed_at"),
    ("scout_ops.incident_entries", "at"),
    ("scout_ops.incidents", "closed_at"),
    ("scout_ops.incidents", "next_update_at"),
    ("scout_ops.samples", "at"),
    ("scout.bronze_events_dlq", "failed_at"),
)


def shown() -> str:
    """The digest of what draws the page."""
    files = sorted(path for pattern in DRAWN_BY for path in CHECKOUT.glob(pattern))
    return stamped.digest(path.read_text(encoding="utf-8") for path in files)


def stretch(pipeline: Pipeline, minutes: float = MINUTES) -> None:
    """Makes so many minutes of however long it took: every time is so much further from the beginning."""
    began, ended = pipeline.rows("SELECT opened_at, closed_at FROM scout_ops.incidents")[0]
    factor = minutes * 60 / (ended - began).total_seconds()
    for table, column in TIMES:
        moved = f"'{began}'::timestamptz + ({column} - '{began}') * {factor}"
        pipeline.execute(f"UPDATE {table} SET {column} = {moved}")


def begin(pipeline: Pipeline, at: str) -> None:
    """Makes it begin then, and all else as long after that as it was."""
    began = pipeline.rows("SELECT opened_at FROM scout_ops.incidents")[0][0]
    for table, column in (*TIMES, ("scout_ops.incidents", "opened_at")):
        pipeline.execute(f"UPDATE {table} SET {column} = '{at}'::timestamptz + ({column} - '{began}')")


def rename(pipeline: Pipeline) -> None:
    """Whoever makes the pictures is in none of them."""
    for table, name in NAMES.items():
        pipeline.execute(f"UPDATE {table} SET actor = '{name}'")
    pipeline.execute("UPDATE scout_ops.incidents SET opened_by = 'ben@laptop', closed_by = 'ben@laptop'")


def broken(server: Server, name: str) -> Pipeline:
    """A pipeline with a backlog, poison before it, and gold that is behind."""
    dsn = server.create_database(name)
    builder.build(dsn, events=3000, pending=2500)
    for kind in ("non_numeric_amount", "missing_store_id", "bad_ts"):
        library.poison_event(dsn, kind)
    library.gold_stale(dsn)
    return Pipeline(dsn)


def main(folder: Path) -> None:
    """Plays, reports, and takes the pictures."""
    with tempfile.TemporaryDirectory() as home, Server() as server, open_browser() as browser:
        pipeline, stage = broken(server, "scout"), Stage(Path(home))
        incident_story.play(stage, pipeline)
        stretch(pipeline)
        rename(pipeline)
        done = stage.play("incident_report", pipeline.dsn, report_dir=home, time_zone="Asia/Manila")
        assert done.rc == 0, done.text
        (page,) = Path(home).glob("INC-2041-*.html")
        text = PORT.sub("localhost:5432", page.read_text(encoding="utf-8"))
        for name, dark in PICTURES.items():
            seen = browser.look(text, width=1120, dark=dark, until="#charts")
            assert seen.flaws() == []
            picture = Image.open(io.BytesIO(seen.picture)).convert("RGB").quantize(method=Image.Quantize.FASTOCTREE)
            stamped.save(picture, folder / f"{name}.png", shown())
            print(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT / "docs" / "images")
