# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a round of a game day, as a value: generated, written to a file, and read back from one; pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT: t.Final = "scout-recovery/gameday-script-1"
VARIANTS: t.Final = ("faithful", "repaired", "deployed")
OPERATORS: t.Final = ("least_privileged", "owner")
Option = str | int | float | bool


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of act: what its options are, each with all that it may be, the simplest first."""

    name: str
    about: str
    options: Mapping[str, tuple[Option, ...]]
    #: What it breaks on purpose and nobody is to repair: `jobs`, `rights`, `silver` or `functions`.
    touches: tuple[str, ...] = ()
    #: Whether somebody types a playbook, rather than something breaking.
    typed: bool = False


@dataclasses.dataclass(frozen=True)
class Act:
    """One thing that happens."""

    #: Seconds after the start of the round.
    at: float
    name: str
    options: Mapping[str, Option] = dataclasses.field(default_factory=dict[str, Option])

    def __str__(self) -> str:
        return f"{self.at:g} s: {self.words}"

    @property
    def words(self) -> str:
        """`hold_lock (mode ACCESS EXCLUSIVE, seconds 3)`."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return self.name + (f" ({options})" if options else "")


@dataclasses.dataclass(frozen=True)
class Script:
    """A round: the pipeline that it is played in, and what happens, in order."""

    acts: tuple[Act, ...]
    variant: str = "faithful"
    operator: str = "least_privileged"
    events: int = 400
    events_per_second: float = 4.0

    def as_document(self) -> dict[str, t.Any]:
        """As it is written to a file."""
        found = dataclasses.asdict(self)
        found["acts"] = [{"at": act.at, "do": act.name, **act.options} for act in self.acts]
        return {"format": FORMAT, **found}

    @property
    def key(self) -> str:
        """The same for equal scripts, and for no others."""
        return json.dumps(self.as_document(), sort_keys=True)

    def __str__(self) -> str:
        return "; ".join(map(str, self.acts)) or "nothing happens"


def read(file: Path) -> Script:
    """The script of a file."""
    given: dict[str, t.Any] = json.loads(file.read_bytes())
    assert given.pop("format") == FORMAT, file
    acts = [Act(each.pop("at"), each.pop("do"), each) for each in given.pop("acts")]
    return Script(tuple(sorted(acts, key=lambda act: act.at)), **given)
