# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a scenario of a drill from its YAML file."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing as t
from pathlib import Path

import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    #: Faults and other actions by name.
    Registry = Mapping[str, Callable[..., t.Any]]

KEYS: t.Final = (
    *("title", "about", "budget_seconds", "events", "events_per_second", "faults", "detected", "steps"),
    *("again", "undo", "embedded_only"),
)
PLAY_KEYS: t.Final = ("playbook", "vars", "expect", "actor", "while")
EXPECT_KEYS: t.Final = ("rc", "changed", "outcome", "says")
MEANWHILE: t.Final = ("kill_controller", "restart_server")
#: An exit code other than 0.
FAILED: t.Final = "failed"
BUDGET_SECONDS: t.Final = 1800.0


@dataclasses.dataclass(frozen=True)
class Action:
    """A fault, or another action that is not a playbook."""

    name: str
    options: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])


@dataclasses.dataclass(frozen=True)
class Meanwhile:
    """What happens to a playbook as soon as a task with a matching name starts."""

    task: re.Pattern[str]
    do: str


@dataclasses.dataclass(frozen=True)
class Expect:
    """How a playbook must end; None where any value is accepted."""

    rc: int | str = 0
    changed: bool | None = None
    outcome: str | None = None
    #: What its screen must contain.
    says: re.Pattern[str] | None = None


@dataclasses.dataclass(frozen=True)
class Play:
    """One run of a playbook."""

    playbook: str
    path: Path
    vars: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    expect: Expect = Expect()
    #: The name that the ledger records; by default the login.
    actor: str | None = None
    meanwhile: tuple[Meanwhile, ...] = ()


@dataclasses.dataclass(frozen=True)
class Scenario:
    """How a pipeline is broken, and which playbooks recover it in which time."""

    name: str
    title: str
    steps: tuple[Play | Action, ...]
    faults: tuple[Action, ...] = ()
    about: str = ""
    #: Seconds from the fault until the pipeline is in its steady state again.
    budget_seconds: float = BUDGET_SECONDS
    #: How many events the reference pipeline has.
    events: int = 2000
    events_per_second: float = 2.0
    #: Whether the health report must show the fault.
    detected: bool = True
    #: Whether the last playbook, run again, must change nothing.
    again: bool = True
    #: Whether every run is undone and redone in the end.
    undo: bool = False
    #: Whether it needs a server that may be restarted, or the roles of the reference.
    embedded_only: bool = False

    @property
    def plays(self) -> tuple[Play, ...]:
        """The playbooks among its steps."""
        return tuple(step for step in self.steps if isinstance(step, Play))


def read(file: Path, *, playbooks: Path, faults: Registry, actions: Registry) -> Scenario:
    """Return the scenario. Raises BadInput with the file and the value that is wrong."""
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        return _scenario(file, _mapping(given, KEYS, "the file"), playbooks, faults, actions)
    except (OSError, ValueError, TypeError, KeyError, re.error, yaml.YAMLError) as e:
        raise BadInput(f"scenario {file} cannot be used", said=str(e), next_step="correct the file") from e


def _scenario(file: Path, given: dict[str, t.Any], playbooks: Path, faults: Registry, actions: Registry) -> Scenario:
    made = Scenario(name=file.stem, title=str(given.get("title") or file.stem), steps=())
    values = {name: given[name] for name in given if name not in ("title", "faults", "steps")}
    for name, value in values.items():
        default: object = getattr(made, name)
        wanted = (
            (int, float) if isinstance(default, int | float) and not isinstance(default, bool) else (type(default),)
        )
        if type(value) not in wanted:
            raise TypeError(f"{name} is {value!r}, not like {default!r}")
    steps = [_step(step, file, playbooks, {**faults, **actions}) for step in _list(given.get("steps"), "steps")]
    if not any(isinstance(step, Play) for step in steps):
        raise ValueError("steps has no playbook")
    found = tuple(_action(fault, faults, "faults") for fault in _list(given.get("faults", []), "faults"))
    return dataclasses.replace(made, **values, steps=tuple(steps), faults=found)


def _step(given: t.Any, file: Path, playbooks: Path, known: Registry) -> Play | Action:
    if isinstance(given, dict) and "do" in given:
        return _action(_mapping(t.cast("t.Any", given), ("do",), "a step")["do"], known, "do")
    found = _mapping(given, PLAY_KEYS, "a step")
    name = str(found.get("playbook") or "")
    path = file.parent / name if "/" in name else playbooks / f"{name}.yml"
    if not name or not path.is_file():
        raise ValueError(f"playbook {name!r} does not exist")
    meanwhile = tuple(_meanwhile(each) for each in _list(found.get("while", []), "while"))
    killed = any(each.do == "kill_controller" for each in meanwhile)
    return Play(
        playbook=Path(name).stem,
        path=path,
        vars=found.get("vars") or {},
        expect=_expect(found.get("expect") or {}, FAILED if killed else 0),
        actor=found.get("actor"),
        meanwhile=meanwhile,
    )


def _expect(given: t.Any, rc: int | str) -> Expect:
    found = _mapping(given, EXPECT_KEYS, "expect")
    says = re.compile(found["says"]) if "says" in found else None
    return Expect(found.get("rc", rc), found.get("changed"), found.get("outcome"), says)


def _meanwhile(given: t.Any) -> Meanwhile:
    found = _mapping(given, ("task", "do"), "while")
    if found["do"] not in MEANWHILE:
        raise ValueError(f"do is {found['do']!r}, not one of {', '.join(MEANWHILE)}")
    return Meanwhile(re.compile(found["task"]), found["do"])


def _action(given: t.Any, known: Registry, key: str) -> Action:
    """An action from `name: {options}`."""
    if not isinstance(given, dict) or len(t.cast("dict[str, t.Any]", given)) != 1:
        raise ValueError(f"{key} has {given!r}, not one `name: {{options}}`")
    [(name, options)] = t.cast("dict[str, t.Any]", given).items()
    if name not in known:
        raise ValueError(f"{key} has {name!r}, not one of {', '.join(sorted(known))}")
    function = known[name]
    inspect.signature(getattr(function, "function", function)).bind(None, **(options or {}))
    return Action(name, options or {})


def _mapping(given: t.Any, known: tuple[str, ...], key: str) -> dict[str, t.Any]:
    if not isinstance(given, dict):
        raise TypeError(f"{key} is {given!r}, not a mapping of {', '.join(known)}")
    found = t.cast("dict[str, t.Any]", given)
    if unknown := [name for name in found if name not in known]:
        raise ValueError(f"{key} has {unknown[0]!r}, not one of {', '.join(known)}")
    return found


def _list(given: t.Any, key: str) -> list[t.Any]:
    if not isinstance(given, list):
        raise TypeError(f"{key} is {given!r}, not a list")
    return t.cast("list[t.Any]", given)
