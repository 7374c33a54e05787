# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A likely cause, and the commands that follow from one."""

from __future__ import annotations

import dataclasses
import shlex
import typing as t

from ...core import advice

if t.TYPE_CHECKING:
    from ..facts import Facts

ASSESS: t.Final = "ansible-playbook scout.recovery.assess"
RESET: t.Final = "ansible-playbook scout.recovery.emergency_reset"
CLEANUP: t.Final = "ansible-playbook scout.recovery.quality_cleanup"
DEAD_LETTERS: t.Final = "ansible-playbook scout.recovery.dead_letters"
RESUME: t.Final = "ansible-playbook scout.recovery.resume_ingestion"
TERMINATE: t.Final = "ansible-playbook scout.recovery.terminate_sessions"
REFRESH: t.Final = "ansible-playbook scout.recovery.refresh_gold"
ROLLBACK: t.Final = "ansible-playbook scout.recovery.rollback"
UNDO: t.Final = "ansible-playbook scout.recovery.undo"


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """A likely cause, what shows it, and the exact next command; lower rank first."""

    rank: int
    cause: str
    evidence: str
    next_command: str
    #: Worth fixing, but no reason to keep ingestion paused.
    blocks: bool = True

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        shown = {name: value for name, value in dataclasses.asdict(self).items() if name != "blocks"}
        told = [self.next_command]
        return {
            **shown,
            "next_command": advice.plain(self.next_command),
            "advice": advice.words(told),
            "commands": advice.commands(told),
        }


def cause(what: str, evidence: str, next_command: str, *, blocks: bool = True) -> Diagnosis:
    """One that has no rank yet."""
    return Diagnosis(0, what, evidence, next_command, blocks)


def rolled_back(found: Facts, otherwise: str, *names: str) -> str:
    """The rollback where a capture has what is there otherwise, by one of these names or any; else what a person does."""
    drift = found.drift
    if drift is None or (names and not any(name in text for name in names for text in drift.changes.named())):
        return otherwise
    return f"{ROLLBACK} -e scout_release={shlex.quote(drift.release)} --check"
