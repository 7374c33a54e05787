# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a round of a game day, as a value: generated, written to a file, and read back from one; pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

from ..scenario.yaml_reader import near

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
    """The script of a document."""

    def wrong(what: str, next_step: str) -> BadInput:
        return BadInput(f"script {source}: {what}", next_step=next_step)

    if not isinstance(given, dict) or t.cast("dict[str, t.Any]", given).get("format") != FORMAT:
        raise wrong("is no script of a game day", f'its format is "{FORMAT}"')
    document = t.cast("dict[str, t.Any]", given)
    known = {"format", *(field.name for field in dataclasses.fields(Script))}
    if strange := sorted(set(document) - known):
        raise wrong(f"{strange[0]!r} is not known{near(strange[0], known)}", f"it has {', '.join(sorted(known))}")
    for name, among in (("variant", VARIANTS), ("operator", OPERATORS)):
        if document.get(name, among[0]) not in among:
            raise wrong(f"{name} {document[name]!r} is not known", f"name one of {', '.join(among)}")
    for name, most in (("events", 100_000), ("events_per_second", 1000)):
        if not _is_number(document.get(name, 1)) or not 0 <= document.get(name, 1) <= most:
            raise wrong(f"{name} {document[name]!r} is no number between 0 and {most}", "correct it")
    acts = document.get("acts")
    if not isinstance(acts, list) or len(t.cast("list[t.Any]", acts)) > MOST_ACTS:
        raise wrong("acts is no list, or too long a one", f"list at most {MOST_ACTS}")
    settings = {name: document[name] for name in document if name not in ("format", "acts")}
    made = [_act(act, kinds, wrong) for act in t.cast("list[t.Any]", acts)]
    return Script(tuple(sorted(made, key=lambda act: act.at)), **settings)


def _act(given: t.Any, kinds: Mapping[str, Kind], wrong: t.Callable[[str, str], BadInput]) -> Act:
    if not isinstance(given, dict):
        raise wrong(f"{given!r} is no act", '{"at": 1.0, "do": "restart_server"} is one')
    values = dict(t.cast("dict[str, t.Any]", given))
    at, name = values.pop("at", None), values.pop("do", None)
    if not _is_number(at) or not 0 <= at <= LONGEST_SECONDS:
        raise wrong(f"at {at!r} is no number of seconds", f"0 to {LONGEST_SECONDS:g}, after the start of the round")
    if not isinstance(name, str) or name not in kinds:
        raise wrong(f"act {name!r} is not known{near(str(name), kinds)}", f"name one of {', '.join(kinds)}")
    for option, value in values.items():
        among = kinds[name].options.get(option)
        if among is None:
            raise wrong(f"{name} has no option {option!r}", f"it has {', '.join(kinds[name].options) or 'none'}")
        if not _allowed(value, among):
            raise wrong(f"{name} cannot have {option} {value!r}", f"it can be {', '.join(map(str, among))}")
    return Act(float(at), name, values)


def _allowed(value: t.Any, among: tuple[Option, ...]) -> bool:
    """A number may be any between the least and the greatest."""
    if all(_is_number(each) for each in among):
        numbers = t.cast("tuple[float, ...]", among)
        return _is_number(value) and min(numbers) <= value <= max(numbers)
    return value in among


def _is_number(value: t.Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
