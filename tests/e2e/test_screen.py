# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of steps, lines of JSON for a program, and a standard output that another callback owns."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, PLUGINS, Played, Stage, environment

PHASES = [
    "(1/11) Check options and privileges",
    "(2/11) Take the lease",
    "(3/11) Assess the pipeline",
    "(4/11) Collect evidence",
    "(5/11) Pause ingestion",
    "(6/11) Terminate stuck sessions",
    "(8/11) Drain the backlog",
    "(9/11) Refresh gold",
    "(10/11) Assess the pipeline again",
    "(11/11) Resume ingestion",
    "Release the lease",
]
#: The title of a task, or a phase that one task does after another.
TITLE = re.compile(r"^TASK \[(.*?)\]|^\[\w+\] (\(\d+/\d+\) .*)$", re.MULTILINE)
#: A batch of the loader takes so long.
SLOW = """
CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(7); RETURN NULL; END $$;
CREATE TRIGGER slowly AFTER INSERT ON scout.silver_transactions FOR EACH STATEMENT EXECUTE FUNCTION public.slowly()
"""


def headings(played: Played) -> list[str]:
    """Each phase once, in the order in which it began."""
    return list(dict.fromkeys("".join(titles).split(" | ")[0] for titles in TITLE.findall(played.text)))


def test_each_phase_has_its_number_and_the_summary_is_last(broken: Pipeline, stage: Stage) -> None:
    """A second run leaves phases out, and the others keep their numbers."""
    played = stage.play("emergency_reset", broken.dsn)
    assert played.rc == 0, played.text
    assert headings(played) == PHASES
    assert "\nemergency reset of " in played.text.partition("PLAY RECAP")[2]
    assert "skipping:" not in played.text
    assert headings(stage.play("emergency_reset", broken.dsn)) == [*PHASES[:3], *PHASES[-2:]]


def test_silence_is_broken(broken: Pipeline, stage: Stage) -> None:
    """A header comes before its work, and within five seconds something more."""
    broken.execute(SLOW)
    heard: list[float] = []
    with stage.start("emergency_reset", broken.dsn, proof=False) as running:
        seen = ""
        while running.process.poll() is None and "(9/11)" not in seen:
            if (now := running.text) != seen:
                heard += [time.monotonic()] if "(8/11) Drain" in now else []
                seen = now
            time.sleep(0.05)
        assert running.wait().rc == 0
    assert heard[-1] - heard[0] > 6
    assert max(later - earlier for earlier, later in itertools.pairwise(heard)) < 5.5


def events(stage: Stage, dsn: str, **options: Any) -> list[dict[str, Any]]:
    """Standard output of a reset, of which each line is JSON."""
    done = subprocess.run(
        stage.command("emergency_reset", dsn, options), cwd=CHECKOUT, env=environment(stage.home, {"SCOUT_OUTPUT": "json"}),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_of_json(broken: Pipeline, stage: Stage) -> None:
    found = events(stage, broken.dsn, proof=False)
    kinds = [each["event"] for each in found]
    assert (kinds[0], kinds[-2:]) == ("play", ["recap", "summary"])
    assert {"phase", "progress", "changed", "ok"} <= set(kinds)
    assert found[-1]["verdict"] == "RUNNING, UNPROVED"
    found = events(stage, "postgresql://nobody@127.0.0.1:1/scout")
    failed = next(each for each in found if each["event"] == "failed")
    assert (failed["error"]["kind"], found[-1]["event"]) == ("connection_failed", "summary")


@pytest.mark.parametrize("callback", ["document", "minimal"])
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
    assert "\nemergency reset of " not in done.stdout
    assert "\nemergency reset of " in done.stderr
