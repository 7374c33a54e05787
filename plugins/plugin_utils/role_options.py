# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles specify of their options, and what is wrong with the values that they would be given."""

from __future__ import annotations

import difflib
import functools
import importlib
import re
import typing as t
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load  # pyright: ignore[reportUnknownVariableType]

from . import arguments, settings

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

Option = dict[str, t.Any]

COLLECTION = __name__.partition(".plugins.")[0].removeprefix("ansible_collections.")
#: Of an option's specification what a value is checked by; what is required is given where a role is imported.
CHECKED = ("type", "elements", "choices", "no_log", "options")
#: The public variable that a default takes.
PUBLIC = re.compile(rf"\{{\{{ {settings.READ.pattern}")
#: How alike a mistyped variable and an option have to be.
ALIKE = 0.85


def folder(role: str) -> Path:
    """Where a role is, of this collection or named in full; ImportError where its collection is not installed."""
    collection, _, name = role.rpartition(".")
    package = importlib.import_module(f"ansible_collections.{collection or COLLECTION}")
    return Path(next(iter(package.__path__))) / "roles" / name


def defaults_file(role: Path) -> Path:
    """Where a role has what its options are unless they are set."""
    return role / "defaults" / "main.yml"


def exists(role: str) -> bool:
    """Whether there is such a role of this collection."""
    return folder(role).is_dir()


@functools.cache
def specification(role: Path) -> Mapping[str, Option]:
    """The options of all entry points of a role."""
    text = (role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    entries = t.cast("Callable[[str], dict[str, dict[str, t.Any]]]", yaml_load)(text)["argument_specs"]
    options: dict[str, Option] = {}
    for entry in entries.values():
        options |= entry.get("options") or {}
    return {name: {key: option[key] for key in CHECKED if key in option} for name, option in options.items()}


def wrong(spec: Mapping[str, Option], values: Mapping[str, t.Any]) -> list[str]:
    """What is wrong with the values, in the words of a person and by the names of the options."""
    shown = {name: "…" if spec[name].get("no_log") else value for name, value in values.items()}
    messages = t.cast("list[str]", ArgumentSpecValidator(dict(spec)).validate(dict(values)).error_messages)
    return [arguments.in_plain_words(message, shown) for message in messages]


@functools.cache
def defaults(role: Path) -> Mapping[str, t.Any]:
    """What its options are unless they are set; texts of templates and plain values."""
    text = defaults_file(role).read_text(encoding="utf-8")
    return t.cast("Callable[[str], dict[str, t.Any]]", yaml_load)(text) or {}


@functools.cache
def words(role: Path) -> frozenset[str]:
    """The short words that a role reads."""
    files = (role / part / "main.yml" for part in ("defaults", "vars"))
    return frozenset(
        name for file in files if file.exists() for name in settings.READ.findall(file.read_text(encoding="utf-8"))
    )


def by_public_name(
    problem: str, defaults: Mapping[str, t.Any], variables: Mapping[str, t.Any], set_by: Callable[[str], str | None]
) -> str:
    """A problem with each option called as the variable from which its default takes it, unless it was set itself; `set_by`
    gives that variable's name by its short word, None where it is not set."""
    for name, default in defaults.items():
        public = PUBLIC.match(str(default))
        if public and str(variables.get(name, default)) == str(default) and (variable := set_by(public[1])):
            problem = re.sub(rf"\b{name}\b", variable, problem)
    return problem


def nearly(role: str, variables: Iterable[str], options: Collection[str], known: Collection[str]) -> dict[str, str]:
    """The option that is meant, by variable: one that begins like the role's and is none, but looks like one."""
    strange = [name for name in variables if name.startswith(f"{role}_") and name not in known and name not in options]
    return {name: near[0] for name in strange if (near := difflib.get_close_matches(name, sorted(options), 1, ALIKE))}
