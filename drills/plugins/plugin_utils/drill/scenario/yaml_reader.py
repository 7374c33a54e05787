# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes values out of what a file says, and keeps every mistake, named by key and value, until all are told at once."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    #: Faults and other named actions, by name.
    Registry = Mapping[str, Callable[..., t.Any]]

#: How a file as a whole is called, whose own keys are named alone.
WHOLE: t.Final = "the file"

#: What an option may be, by how its function says it, and how a person says that.
TYPES: t.Final[dict[str, tuple[t.Any, str]]] = {
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (int | float, "a number"),
    "str": (str, "a text"),
}


@dataclasses.dataclass(frozen=True)
class Action:
    """A fault, or something else that somebody does to the pipeline."""

    name: str
    options: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])


class Reader:
    """Takes values out of mappings, and keeps every mistake until the end."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[str] = []

    def wrong(self, key: str, value: t.Any, wanted: str) -> None:
        self.problems.append(f"{key} is {shown(value)}, not {wanted}")

    def mapping(self, key: str, value: t.Any, known: t.Collection[str]) -> dict[str, t.Any]:
        if not isinstance(value, dict):
            self.wrong(key, value, f"a mapping of {', '.join(known)}")
            return {}
        found = {str(name): each for name, each in t.cast("dict[t.Any, t.Any]", value).items()}
        for name in found:
            if name not in known:
                self.problems.append(f"{under(key, name)} is not known here; known are {', '.join(known) or 'none'}")
        return found

    def text(self, key: str, value: t.Any, *, among: t.Collection[str] = ()) -> str:
        if not isinstance(value, str) or not value.strip():
            self.wrong(key, value, "a text" if not among else f"one of {', '.join(among)}")
            return ""
        if among and value not in among:
            self.wrong(key, value, f"one of {', '.join(among)}{near(value, among)}")
        return value.strip()

    def number(self, key: str, value: t.Any, *, least: float, most: float, whole: bool = False) -> float:
        usable = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not usable or not least <= value <= most:
            self.wrong(key, value, f"a {'whole ' if whole else ''}number from {least:g} to {most:g}")
            return least
        return value

    def yes(self, key: str, value: t.Any) -> bool:
        if not isinstance(value, bool):
            self.wrong(key, value, "true or false")
        return bool(value)

    def each(self, key: str, value: t.Any) -> list[tuple[str, t.Any]]:
        if not isinstance(value, list):
            self.wrong(key, value, "a list")
            return []
        return [(f"{key}[{number}]", entry) for number, entry in enumerate(t.cast("list[t.Any]", value))]

    def texts(self, key: str, value: t.Any, among: t.Collection[str]) -> tuple[str, ...]:
        if value == []:
            self.wrong(key, value, f"some of {', '.join(among)}")
        return tuple(self.text(name, entry, among=among) for name, entry in self.each(key, value))

    def pattern(self, key: str, value: t.Any) -> re.Pattern[str]:
        text = self.text(key, value)
        try:
            return re.compile(text)
        except re.error as e:
            self.wrong(key, value, f"a regular expression: {e}")
            return re.compile("")

    def action(self, key: str, value: t.Any, known: Registry, noun: str) -> Action | None:
        """`name: {options}`, `{name: null}`, or the bare name."""
        given: t.Any = {value: {}} if isinstance(value, str) else value
        if not isinstance(given, dict) or len(t.cast("dict[t.Any, t.Any]", given)) != 1:
            self.wrong(key, value, f"one {noun} as `name: {{options}}`")
            return None
        [(name, options)] = t.cast("dict[t.Any, t.Any]", given).items()
        if name not in known:
            like = near(str(name), known)
            self.problems.append(
                f"{key}: there is no {noun} {str(name)[:40]!r}{like}; there are {', '.join(sorted(known))}"
            )
            return None
        if options is not None and not isinstance(options, dict):
            self.wrong(under(key, name), options, "a mapping of options")
            return None
        made = {str(option): each for option, each in t.cast("dict[t.Any, t.Any]", options or {}).items()}
        self._options(under(key, name), made, known[name])
        return Action(name, made)

    def _options(self, key: str, given: dict[str, t.Any], function: Callable[..., t.Any]) -> None:
        """The first parameter is where it is done, and nobody's to give."""
        [_, *own] = inspect.signature(getattr(function, "function", function)).parameters.values()
        names = [parameter.name for parameter in own]
        for name in given:
            if name not in names:
                self.problems.append(f"{under(key, name)} is not known here; known are {', '.join(names) or 'none'}")
        for parameter in own:
            if parameter.name in given:
                among = getattr(function, "choices", {}).get(parameter.name, ())
                self._option(under(key, parameter.name), given[parameter.name], parameter, among)
            if parameter.default is inspect.Parameter.empty and parameter.name not in given:
                self.problems.append(f"{under(key, parameter.name)} is missing")

    def _option(self, key: str, value: t.Any, parameter: inspect.Parameter, among: t.Collection[str]) -> None:
        """By what the function says it takes; of a type that is none of these everything is taken."""
        if among:
            self.text(key, value, among=among)
            return
        kinds = str(parameter.annotation).split(" | ")
        if ("None" in kinds and value is None) or not set(kinds) <= {*TYPES, "None"}:
            return
        wanted = [TYPES[kind] for kind in kinds if kind in TYPES]
        right = any(isinstance(value, types) and isinstance(value, bool) == (types is bool) for types, _ in wanted)
        if not right:
            self.wrong(key, value, " or ".join(noun for _, noun in wanted))


def under(key: str, name: t.Any) -> str:
    return f"{key}.{name}" if key != WHOLE else str(name)


def near(name: str, known: t.Iterable[str]) -> str:
    """` (did you mean x?)` where one of the known names is like it."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {found[0]}?)" if found else ""


def shown(value: t.Any) -> str:
    return "missing" if value is None else repr(value)[:80]
