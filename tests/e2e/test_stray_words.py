# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible splits -e at spaces and drops what is left over: no playbook begins on half of what was typed."""

from __future__ import annotations

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage

PLAYBOOKS = sorted(path.stem for path in CHECKOUT.glob("playbooks/*.yml"))
DAY = "window_start=2026-11-25 22:00"


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_refuses_stray_words_before_anything_else(
    playbook: str, healthy: Pipeline, stage: Stage
) -> None:
    before = healthy.fingerprint()
    dsn = None if playbook == "drill" else healthy.dsn
    played = stage.play(playbook, dsn, "-e", DAY)
    assert played.rc == 2, played.text
    assert "the words '22:00' are outside the quotes and would be lost" in played.summary
    assert "all it understands is window_start='2026-11-25'" in played.summary
    assert """-e '{"window_start": "2026-11-25 22:00+00:00"}'""" in played.summary
    assert played.recap()["failed"] == 1
    assert healthy.fingerprint() == before
    assert not stage.evidence.exists()


def test_half_a_list_moves_nothing_and_a_quoted_space_is_fine(healthy: Pipeline, stage: Stage) -> None:
    window = ("-e", "window_start=2020-01-01T00:00Z", "-e", "window_end='2030-01-01 00:00+00:00'")
    half = stage.play("quarantine", healthy.dsn, *window, "-e", "source_systems=edge, pos-sync")
    assert half.rc == 2, half.text
    assert """-e '{"source_systems": "edge, pos-sync"}'""" in half.summary
    both = stage.play("quarantine", healthy.dsn, *window, "-e", '{"source_systems": "edge, pos-sync"}', "--check")
    assert both.rc == 0, both.text
    assert "source_systems edge, pos-sync" in " ".join(both.text.split())
    assert both.result["move"]["window"]["end"] == "2030-01-01T00:00:00+00:00"
