# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that a summary of the suite prints is pasted into a shell, to the point where its options are validated."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars, stray_words
from tests import CHECKOUT

#: The parts of a summary that say what can be typed.
TYPED = ("next", "undo")
LABEL = re.compile(r"^  (.{7})(\S.*)$")
#: A summary of one host ends with what can be typed, within so many lines.
BLOCK = 25
#: A playbook as it is called from anywhere.
FULL_NAME = re.compile(r"scout\.recovery\.(\w+)")
CONTINUED = re.compile(r"^ {9}(.*)$")
#: Below phases a label stands alone, and what is typed below it.
ALONE = re.compile(rf"^(?:{'|'.join(TYPED)})$")
BELOW = re.compile(r"^ {4}(\S.*| {4}-.*)$")


@dataclass
class Command:
    """A playbook, its variables, and whether it is a check."""

    playbook: str
    variables: dict[str, Any] = field(default_factory=dict)
    check: bool = False


def assert_accepted(screen: str, results: Collection[dict[str, Any]]) -> None:
    """Each command of the documents is accepted by a shell, and stands on the screen as it is in them, with nothing beside it."""
    known: set[str] = set()
    for made in results:
        for command in (*made["commands"], *made["undo_commands"]):
            accepted(command)
            known.add(_normal(command))
    for command in on_screen(screen):
        if ", interrupted\n" in screen or "\nINTERRUPTED" in screen:
            # Said where nothing is left that could make a document of it.
            _of_a_shell(command)
        elif len(results) > 1:
            # The same command again is one for all databases.
            accepted(command)
        elif known:
            assert _normal(command) in known, f"no command that can be pasted: {command!r}"


def on_screen(screen: str, hosts: int = 1) -> Iterator[str]:
    """Whatever begins with the name of the program in the last parts that say what to type, over all lines that a shell reads.

    So many ``hosts`` have a block of their own there, one below the other.
    """
    typed, command = False, ""
    for line in screen.splitlines()[-BLOCK * hosts :]:
        if ALONE.match(line):
            typed = True
            continue
        label, rest = LABEL.match(line), CONTINUED.match(line)
        if below := BELOW.match(line):
            label, rest = None, below
        if label and label[1].strip():
            typed = label[1].strip() in TYPED
        text = label[2] if label else rest[1] if rest else ""
        if command:
            command = f"{command.removesuffix(chr(92)).rstrip()} {text.strip()}"
        elif typed and text.startswith("ansible-playbook"):
            command = text
        if command and not command.endswith("\\"):
            yield command
            command = ""


def _normal(command: str) -> str:
    return " ".join(command.split())


def _of_a_shell(command: str) -> None:
    read = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
    assert read.returncode == 0, (command, read.stderr)


@functools.cache
def accepted(command: str) -> Command:
    """Read a printed command as a shell and Ansible do: the playbook exists, knows its variables and gets all of them."""
    _of_a_shell(command)
    printed = subprocess.run(
        ["bash", "-c", f"ansible-playbook() {{ printf '%s\\0' \"$@\"; }}; {command}"],
        capture_output=True, text=True, check=True, cwd=CHECKOUT,
    )  # fmt: skip
    playbook, *options = printed.stdout.split("\0")[:-1]
    file = CHECKOUT / playbook
    if named := FULL_NAME.fullmatch(playbook):
        file = CHECKOUT / "playbooks" / f"{named[1]}.yml"
    assert file.is_file(), command
    assert not re.search(r"[;,.:…`]$|…", command), command
    assert shlex.split(command)[0] == "ansible-playbook"
    found = Command(file.stem)
    while options:
        option = options.pop(0)
        if option == "-e":
            found.variables |= _variables(options.pop(0), command)
        elif option == "--check":
            found.check = True
        elif option in ("-i", "--limit", "--forks", "--vault-id", "--vault-password-file"):
            assert options.pop(0), command
        else:
            assert option == "-v", command
    return found


def _variables(value: str, command: str) -> dict[str, Any]:
    stray_words.refuse([value])
    given = yaml.safe_load(value) if value.startswith("{") else stray_words.parse_kv(value)
    assert given, command
    extra_vars.refuse_placeholders(given)
    assert extra_vars.check(given) == [], command
    return given
