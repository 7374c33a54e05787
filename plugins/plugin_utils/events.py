# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the screen is wanted: phases, steps, words, or lines of JSON for a program that follows a run."""

from __future__ import annotations

import json
import os
import re
import time
import typing as t

from ..module_utils.recovery.core.text import in_words, printable
from . import voice

if t.TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: t.Final = "SCOUT_OUTPUT"
KNOWN: t.Final = ("", "json", "plain", "steps")
#: A line of a worker, which begins with its host.
OF_HOST: t.Final = re.compile(r"\[([^\]]+)\] (.*)", re.DOTALL)

_began = time.monotonic()


class Event(str):
    """A line that is JSON already."""

    __slots__ = ()


def wanted() -> bool:
    """Whether standard output is to be lines of JSON, and is ours."""
    return os.environ.get(VARIABLE, "").lower() == "json" and voice.is_ours()


def plain() -> bool:
    """Whether how a phase stands is said in words, and nothing is changed in place."""
    return os.environ.get(VARIABLE, "").lower() == "plain"


def drawn(verbosity: int) -> bool:
    """Whether a phase of a playbook of ours is a line; with -v, and where steps are asked for, each step is shown."""
    return voice.is_ours() and not verbosity and os.environ.get(VARIABLE, "").lower() not in ("json", "steps")


def unknown() -> str:
    """What the variable holds and nobody knows; empty where that is not so."""
    value = os.environ.get(VARIABLE, "")
    return "" if value.lower() in KNOWN else printable(value, 40)


def begin() -> None:
    """A run begins now."""
    global _began
    _began = time.monotonic()


def seconds() -> float:
    """How long this run takes by now."""
    return round(time.monotonic() - _began, 1)


def elapsed() -> str:
    """The same as a person reads it; empty in the first second."""
    whole = int(seconds())
    return (f"{whole} s" if whole < 60 else in_words(whole)) if whole else ""


def line(event: str, **fields: t.Any) -> Event:
    """One event; `seconds` is since the run began."""
    return Event(json.dumps({"event": event, "seconds": seconds(), **fields}, default=str, ensure_ascii=False))


def of_text(text: str) -> Event | None:
    """What was said, as an event; None for an empty line."""
    if isinstance(text, Event):
        return text
    said = text.strip("\n")
    if not said.strip():
        return None
    if isinstance(text, voice.Line) and (found := OF_HOST.match(said)):
        return line("progress", host=found[1], text=found[2])
    return line("line", text=said)


def of_result(event: str, host: str, phase: str, made: Mapping[str, t.Any]) -> Event:
    """How a step of a host ended."""
    told = {name: made[name] for name in ("msg", "summary", "run_id", "error") if made.get(name)}
    return line(event, host=host, phase=phase, changed=bool(made.get("changed")), **told)
