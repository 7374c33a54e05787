# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of which nothing is known yet, taken for what they are hoped to be."""

from __future__ import annotations

import ipaddress
import json
import typing as t

#: How deep a document of ours may be nested; a capture or a plan has a dozen levels.
DEEPEST: t.Final = 100


def as_list(value: t.Any) -> list[t.Any]:
    """The list, or an empty one for anything else."""
    return t.cast("list[t.Any]", value) if isinstance(value, list) else []


def is_loopback(host: str) -> bool:
    """Whether an address, or the name that is kept for it, is this machine itself; any other name may lead anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def loaded(text: str | bytes) -> t.Any:
    """What a JSON document of ours says. Raises ValueError where it is none, or is nested so deeply that whatever walks through
    it would break off."""
    try:
        found: t.Any = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    refuse_deep(found)
    return found


def refuse_deep(document: t.Any) -> None:
    """Raises ValueError for what is nested more than 100 levels deep, or within itself."""
    level: dict[int, t.Any] = {id(document): document}
    for _ in range(DEEPEST + 1):
        inner: list[t.Any] = []
        for each in level.values():
            if isinstance(each, dict):
                inner += t.cast("dict[t.Any, t.Any]", each).values()
            elif isinstance(each, list):
                inner += t.cast("list[t.Any]", each)
        # What is there many times, as YAML allows, is looked at once.
        level = {id(t.cast("object", each)): each for each in inner if isinstance(each, (dict, list))}
        if not level:
            return
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")
