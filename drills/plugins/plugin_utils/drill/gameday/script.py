# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a round of a game day, as a value: generated, written to a file, and read back from one; pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

from ..scenario.yaml_reader import WHOLE, Reader, under

if t.TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: t.Final = "scout-recovery/gameday-script-1"
VARIANTS: t.Final = ("faithful", "repaired", "deployed")
OPERATORS: t.Final = ("least_privileged", "owner")
#: The latest moment of an act, in seconds after the start: nobody waits for a round that long.
LONGEST_SECONDS: t.Final = 60.0
MOST_ACTS: t.Final = 50
MOST_BYTES: t.Final = 1_000_000

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


def read(file: Path, kinds: Mapping[str, Kind]) -> Script:
    """The script of a file; BadInput names the value that cannot be one."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
        given: t.Any = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as e:
        raise BadInput(f"script {file} cannot be read", said=str(e), next_step="name a script.json of a round") from e
    return parse(given, kinds, str(file))


def parse(given: t.Any, kinds: Mapping[str, Kind], source: str) -> Script:
    """The script of a document. Raises BadInput that names all that cannot be one."""
    if not isinstance(given, dict) or t.cast("dict[str, t.Any]", given).get("format") != FORMAT:
        raise BadInput(f"script {source}: is no script of a game day", next_step=f'its format is "{FORMAT}"')
    at = Reader(Path(source))
    document = at.mapping(WHOLE, given, ("format", *(field.name for field in dataclasses.fields(Script))))
    settings: dict[str, t.Any] = {
        name: at.text(name, document[name], among=among)
        for name, among in (("variant", VARIANTS), ("operator", OPERATORS))
        if name in document
    }
    settings |= {
        name: at.number(name, document[name], least=0, most=most)
        for name, most in (("events", 100_000), ("events_per_second", 1000))
        if name in document
    }
    acts = at.each("acts", document.get("acts"))
    if len(acts) > MOST_ACTS:
        at.problems.append(f"acts has {len(acts)}, more than {MOST_ACTS}")
    made = [act for key, each in acts[:MOST_ACTS] if (act := _act(at, key, each, kinds))]
    if at.problems:
        raise BadInput(f"script {source} cannot be used", said="; ".join(at.problems), next_step="correct it")
    return Script(tuple(sorted(made, key=lambda act: act.at)), **settings)


def _act(at: Reader, key: str, given: t.Any, kinds: Mapping[str, Kind]) -> Act | None:
    if not isinstance(given, dict):
        at.wrong(key, given, 'an act as {"at": 1.0, "do": "restart_server"}')
        return None
    values = dict(t.cast("dict[str, t.Any]", given))
    moment = at.number(under(key, "at"), values.pop("at", None), least=0, most=LONGEST_SECONDS)
    name = at.text(under(key, "do"), values.pop("do", None), among=kinds)
    if name not in kinds:
        return None
    options = kinds[name].options
    for option, value in at.mapping(key, values, options).items():
        if option in options and not _allowed(value, options[option]):
            at.wrong(under(key, option), value, f"one of {', '.join(map(str, options[option]))}")
    return Act(float(moment), name, values)


def _allowed(value: t.Any, among: tuple[Option, ...]) -> bool:
    """A number may be any between the least and the greatest."""
    if all(_is_number(each) for each in among):
        numbers = t.cast("tuple[float, ...]", among)
        return _is_number(value) and min(numbers) <= value <= max(numbers)
    return value in among


def _is_number(value: t.Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
