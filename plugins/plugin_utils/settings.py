# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people set. The short words, as `last` and `force`, are for the command line and for whoever writes a play; in an inventory
they may be anybody's, so there a variable of ours is called `scout_` and its word."""

from __future__ import annotations

import contextlib
import inspect
import re
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.playbook.task import Task
from ansible.utils.unsafe_proxy import wrap_var  # pyright: ignore[reportUnknownVariableType]
from ansible.utils.vars import load_extra_vars

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: How the variables begin that an inventory has for this collection.
PREFIX: t.Final = "scout_"
#: Where a playbook or a role reads one.
READ: t.Final = re.compile(r"lookup\('scout\.recovery\.setting', '(\w+)'")
#: These bear the name of a role, as the options of that role do, which an inventory sets as they are; so are these.
OF_A_ROLE: t.Final = frozenset(
    {
        "application_rollback_enabled",
        "ingestion_jobs",
        "notify_recoveries",
        "schema_rollback_enabled",
    }
)


def long(name: str) -> str:
    """What a variable is called in an inventory."""
    return name if name.startswith(PREFIX) else f"{PREFIX}{name}"


def find(name: str, variables: Mapping[str, t.Any], loader: t.Any) -> str | None:
    """The name of the variable that says it, None where none does: what was typed, then what a play or a task says, then
    scout_ and the word, wherever that stands."""
    typed: Mapping[str, t.Any] = load_extra_vars(loader)
    for each in (name, long(name)):
        if each in typed:
            return each
    if name in variables and (name.startswith(PREFIX) or name in OF_A_ROLE or _says(name, variables, loader)):
        return name
    return long(name) if long(name) in variables else None


def value(name: str, variables: Mapping[str, t.Any], templar: t.Any, loader: t.Any, default: t.Any) -> t.Any:
    """What was set, else `default`. What was typed is data: nothing of it is a template. Raises AnsibleError for a template of
    an inventory or a play that cannot be used."""
    found = find(name, variables, loader)
    if found is None:
        return default
    typed: Mapping[str, t.Any] = load_extra_vars(loader)
    if found not in typed:
        return decrypted(templar.template(variables[found]))
    given = typed[found]
    # Without the mark by which Ansible takes a text for a template.
    return "".join(given) if isinstance(given, str) else wrap_var(given)


def decrypted(value: t.Any) -> t.Any:
    """The value, and all that is in it, as text where Ansible before 2.19 hands on what a vault has encrypted. Raises
    AnsibleError without the vault's password."""
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, list):
        return [decrypted(each) for each in t.cast("list[t.Any]", value)]
    if isinstance(value, dict):
        return {name: decrypted(each) for name, each in t.cast("dict[str, t.Any]", value).items()}
    return value


def unread(names: Iterable[str], variables: Mapping[str, t.Any], loader: t.Any) -> str:
    """A warning that names each of these words that an inventory has, where nothing else says what it should be; empty where
    there is none."""
    found = [name for name in sorted(set(names) & variables.keys()) if find(name, variables, loader) is None]
    if not found:
        return ""
    words = ", ".join(f"{name}{_where(name, variables)}" for name in found)
    ours = ", ".join(map(long, found))
    if len(found) == 1:
        return f"{words} sets nothing: in an inventory it is called {ours}, which ends this warning"
    return f"{words} set nothing: in an inventory they are called {ours}, which end this warning"


def _says(name: str, variables: Mapping[str, t.Any], loader: t.Any) -> bool:
    """Whether a play or a task, and no inventory, gives the variable that word. Ansible hands a template all variables at once."""
    task = _at_work()
    manager = getattr(variables.get("hostvars"), "_variable_manager", None)
    if task is None or manager is None:
        return False
    host = variables.get("inventory_hostname", "")
    play, role = task.get_play(), task._role
    sources: list[Mapping[str, t.Any]] = [play.get_vars(), task.get_vars(), task.get_include_params()]
    # What include_vars has read, and what set_fact and register have kept.
    sources += [manager._vars_cache.get(host) or {}, manager._nonpersistent_fact_cache.get(host) or {}]
    if role is not None:
        chain = task.get_dep_chain()
        sources += [role.get_vars(chain, include_params=False), role.get_role_params(chain)]
    return any(name in each for each in sources) or any(name in each for each in _files(play, variables, loader))


def _at_work() -> t.Any:
    """The task that something is templated for, which Ansible tells no plugin for templates."""
    frame = inspect.currentframe()
    while frame is not None:
        here = frame.f_locals
        for each in (here.get("task"), here.get("original_task"), getattr(here.get("self"), "_task", None)):
            if isinstance(each, Task):
                return each
        frame = frame.f_back
    return None


def _files(play: t.Any, variables: Mapping[str, t.Any], loader: t.Any) -> Iterator[Mapping[str, t.Any]]:
    """What the vars_files of a play say: of each list the first that is there."""
    from ansible.template import Templar

    for item in play.get_vars_files():
        for file in item if isinstance(item, list) else [item]:
            with contextlib.suppress(AnsibleError):
                name = Templar(loader=loader, variables=dict(variables)).template(file)
                found = loader.path_dwim_relative_stack(play.get_search_path(), "vars", name)
                yield loader.load_from_file(found) or {}
                break


def _where(name: str, variables: Mapping[str, t.Any]) -> str:
    """The file that it stands in, in brackets, where Ansible knows it; a yes or no has its place from its name."""
    key = next(each for each in variables if each == name)
    for each in (variables[name], key):
        if place := _place(each):
            return f" ({place})"
    return ""


def _place(text: t.Any) -> str:
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        # Before ansible-core 2.19.
        path, line, _ = getattr(text, "ansible_pos", None) or ("", 0, 0)
    else:
        origin = Origin.get_tag(text)
        path, line = (origin.path, origin.line_num) if origin else ("", 0)
    shown = str(path or "").removeprefix(f"{Path.cwd()}/")
    return f"{shown}:{line}" if shown and line else shown
