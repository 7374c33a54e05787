# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs whose commands hold a secret: a capture has a digest of such a command, and nothing that could be installed; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.text import cut
from ...postgres.identifiers import literal
from ..catalog import job_commands
from ..catalog.job_commands import DIGEST

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..catalog.entries import Entry

JOB: t.Final = "cron_job"
#: A command is shown up to so many characters.
LONGEST: t.Final = 500
NOT_STORED: t.Final = "its command held a secret that is not stored"


@dataclasses.dataclass(frozen=True)
class Known:
    """What there shall be as far as the capture tells it: `impossible` is what somebody has to do by hand first, `warnings` what
    stays otherwise than captured, or what an undo could not restore."""

    wanted: dict[str, Entry]
    impossible: tuple[str, ...]
    warnings: tuple[str, ...]


def known(live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> Known:
    """Jobs whose secret is the captured one stay as they are, as do those in which it alone is another; what else differs is
    named with the command that sets it. No text in which a secret is hidden is ever wanted."""
    made, impossible, warnings = dict(wanted), list[str](), list[str]()
    for key, entry in wanted.items():
        if entry.kind != JOB or DIGEST not in entry.facts:
            continue
        there = live.get(key)
        if there is None:
            del made[key]
            impossible.append(f"job {entry.name} is missing, and {NOT_STORED}: make it by hand, {_schedule(entry)}")
            continue
        made[key] = dataclasses.replace(entry, facts={**_without_command(entry), **_command(there)})
        if _digest(there) == entry.facts[DIGEST]:
            continue
        by_hand = f"set it by hand, {_alter(entry, there)}"
        if DIGEST in there.facts and there.facts["command"] == entry.facts["command"]:
            warnings.append(
                f"job {entry.name} keeps the secret that it has now: {NOT_STORED}. If the captured one is wanted, {by_hand}"
            )
        else:
            impossible.append(f"job {entry.name} has another command, and {NOT_STORED}: {by_hand}")
    for key, there in live.items():
        if there.kind == JOB and DIGEST in there.facts and (key not in made or DIGEST not in made[key].facts):
            number = there.address[1] if there.address else 0
            lost = f"job {there.name} loses its command, which holds a secret: no undo can restore it"
            warnings.append(f"{lost}. Keep it yourself, from cron.job where jobid is {number}")
    return Known(made, tuple(impossible), tuple(warnings))


def _command(entry: Entry) -> dict[str, t.Any]:
    return {fact: entry.facts[fact] for fact in ("command", DIGEST) if fact in entry.facts}


def _without_command(entry: Entry) -> dict[str, t.Any]:
    return {fact: value for fact, value in entry.facts.items() if fact not in ("command", DIGEST)}


def _digest(entry: Entry) -> str:
    return entry.facts.get(DIGEST) or job_commands.digest(entry.facts["command"])


def _alter(entry: Entry, there: Entry) -> str:
    number = there.address[1] if there.address else 0
    return f"as {entry.owner}: SELECT cron.alter_job({number}, command => {_shown(entry)}){_hidden(entry)}"


def _schedule(entry: Entry) -> str:
    words = [literal(entry.facts[fact]) for fact in ("name", "schedule") if entry.facts.get(fact)]
    return f"as {entry.owner}: SELECT cron.schedule({', '.join([*words, _shown(entry)])}){_hidden(entry)}"


def _shown(entry: Entry) -> str:
    return literal(cut(entry.facts["command"], LONGEST))


def _hidden(entry: Entry) -> str:
    return ", with the secret in place of ***" if "***" in entry.facts["command"] else ""
