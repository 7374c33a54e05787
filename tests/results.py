# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module's result is: the TypedDicts that its `run` returns, and whether a value is of them."""

from __future__ import annotations

import functools
import importlib
import types
import typing as t
from collections.abc import Iterator, Mapping

from tests import CHECKOUT

RECOVERY = "ansible_collections.scout.recovery.plugins.modules"
DRILLS = "ansible_collections.scout.drills.plugins.modules"
FOLDERS = {RECOVERY: CHECKOUT / "library", DRILLS: CHECKOUT / "drills" / "plugins" / "modules"}
#: Every module by its name, with the package it is in.
MODULES = {path.stem: package for package, folder in FOLDERS.items() for path in sorted(folder.glob("scout_*.py"))}

#: What `invoke` puts beside what a module returns, and what Ansible documents for every module.
COMMON = frozenset({"changed", "diff", "warnings", "operation", "database", "incident", "ingestion"})


class Field(t.NamedTuple):
    """A key of a result: the types its value may have, and whether it is always there."""

    hints: tuple[t.Any, ...]
    required: bool


def module(name: str) -> t.Any:
    return importlib.import_module(f"{MODULES[name]}.{name}")


@functools.cache
def shapes(name: str) -> tuple[t.Any, ...]:
    """The TypedDicts that a module's `run` says it returns."""
    hint = t.get_type_hints(module(name).run)["return"]
    return _members(hint)


def fields(shape: t.Any) -> dict[str, Field]:
    """Of one TypedDict. Its own `__required_keys__` does not know of annotations that are strings."""
    hints = t.get_type_hints(shape, include_extras=True)
    return {
        name: Field(_members(t.get_args(hint)[0]), required=False)
        if t.get_origin(hint) is t.NotRequired
        else Field(_members(hint), required=True)
        for name, hint in hints.items()
    }


def merged(some: tuple[t.Any, ...]) -> dict[str, Field]:
    """Of one or the other: what each has is always there, and a value may have the type that any of them says."""
    each = [fields(shape) for shape in some]
    made: dict[str, Field] = {}
    for name in dict.fromkeys(name for one in each for name in one):
        found = [one.get(name) for one in each]
        hints = dict.fromkeys(hint for field in found if field for hint in field.hints)
        made[name] = Field(tuple(hints), required=all(field is not None and field.required for field in found))
    return made


def _members(hint: t.Any) -> tuple[t.Any, ...]:
    """Those of a union; else the one that it is."""
    return t.get_args(hint) if t.get_origin(hint) in (t.Union, types.UnionType) else (hint,)


def misfits(name: str, result: Mapping[str, t.Any]) -> list[str]:
    """Where a result of a module that did not fail is not what its `run` says, in words; as good as the best of its shapes."""
    told = {key: value for key, value in result.items() if key not in COMMON}
    found = [list(_wrong_fields(told, shape, COMMON)) for shape in shapes(name)]
    return min(found, key=len)


def _wrong_fields(value: Mapping[str, t.Any], shape: t.Any, optional: frozenset[str] = frozenset()) -> Iterator[str]:
    known = fields(shape)
    yield from (f"{shape.__name__} has no {name}" for name in value if name not in known)
    for name, field in known.items():
        if name not in value:
            if field.required and name not in optional:
                yield f"{name} of {shape.__name__} is missing"
        elif not any(_fits(value[name], hint) for hint in field.hints):
            yield f"{name} of {shape.__name__} is {value[name]!r}"


def _fits(value: t.Any, hint: t.Any) -> bool:
    """Whether a value is of a type that results have."""
    if hint is t.Any:
        return True
    if hint in (None, type(None)):
        return value is None
    if t.is_typeddict(hint):
        return isinstance(value, Mapping) and not list(_wrong_fields(value, hint))
    if t.get_origin(hint) is list:
        return isinstance(value, list) and all(_fits_any(each, t.get_args(hint)[0]) for each in value)
    if t.get_origin(hint) is dict:
        of = t.get_args(hint)[1]
        return isinstance(value, dict) and all(isinstance(k, str) and _fits_any(v, of) for k, v in value.items())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and isinstance(value, bool) == (hint is bool)


def _fits_any(value: t.Any, hint: t.Any) -> bool:
    return any(_fits(value, member) for member in _members(hint))
