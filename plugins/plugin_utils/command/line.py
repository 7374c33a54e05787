# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ansible-playbook command that is run: its words, what a screen shows of it, and the plan that comes first; pure."""

from __future__ import annotations

import json
import os
import re
import shlex
import typing as t
from pathlib import Path

from ...module_utils.recovery.core.redaction import HIDDEN, SECRET_NAME

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .parser import Asked

PROGRAM: t.Final = "ansible-playbook"
#: One within an address.
PASSWORD: t.Final = re.compile(r"(://[^/@\s:]*:)[^/@\s]*(?=@)|(password\s*=\s*)(?:'[^']*'|\S+)", re.IGNORECASE)
#: One of several variables of a word.
ASSIGNED: t.Final = re.compile(r"(?<!\S)(\w+)=((?:'[^']*'|\"[^\"]*\"|\S)*)")
#: In place of a run's id.
LAST: t.Final = "last"
#: Said where a configuration is not used.
UNUSED: t.Final = (
    "scout: ansible.cfg of this folder is not used: it would say which plugins run. ANSIBLE_CONFIG=ansible.cfg uses it"
)
#: Where Ansible looks for collections unless it is told.
USUAL: t.Final = ("~/.ansible/collections", "/usr/share/ansible/collections")


class Place(t.NamedTuple):
    """Where the collection is, and from where `scout` is called."""

    root: Path
    cwd: Path
    environment: Mapping[str, str]

    @property
    def checkout(self) -> bool:
        """Whether it is a checkout, and no installed collection."""
        return (self.root / "ansible.cfg").is_file() and (self.root / ".collections").is_dir()

    def playbook(self, name: str) -> str:
        """How a playbook is called from there."""
        return f"playbooks/{name}.yml" if self.checkout and self.cwd == self.root else f"scout.recovery.{name}"

    @property
    def strange(self) -> bool:
        """Whether the folder one is in has a configuration that is not this collection's project's: it would say which plugins run,
        whoever wrote it."""
        here = self.cwd / "ansible.cfg"
        if self.environment.get("ANSIBLE_CONFIG") or not here.is_file():
            return False
        return not self.root.is_relative_to(self.cwd) or here.stat().st_uid not in (0, os.geteuid())

    def settings(self) -> dict[str, str]:
        """What Ansible has to be told, so that it finds the collection from there, and no configuration but the user's or that of the
        project; what somebody has set stays."""
        if self.environment.get("ANSIBLE_CONFIG") or ((self.cwd / "ansible.cfg").is_file() and not self.strange):
            return {}
        found = bool(self.environment.get("ANSIBLE_COLLECTIONS_PATH"))
        if self.checkout:
            return {} if found and not self.strange else {"ANSIBLE_CONFIG": str(self.root / "ansible.cfg")}
        home = Path(self.environment.get("HOME", "/"))
        configured = [each for each in (home / ".ansible.cfg", Path("/etc/ansible/ansible.cfg")) if each.is_file()]
        # …/ansible_collections/scout/recovery
        folder = self.root.parents[2]
        usual = [Path(each.replace("~", str(home), 1)) for each in USUAL]
        made: dict[str, str] = {}
        if self.strange:
            made["ANSIBLE_CONFIG"] = str([*configured, self.root / "bin" / "scout.cfg"][0])
        if not (found or configured or folder in usual):
            made["ANSIBLE_COLLECTIONS_PATH"] = ":".join(map(str, [folder, *usual]))
        return made


def words(asked: Asked, place: Place) -> list[str]:
    """What is run, program first. Each value goes as a JSON object of its own, in which quotes, braces and newlines are what they are,
    and between which a screen can break the line."""
    made = [PROGRAM, place.playbook(asked.command.playbook)]
    for name, value in asked.variables.items():
        made += ["-e", json.dumps({name: value}, ensure_ascii=False)]
    return [*made, *asked.passed, *(["--check"] if asked.check else [])]


def plan(asked: Asked, place: Place, result_file: str = "") -> list[str]:
    """What shows beforehand what would be done: the same with --check, and without replacing the result file of the run itself.
    `result_file` is where its result goes, if anywhere."""
    given = result_file or "result_file" in asked.variables or "-e" in asked.passed
    files = ["-e", json.dumps({"result_file": result_file})] if given else []
    return [*words(asked, place), *files, "--check"]


def is_last(asked: Asked) -> bool:
    """Whether the run is the last one, which may be another by the time that somebody has read the plan."""
    return asked.variables.get("run_id") == LAST


def pinned(asked: Asked, result: bytes) -> Asked:
    """The same for the run that the plan was shown of, where that is the same one on all hosts; `result` is its result file."""
    try:
        results: list[dict[str, t.Any]] = json.loads(result)["results"]
        found = {str(each["move"]["undone"]["run_id"]) for each in results}
    except (ValueError, LookupError, TypeError):
        return asked
    return asked._replace(variables={**asked.variables, "run_id": found.pop()}) if len(found) == 1 else asked


def shown(typed: Sequence[str], settings: Mapping[str, str]) -> str:
    """The command for a screen and for a shell: pasted there it does the same, but for what is secret, which is hidden."""
    before = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    after_e = [_hidden(word) if at and typed[at - 1] == "-e" else word for at, word in enumerate(typed)]
    return " ".join([*before, *(shlex.quote(_visible(word)) for word in after_e)])


def _hidden(word: str) -> str:
    """A value of -e without what is secret."""
    if word.startswith("{"):
        try:
            given: dict[str, t.Any] = json.loads(word)
        except ValueError:
            return HIDDEN
        return json.dumps(_value("", given), ensure_ascii=False)
    return ASSIGNED.sub(lambda found: f"{found[1]}={_value(found[1], found[2])}", word)


def _value(name: str, value: t.Any) -> t.Any:
    if isinstance(value, str) and "dsn" in name:
        return PASSWORD.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", value)
    if SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, dict):
        return {key: _value(key, each) for key, each in t.cast("dict[str, t.Any]", value).items()}
    if isinstance(value, list):
        return [_value(name, each) for each in t.cast("list[t.Any]", value)]
    return value


def _visible(text: str) -> str:
    """With everything that would move a cursor or hide itself as JSON has it, which means the same to Ansible."""
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)
