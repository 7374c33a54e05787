# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as a person types them, and Ansible's complaints about them in plain words."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ..module_utils.recovery.core.values import loaded

if t.TYPE_CHECKING:
    from collections.abc import Mapping

WRONG_TYPE = re.compile(r"argument '(?P<name>\w+)' is of type \S+ and we were unable to convert to (?P<type>\w+)")
TYPES = {"int": "a whole number", "float": "a number", "bool": "a yes or no", "dict": "a dictionary", "list": "a list"}


def as_list(option: Mapping[str, t.Any], value: t.Any) -> t.Any:
    """A list that was typed after -e name=: as JSON, which Ansible would take for one element with brackets, or with commas,
    around which it would keep the spaces."""
    if option.get("type") != "list" or not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            return loaded(value)
    return [part.strip() for part in value.split(",")] if value.strip() else value


def in_plain_words(message: str, values: Mapping[str, t.Any]) -> str:
    """Ansible's complaint about the type of an option, with the value that was given instead of its class."""
    message = message.replace("must be one of: , ", "must be one of: ")
    found = WRONG_TYPE.match(message)
    if found is None or found["name"] not in values:
        return message
    return f"{found['name']} {str(values[found['name']])[:80]!r} is not {TYPES.get(found['type'], found['type'])}"
