# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that a document of the suite prints is pasted into a shell, to the point where its options are validated."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from ansible.parsing.splitter import parse_kv

from tests import CHECKOUT, public_variables

#: A playbook as it is called from anywhere.
FULL_NAME = re.compile(r"scout\.recovery\.(\w+)")


#: One over all lines that a shell reads, in a summary.
PRINTED = re.compile(r"ansible-playbook (?:.*\\\n)*.*")


@dataclass
class Command:
    """A playbook, its variables, and whether it is a check."""

    playbook: str
    variables: dict[str, Any] = field(default_factory=dict)
    check: bool = False


def on_screen(screen: str) -> list[str]:
    """The commands that summaries on a screen say, each once."""
    found = (" ".join(text.replace("\\\n", " ").split()) for text in PRINTED.findall(screen))
    return list(dict.fromkeys(command for command in found if "scout.recovery." in command and "…" not in command))


def assert_accepted(results: Collection[Mapping[str, Any]]) -> None:
    """Each command of the documents is accepted by a shell, and by the playbook that it calls."""
    for made in results:
        for command in (*made["commands"], *made["undo_commands"]):
            accepted(command)


@functools.cache
def accepted(command: str) -> Command:
    """Read a printed command as a shell and Ansible do: the playbook exists, and some playbook reads its variables."""
    printed = subprocess.run(
        ["bash", "-c", f"ansible-playbook() {{ printf '%s\\0' \"$@\"; }}; {command}"],
        capture_output=True, text=True, check=True, cwd=CHECKOUT,
    )  # fmt: skip
    playbook, *options = printed.stdout.split("\0")[:-1]
    named = FULL_NAME.fullmatch(playbook)
    assert named, command
    assert (CHECKOUT / "playbooks" / f"{named[1]}.yml").is_file(), command
    assert not re.search(r"[;,.:…`]$|…", command), command
    assert shlex.split(command)[0] == "ansible-playbook"
    found = Command(named[1])
    while options:
        option = options.pop(0)
        if option == "-e":
            found.variables |= _variables(options.pop(0), command)
        elif option == "--check":
            found.check = True
        elif option == "--limit":
            assert options.pop(0), command
        else:
            assert option == "-v", command
    return found


def _variables(value: str, command: str) -> dict[str, Any]:
    given: dict[str, Any] = yaml.safe_load(value) if value.startswith("{") else parse_kv(value)
    assert given, command
    assert {name.removeprefix("scout_") for name in given} <= public_variables(), command
    return given
