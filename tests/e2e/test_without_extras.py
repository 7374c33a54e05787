# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With ansible-core, cronsim, psycopg and tzdata alone a pipeline is recovered; what else is missing is said where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

#: Each package of requirements/extras.in, as it is imported.
IMPORTED = {
    "matplotlib": "matplotlib",
    "apprise": "apprise",
    "ansible-runner": "ansible_runner",
}


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """An environment whose Python has none of them."""
    folder = tmp_path / "absent"
    folder.mkdir()
    for name in IMPORTED.values():
        (folder / f"{name}.py").write_text(f'raise ModuleNotFoundError("No module named {name!r}", name={name!r})\n')
    return {"PYTHONPATH": str(folder)}


def test_a_reset_needs_none_of_them(broken: Pipeline, tmp_path: Path, without: dict[str, str]) -> None:
    """A team that cannot be notified is no reason to leave a pipeline broken."""
    tell = {"notify_urls": ["json://127.0.0.1:9/hook"], "notify_recoveries": True}
    played = Stage(tmp_path, warm=False).play("emergency_reset", broken.dsn, env=without, **tell)
    assert played.rc == 0, played.text
    assert played.result["outcome"] == "recovered"
    assert "-m pip install apprise" in " ".join(played.text.split())


def test_a_report_is_written_without_its_chart(healthy: Pipeline, tmp_path: Path, without: dict[str, str]) -> None:
    stage = Stage(tmp_path, warm=False)
    assert stage.play("pause_ingestion", healthy.dsn, incident="INC-1").rc == 0
    reports = tmp_path / "reports"
    played = stage.play("incident_report", healthy.dsn, env=without, incident="INC-1", report_dir=str(reports))
    assert played.rc == 0, played.text
    assert "-m pip install matplotlib" in " ".join(played.text.split())
    [report] = reports.iterdir()
    assert "![" not in report.read_text(encoding="utf-8")
