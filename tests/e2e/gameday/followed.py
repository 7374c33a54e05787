# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A printed command, taken apart as a shell and Ansible would; pure."""

from __future__ import annotations

import dataclasses
import shlex
import typing as t
from pathlib import PurePath

import yaml
from ansible.errors import AnsibleError

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils import stray_words

if t.TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Typed:
    """A playbook and its variables."""

    playbook: str
    variables: Mapping[str, t.Any]
    check: bool = False


class NotTyped(ValueError):
    """A printed command that nobody can type."""


def command(text: str) -> Typed:
    """`ansible-playbook playbooks/undo.yml -e run_id=…`."""
    try:
        words = shlex.split(text.replace("\\\n", " "))
    except ValueError as e:
        raise NotTyped(f"no shell accepts {text!r}: {e}") from e
    if len(words) < 2 or words[0] != "ansible-playbook":
        raise NotTyped(f"{text!r} is no playbook")
    variables: dict[str, t.Any] = {}
    options = words[2:]
    check = False
    while options:
        option = options.pop(0)
        if option == "--check":
            check = True
        elif option == "-e" and options:
            variables |= _variables(options.pop(0))
        elif option == "-i" and options:
            # Whoever types it has the inventory that it names.
            options.pop(0)
        else:
            raise NotTyped(f"{text!r} has an option that is not known: {option}")
    name = PurePath(words[1]).name
    return Typed(name.removesuffix(".yml") if name.endswith(".yml") else name.rpartition(".")[2], variables, check)


def _variables(given: str) -> dict[str, t.Any]:
    if given.startswith("{"):
        found: t.Any = yaml.safe_load(given)
        if not isinstance(found, dict):
            raise NotTyped(f"{given!r} has no variables")
        return t.cast("dict[str, t.Any]", found)
    try:
        pairs = stray_words.parse_kv(given)
        stray_words.refuse([given])
    except (BadInput, AnsibleError) as e:
        raise NotTyped(f"{given!r} is not what Ansible reads: {e}") from e
    return pairs
