# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is otherwise where a person types nothing here: in the private folder of a worker of ansible-runner, or in a job of AWX."""

from __future__ import annotations

import functools
import json
import os
import re
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

from ..module_utils.recovery.core import place
from ..module_utils.recovery.core.advice import Jobs
from . import command_line

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: How receptor or AWX starts a worker: the program, and among its arguments the word.
PROGRAM: t.Final = b"ansible-runner"
WORD: t.Final = b"worker"
#: Between the controller and it there may be a shell, or whatever counts processes in a container.
GENERATIONS: t.Final = 6
#: What a controller of automation adds to the variables of a job.
ADDED: t.Final = ("awx_", "tower_")
TITLE: t.Final = re.compile(r"^- name: (.*)$", re.MULTILINE)


@functools.cache
def is_worker() -> bool:
    """Whether `ansible-runner worker` started this, whose folder nobody knows where the command is typed."""
    pid = os.getppid()
    for _ in range(GENERATIONS):
        try:
            if starts_worker(Path(f"/proc/{pid}/cmdline").read_bytes()):
                return True
            pid = int(
                Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1]
            )
        except (OSError, ValueError, IndexError):
            return False
    return False


def starts_worker(line: bytes) -> bool:
    """Whether a command line as /proc has it starts a worker."""
    words = line.split(b"\0")
    at = next((at for at, word in enumerate(words) if word.rpartition(b"/")[2] == PROGRAM), len(words))
    return WORD in words[at:]


def typed(words: Sequence[str]) -> list[str]:
    """The words of a command line without what is in the private folder of a worker: its inventory, and its file of variables,
    in place of which they themselves stand. All of them where this is no worker."""
    folder = place.artifacts()
    if folder is None or not is_worker():
        return list(words)
    private = folder.parent.parent.resolve()
    return [word for option in command_line.options(words) for word in _without(option, private)]


def _without(option: command_line.Option, private: Path) -> Iterator[str]:
    named = (option.value or "").removeprefix("@")
    if not named.startswith("/") or not Path(named).resolve().is_relative_to(private):
        yield from option.words
    elif option.name == command_line.EXTRA_VARS:
        if given := _variables(named):
            yield from (command_line.EXTRA_VARS, json.dumps(given, ensure_ascii=False))
    elif not option.name:
        yield (
            str(Path(named).resolve().relative_to(private / "project"))
            if "project" in Path(named).parts
            else Path(named).name
        )


def _variables(path: str) -> dict[str, t.Any]:
    try:
        found: t.Any = DataLoader().load_from_file(path)
    except AnsibleError:
        return {}
    given = t.cast("dict[str, t.Any]", found) if isinstance(found, dict) else {}
    return {name: value for name, value in given.items() if not name.startswith(ADDED)}


def jobs(playbooks: Path, called: Sequence[str]) -> Jobs | None:
    """How a playbook is started in AWX: by the name of its template, which for the one that was called is the template of this
    job, and for others that of deploy/awx. None where this is no job of AWX."""
    try:
        given: t.Any = load_extra_vars(DataLoader())
    except AnsibleError:
        return None
    name = given.get("awx_job_template_name") or given.get("tower_job_template_name")
    if not name:
        return None
    names = {
        path.stem: f"Scout: {found[1]}" for path in playbooks.glob("*.yml") if (found := TITLE.search(path.read_text()))
    }
    return Jobs({**names, **dict.fromkeys(called, str(name))})
