# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type after -e: a name that is nearly a variable of the roles, or a switch that is neither yes nor no."""

from __future__ import annotations

import difflib
import re
import typing as t
from pathlib import Path

from ansible.module_utils.parsing.convert_bool import boolean  # pyright: ignore[reportUnknownVariableType]

from ..module_utils.recovery.errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: t.Final = Path(__file__).parents[2]
TAKEN = re.compile(r"\b([a-z][a-z0-9_]*) \| default\(")
OWN = re.compile(r"^([a-z][a-z0-9_]*):", re.MULTILINE)
SWITCH = re.compile(
    r"\b([a-z][a-z0-9_]*) \| default\((?:true|false)\)|^([a-z][a-z0-9_]*): (?:true|false)$", re.MULTILINE
)
#: Shorter names are like many others.
LONG_ENOUGH: t.Final = 5
ALIKE: t.Final = 0.85


def _texts(*patterns: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in ROOT.glob(pattern))


def _read() -> tuple[frozenset[str], frozenset[str]]:
    """The variables that roles and playbooks take, and which of them are switches: as the roles themselves say."""
    defaults = _texts("roles/*/defaults/main.yml")
    taken = TAKEN.findall(defaults + _texts("roles/*/tasks/*.yml", "roles/*/vars/main.yml", "playbooks/*.yml"))
    switches = {name for found in SWITCH.findall(defaults) for name in found if name}
    return frozenset([*taken, *OWN.findall(defaults)]), frozenset(switches)


KNOWN, SWITCHES = _read()


def refuse(variables: Mapping[str, t.Any], extra: Mapping[str, t.Any]) -> None:
    """Refuses what would be passed over in silence: Ansible takes `ture` for no, and an unknown name for somebody else's."""
    for name in sorted(extra.keys() - KNOWN):
        meant = difflib.get_close_matches(name, KNOWN, 1, ALIKE) if len(name) >= LONG_ENOUGH else []
        if meant:
            raise BadInput(
                f"no variable is named {name}, and {meant[0]} is nearly the same",
                next_step=f"if it is meant, -e {meant[0]}=…; else give yours another name",
            )
    for name in sorted(SWITCHES & variables.keys()):
        value = variables[name]
        if isinstance(value, str) and "{{" in value:
            continue
        try:
            boolean(value)
        except TypeError:
            raise BadInput(
                f"{name} {str(value)[:80]!r} is not a yes or no", next_step="correct it and run the same command again"
            ) from None
