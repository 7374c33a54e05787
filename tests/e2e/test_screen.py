# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on the screen in which order, and that standard output belongs to whom it was given."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, PLUGINS, Stage, environment

HEADER = re.compile(r"^TASK \[(.*?)\]")
#: A batch of the loader takes so long.
SLOW = """
CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(7); RETURN NULL; END $$;
CREATE TRIGGER slowly AFTER INSERT ON scout.silver_transactions FOR EACH STATEMENT EXECUTE FUNCTION public.slowly()
"""


def under(text: str, line: str) -> str:
    """The header that the first such line of a screen stands below."""
    before, found, _ = text.partition(line)
    assert found, text
    return HEADER.match(before[before.rindex("\nTASK [") + 1 :])[1]  # type: ignore[index]


def test_a_line_stands_below_the_header_of_its_step_and_the_summary_last(broken: Pipeline, stage: Stage) -> None:
    played = stage.play("emergency_reset", broken.dsn)
    assert played.rc == 0, played.text
    assert under(played.text, "refreshing scout.gold").startswith("(9/11) Refresh gold")
    assert under(played.text, "quarantined poison event").startswith("(8/11) Drain the backlog")
    assert "skipping:" not in played.text
    assert played.text.count("TASK [(8/11) Drain the backlog") == 1
    _, recap, after = played.text.partition("PLAY RECAP")
    assert recap
    assert "\nemergency reset of " in after


def test_after_a_failure_the_summary_is_last_too(broken: Pipeline, stage: Stage) -> None:
    broken.execute("ALTER TABLE scout.silver_transactions RENAME COLUMN basket_size TO size_of_basket")
    played = stage.play("emergency_reset", broken.dsn)
    assert played.rc == 2, played.text
    _, _, after = played.text.partition("PLAY RECAP")
    assert "\nemergency reset of " in after
    assert "  failed " in after
    assert "skipping:" not in played.text


def test_who_asks_for_more_is_shown_each_step_and_each_cause_and_no_more(broken: Pipeline, stage: Stage) -> None:
    """`and 3 more causes: -v` is not answered with a thousand lines."""
    library.negative_totals(broken.dsn)
    library.gold_stale(broken.dsn)
    played = stage.play("emergency_reset", broken.dsn, "-v", "--check", env={"SCOUT_OUTPUT": ""})
    assert ("TASK [(8/11) Drain the backlog" in played.text, "skipping: [" in played.text) == (True, False), played.text
    assert "more cause" not in played.text
    assert len(played.lines) < 200, played.text


def test_a_header_comes_before_the_work_and_silence_is_broken(broken: Pipeline, stage: Stage) -> None:
    broken.execute(SLOW)
    with stage.start("emergency_reset", broken.dsn, proof=False) as running:
        heard: list[tuple[float, str]] = []
        seen = ""
        while running.process.poll() is None and "(9/11)" not in seen:
            now = running.text
            if now != seen:
                heard.append((time.monotonic(), now[len(seen) :]))
                seen = now
            time.sleep(0.05)
        running.wait()
    begun = next(moment for moment, text in heard if "(8/11) Drain" in text)
    after = [moment for moment, _ in heard if moment >= begun]
    assert max(later - earlier for earlier, later in itertools.pairwise(after)) < 5.5
    assert after[-1] - begun > 6
    assert re.search(r"loaded [\d,]+ of [\d,]+ events \(\d+ %\), none in the last [\d.]+ s; [\d.]+ s so far", seen), (
        seen
    )


@pytest.mark.parametrize("callback", ["document", "minimal", "oneline"])
def test_standard_output_belongs_to_its_callback(callback: str, broken: Pipeline, stage: Stage) -> None:
    env = environment(
        stage.home,
        {"ANSIBLE_STDOUT_CALLBACK": callback, "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins")},
    )
    command = stage.command("emergency_reset", broken.dsn, {"proof": False})
    done = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    if callback == "document":
        assert json.loads(done.stdout)["stats"]
    assert "refreshing scout.gold" not in done.stdout
    assert "\nemergency reset of " not in done.stdout
    assert "refreshing scout.gold" in done.stderr
    assert "\nemergency reset of " in done.stderr
