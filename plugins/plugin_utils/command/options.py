# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a command: the public variables of its playbook, as the roles specify them."""

from __future__ import annotations

import functools
import re
import typing as t
from pathlib import Path

import yaml

#: The collection that this is a part of.
ROOT: t.Final = Path(__file__).resolve().parents[3]
#: What a default takes from whoever calls.
PUBLIC: t.Final = re.compile(r"\{\{ lookup\('scout\.recovery\.setting', '((?!scout_)[a-z]\w+)'")
#: The roles whose options a playbook checks before it begins.
ROLES: t.Final = re.compile(r"preflight_roles:\s+(?:>-\s+)?(?:\{\{ )?\[([^\[\]]{1,2000})\]")
#: Roles that are a whole operation, and check options themselves.
WHOLE: t.Final = re.compile(r"name: scout\.recovery\.(emergency_reset|move|rollback)$", re.MULTILINE)
MOVE_ROLE: t.Final = re.compile(r"move_role: (\w+)")
#: What a description says of the variable, which here is the option itself.
SAID: t.Final = re.compile(r"; the public variable (?:\w+|of that name)(?:, or ((?:[^.;,]|\.(?=\d))+))?(?=[.,;]|$)")
#: A playbook of the drills has only the name of its own.
ELSEWHERE: t.Final = re.compile(r"import_playbook: scout\.drills\.(\w+)")


class Option(t.NamedTuple):
    """A public variable."""

    name: str
    #: str, int, float, bool, list, dict, path or raw.
    type: str = "str"
    elements: str = "str"
    choices: tuple[str, ...] = ()
    help: str = ""

    @property
    def typed(self) -> str:
        """How it is typed: --window-start."""
        return f"--{self.name.replace('_', '-')}"


#: What every playbook takes, and no role.
COMMON: t.Final = (
    Option("target", help="host or group of the inventory to act on"),
    Option("scout_dsn", help="the database, without a password"),
    Option("scout_cron_dsn", help="the database with pg_cron, if another one"),
    Option("incident", help="what it is done for [adhoc]"),
    Option("ledger", choices=("required", "auto", "off"), help="whether the ledger is needed [auto]"),
    Option("takeover", "bool", help="take the lease, or the pause, from whoever holds it"),
    Option("allow_superuser", "bool", help="work as a superuser"),
    Option("allow_owner", "bool", help="work as the pipeline's owner, who may more than an operator"),
    Option("allow_shared_database", "bool", help="let two hosts of the inventory work on one database"),
    Option("require_tls", "bool", help="refuse a server that is not verified"),
)


@functools.cache
def of(playbook: str, root: Path = ROOT) -> tuple[Option, ...]:
    """The options of a playbook, those of its own role first; none that is secret, which a list of processes would show."""
    text = (root / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
    if found := ELSEWHERE.search(text):
        # Where drills are not installed, their playbooks still take what all take.
        own = _drills(root)
        if own is None:
            return COMMON
        text = (own / "playbooks" / f"{found[1]}.yml").read_text(encoding="utf-8")
    options: dict[str, Option] = {}
    for role in _roles(text, root):
        for option in _of_role(role, text, root):
            options.setdefault(option.name, option)
    for name in PUBLIC.findall(text):
        options.setdefault(name, Option(name, "path" if name.endswith("_file") else "str"))
    for option in COMMON:
        options.setdefault(option.name, option)
    return tuple(options.values())


def _drills(root: Path) -> Path | None:
    """Where the collection scout.drills is: in the checkout, or installed beside this one."""
    for folder in (root / "drills", root.parent / "drills"):
        if (folder / "playbooks").is_dir():
            return folder
    return None


def _roles(text: str, root: Path) -> list[str]:
    """The roles of a playbook, by their names in it."""
    for whole in WHOLE.findall(text):
        text += "".join(
            path.read_text(encoding="utf-8") for path in sorted((root / "roles" / whole / "tasks").glob("*.yml"))
        )
    moving = MOVE_ROLE.search(text)
    named = [name.strip(" '\n") for found in ROLES.findall(text) for name in found.split(",")]
    return [moving[1] if name == "move_role" and moving else name for name in named]


def _of_role(name: str, playbook: str, root: Path) -> t.Iterator[Option]:
    """The public variables of a role; where the playbook names its entry points, of these alone."""
    collection, _, role = name.rpartition(".")
    base = _drills(root) if collection == "scout.drills" else root
    folder = (base or root) / "roles" / role
    entries: dict[str, t.Any] = _read(folder / "meta" / "argument_specs.yml")["argument_specs"]
    defaults: dict[str, t.Any] = _read(folder / "defaults" / "main.yml")
    named = re.findall(rf"name: [\w.]*\.{role}\n\s+tasks_from: (\w+)\.yml", playbook)
    chosen = [entry for point, entry in entries.items() if point in named] or list(entries.values())
    for entry in chosen:
        for variable, spec in (entry.get("options") or {}).items():
            public = PUBLIC.match(str(defaults.get(variable, "")))
            if public and not spec.get("no_log"):
                yield _option(public[1], spec)


def _option(name: str, spec: dict[str, t.Any]) -> Option:
    about = spec["description"]
    text = " ".join([about] if isinstance(about, str) else about)
    choices = tuple(str(each) for each in spec.get("choices", ()) if each != "")
    return Option(name, spec.get("type", "str"), spec.get("elements", "str"), choices, _help(text))


def _help(text: str) -> str:
    """A description for somebody who types: `How long to wait, in seconds [60]`."""
    return SAID.sub(lambda found: f" [{found[1]}]" if found[1] else "", text).rstrip(".")


@functools.cache
def _read(path: Path) -> dict[str, t.Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), loader) or {}
