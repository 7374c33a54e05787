# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words stand for which playbook."""

from __future__ import annotations

import typing as t


class Command(t.NamedTuple):
    """A command of `scout`."""

    #: What is typed after `scout`: one word, or two.
    words: tuple[str, ...]
    playbook: str
    #: What it does, in a line.
    help: str
    #: The variable that the word behind the command sets; empty where none may stand there.
    takes: str = ""
    #: Whether that word has to be there.
    required: bool = False
    #: Whether it moves rows, or changes the schema, so that at a terminal the plan is shown and confirmed first.
    moves: bool = False


def _command(words: str, playbook: str, text: str, takes: str = "", **more: bool) -> Command:
    return Command(tuple(words.split()), playbook, text, takes.rstrip("!"), takes.endswith("!"), **more)


COMMANDS: t.Final = (
    _command("assess", "assess", "what is wrong, and the likely causes; changes nothing"),
    _command("reset", "emergency_reset", "get the pipeline going: pause, repair, check, resume", moves=True),
    _command("pause", "pause_ingestion", "stop loading, now"),
    _command("resume", "resume_ingestion", "resume loading"),
    _command("terminate", "terminate_sessions", "end stuck sessions"),
    _command("refresh", "refresh_gold", "refresh gold"),
    _command("cleanup", "quality_cleanup", "quarantine silver rows that cannot be right", moves=True),
    _command("quarantine", "quarantine", "quarantine events, with everything derived from them", moves=True),
    _command("redrive", "redrive", "load quarantined events again", moves=True),
    _command("window", "window_recovery", "rebuild what silver is missing, or has wrong, of a window", moves=True),
    _command("capture", "capture_release", "capture the current release", "release!"),
    _command("rollback", "rollback", "roll back application and schema to a release", "release", moves=True),
    _command("dlq", "dead_letters", "the dead letter queue by error, age and source, with a sample of each"),
    _command("runs", "runs", "who did what, and can it be undone?", "run_id"),
    _command("undo", "undo", "undo a run: its id, the first eight digits of it, or last", "run_id!", moves=True),
    _command("gate", "acceptance_gate", "may the pipeline continue? Exit code 0 only if so"),
    _command("incident report", "incident_report", "write its report, as Markdown with a chart", "incident"),
    _command("evidence", "evidence", "keep a snapshot of the pipeline"),
    _command("preflight", "preflight", "may I do all this here?"),
    _command("drill", "drill", "break a throwaway pipeline, and recover it", "scenario"),
)
