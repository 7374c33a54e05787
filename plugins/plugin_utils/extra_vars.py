# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables a person can give with -e. Ansible ignores a mistyped one, and what was to be narrowed down is not."""

from __future__ import annotations

import difflib
import functools
import re
import typing as t
from pathlib import Path

from ansible.module_utils.parsing.convert_bool import boolean  # pyright: ignore[reportUnknownVariableType]
from ansible.utils.unsafe_proxy import wrap_var  # pyright: ignore[reportUnknownVariableType]
from ansible.utils.vars import load_extra_vars

from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.invoke import is_placeholder
from . import settings, task_options
from .settings import PREFIX

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: The collections whose playbooks and roles read what is typed: this one, and who said so.
ROOTS = [Path(__file__).resolve().parents[2]]
#: Where a playbook or a role reads a variable.
EXPRESSION = re.compile(r"\{\{((?:[^{}]|\{(?!\{)|\}(?!\}))*+)\}\}")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
NAME = re.compile(r"(?<![\w.])[a-z]\w*")
#: An option of a role, in its defaults and in its specification.
OPTION = re.compile(r"^(?:      )?([a-z]\w*):", re.MULTILINE)
SWITCH = re.compile(
    r"'([a-z]\w*)', default=(?:true|false)\)|\bscout_([a-z]\w*) \| default\((?:true|false)\)|^([a-z]\w*): (?:true|false)$",
    re.MULTILINE,
)
#: What playbooks hand to their roles, or remember: the names in these blocks, and what a task registers.
BLOCK = re.compile(r"^( *)(?:vars|ansible\.builtin\.set_fact):\n((?:\1  .*\n|\n)+)", re.MULTILINE)
REGISTERED = re.compile(r"^ *register: (\w+)$", re.MULTILINE)
KEY = re.compile(r"^( *)(\w+):", re.MULTILINE)
#: An option of a role that takes what a person sets.
TAKES = re.compile(r"^([a-z]\w*):.*\{\{ *(?:\w+ \||lookup\('scout\.recovery\.setting')", re.MULTILINE)
#: The variable by which two hosts may work on one database.
ALLOW = "allow_shared_database"
#: Keywords of a play take these, which therefore count only with -e; in an inventory they would be ignored.
OF_A_PLAY = ("scout_serial", "scout_max_fail_percentage")
#: Read by plugins, as they stand; and what AWX hands from one job of a workflow to the next.
READ_ELSEWHERE = (
    frozenset({"scout_drill_target", "scout_results", "target", "_raw_params", ALLOW, *OF_A_PLAY})
    | task_options.names()
)
#: What other tools call a check.
MEANS_CHECK = frozenset({"check", "check_mode", "dry_run", "dryrun"})
#: What a person may call ours who has not looked it up.
OTHERWISE = {
    "dsn": "scout_dsn",
    "pguri": "scout_dsn",
    "password": "scout_password",
    "start": "window_start",
    "since": "window_start",
    "end": "window_end",
    "until": "window_end",
    "note": "text",
}
#: What Ansible reads itself, and what AWX adds to every job.
OF_OTHERS = ("ansible_", "awx_", "tower_")
SHORTEST_BEGINNING = 5
#: How alike a variable of an inventory is to one of ours that is meant, without what all of them begin with.
ALIKE = 0.85


def read_also(root: Path) -> None:
    """Counts what the playbooks and roles of another collection read, which depends on this one."""
    if (root := root.resolve()) not in ROOTS:
        ROOTS.append(root)
        for names in (known, public, switches, internal):
            names.cache_clear()


def _files(*patterns: str) -> list[Path]:
    """The files of all collections that match a pattern."""
    found = (file for root in ROOTS for pattern in patterns for file in root.glob(pattern))
    # What is made of these is read.
    return [file for file in found if file.name != "options.yml"]


@functools.cache
def public() -> frozenset[str]:
    """The short words: names that a person sets with -e, and in an inventory with scout_ before them."""
    files = _files("playbooks/*.yml", "roles/*/*/*.yml")
    read = {name for file in files for name in settings.READ.findall(file.read_text(encoding="utf-8"))}
    return frozenset(name for name in read | task_options.names() if not name.startswith((PREFIX, "_")))


@functools.cache
def known() -> tuple[frozenset[str], frozenset[str]]:
    """Names that a person sets, some words among them that are no variables, and names of the roles' own options."""
    read, options = {*READ_ELSEWHERE, *public(), *map(settings.long, public())}, set[str]()
    for file in _files("playbooks/*.yml", "roles/*/*/*.yml"):
        text = file.read_text(encoding="utf-8")
        for expression in EXPRESSION.findall(text):
            read.update(NAME.findall(QUOTED.sub("", expression)))
        if file.parent.name in ("defaults", "meta"):
            options.update(OPTION.findall(text))
    return frozenset(read - options), frozenset(options)


@functools.cache
def switches() -> frozenset[str]:
    """Names of what is on or off, as the roles' defaults say."""
    texts = (file.read_text(encoding="utf-8") for file in _files("roles/*/defaults/main.yml"))
    found = {name for text in texts for names in SWITCH.findall(text) for name in names if name}
    return frozenset(found | {settings.long(name) for name in found & public()} | {ALLOW})


def ours(folder: str) -> bool:
    """Whether the playbooks of a folder are those of a collection."""
    return Path(folder).resolve() in [root / "playbooks" for root in ROOTS]


@functools.cache
def internal() -> frozenset[str]:
    """Names that playbooks and roles set themselves: what one step tells another, and what makes an operation what it is."""
    names, taken = set[str](), set[str]()
    for file in _files("playbooks/*.yml", "roles/*/tasks/*.yml"):
        text = file.read_text(encoding="utf-8")
        names.update(REGISTERED.findall(text))
        for indent, block in BLOCK.findall(text):
            names.update(name for deep, name in KEY.findall(block) if len(deep) == len(indent) + 2)
    for file in _files("roles/*/vars/main.yml"):
        names.update(OPTION.findall(file.read_text(encoding="utf-8")))
    for file in _files("roles/*/defaults/main.yml"):
        taken.update(TAKES.findall(file.read_text(encoding="utf-8")))
    return frozenset(name for name in names - taken if not name.startswith(OF_OTHERS))


def as_data(loader: t.Any) -> dict[str, t.Any]:
    """What was given with -e, on the command line or in a file, by name. From now on nothing of it is a template, for any
    play: braces in the id of an event, in the name of a release or in a password are braces. Raises BadInput for a name
    that only a playbook gives."""
    typed: dict[str, t.Any] = load_extra_vars(loader)
    for name in sorted(typed):
        if name in internal() or name.endswith("_result"):
            raise BadInput(f"{name} cannot be set: a playbook sets it itself", next_step=f"leave out {name}")
    # Ansible has one dictionary of them, and merges it anew for each task.
    typed.update({name: wrap_var(value) for name, value in typed.items()})
    return typed


def check(given: Iterable[str]) -> list[str]:
    """Refuses a name that is nearly one of ours, or stands for one; says of any other that nothing here reads it."""
    read, options = known()
    unknown = sorted(name for name in given if name not in read | options and not name.startswith(OF_OTHERS))
    for name in unknown:
        plain = name.lower().replace("-", "_")
        meant = _near(plain)
        if plain in MEANS_CHECK or meant:
            advice = f"did you mean {' or '.join(meant)}? docs/variables.md lists them all"
            if plain in MEANS_CHECK:
                advice = "use --check instead: a dry run that writes nothing and shows what would be done"
            raise BadInput(f"{name!r} is not a variable of this toolkit, and would be ignored", next_step=advice)
    return [f"no playbook reads the variable {name!r}" for name in unknown]


def refuse_misspelt(names: Iterable[str], host: str) -> None:
    """Refuses a variable of a host that is nearly one of ours that begin with scout_: nothing would read it, and the host would
    work on a database that it does not name. One that only goes on where ours ends, scout_dsn_replica, is the inventory's."""
    ours = {name for name in known()[0] if name.startswith(PREFIX)}
    # Short words would all be alike with what they begin with.
    short = public() | {name.removeprefix(PREFIX) for name in OF_A_PLAY}
    own = sorted(ours - set(map(settings.long, short)))
    for name in sorted(names):
        if name in OF_A_PLAY:
            raise BadInput(
                f"host {host} has the variable {name}, which Ansible reads before it knows any host",
                next_step=f"remove it from the inventory, and type -e {name}=… for each run",
            )
        plain = name.lower().replace("-", "_")
        if name in ours or not plain.startswith(PREFIX) or any(plain.startswith(f"{each}_") for each in ours):
            continue
        words = difflib.get_close_matches(plain.removeprefix(PREFIX), sorted(short), 1, ALIKE)
        if meant := [settings.long(word) for word in words] or difflib.get_close_matches(plain, own, 1, 0.8):
            raise BadInput(
                f"host {host} has the variable {name}, which nothing reads",
                next_step=f"did you mean {meant[0]}? Correct it in the inventory, and run the same command again",
            )


def is_yes(value: t.Any) -> bool:
    """Whether a switch that was typed is on; BadInput where it is neither."""
    refuse_unclear({ALLOW: value}, [ALLOW])
    return bool(boolean(value))


def refuse_placeholders(given: Mapping[str, t.Any]) -> None:
    """Refuses a value that was copied from a page as it stands there: `text='…'`."""
    for name in sorted(given):
        if is_placeholder(given[name]):
            raise BadInput(
                f"{name} is only a placeholder: {str(given[name])[:80]!r}",
                next_step=f"give {name} instead of …, and run the same command again",
            )


def refuse_unclear(variables: Mapping[str, t.Any], typed: Collection[str] = ()) -> None:
    """Refuses a switch that is neither on nor off: Ansible takes `ture` for no. A template of an inventory is seen later,
    and so is a short word of a play; one of an inventory is nobody's affair."""
    for name in sorted(switches() & variables.keys() - (public() - settings.OF_A_ROLE - set(typed))):
        value = variables[name]
        if isinstance(value, str) and "{{" in value and name not in typed:
            continue
        try:
            boolean(value)
        except TypeError:
            raise BadInput(
                f"{name} {str(value)[:80]!r} is not a yes or no",
                next_step="correct it and run the same command again",
            ) from None


def _near(name: str) -> list[str]:
    """What somebody may have meant: those that go on where this one ends, or else the likest name."""
    if name in OTHERWISE:
        return [OTHERWISE[name]]
    read, options = known()
    if name in read | options:
        return [name]
    if len(name) >= SHORTEST_BEGINNING and (longer := [each for each in read if each.startswith(f"{name}_")]):
        return sorted(longer, key=lambda each: (len(each), each))[:3]
    return difflib.get_close_matches(name, sorted(read), 1, 0.8) or difflib.get_close_matches(
        name, sorted(options), 1, 0.8
    )
