# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the roles, each said once: what their `meta/options.yml` say, and what is made of it.

A row is the name of an option, without that of its role, and what its module does not say of it already:

text       what it is for; {public} and {default} stand for what the row says of them
public     the short word of the public variable that its default takes; one that begins with scout_ has no other name
default    where it is another than the module's, or there is no module
template   the default, where it is neither
option     what its modules call it, where that differs
in         the files of tasks, or the modules, that take it, where not all that know it do
type, elements, choices, no_log, required    as in argument specs, where they are others than the module's, or empty

An empty row is the one of that name in `meta/options.yml` of the collection, which several roles have.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT, ROOT / "drills")
HEAD = "---\n# Made by scripts/docs from meta/options.yml.\n"
#: What the front reads.
HANDED_ON = ROOT / "plugins" / "plugin_utils" / "handed_on.json"
TASK = re.compile(r"(scout\.(?:recovery|drills))\.(scout_\w+)")
#: How a public variable begins that is called the same wherever it is set.
LONG = "scout_"
EMPTY: dict[str, Any] = {"str": "", "path": "", "list": [], "dict": {}}
COPIED = ("type", "elements", "choices", "no_log")
TEXT_WIDTH = 110

Row = dict[str, Any]


class Dumper(yaml.SafeDumper):
    """As the other files are written: long texts folded, lists on one line, one anchor for options that entry points share."""

    def generate_anchor(self, node: Any) -> str:
        """Its name."""
        return super().generate_anchor(node).replace("id00", "options")

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Lists stand within what they belong to, as yamllint wants them."""
        super().increase_indent(flow, indentless=False)


def _text(dumper: Dumper, text: str) -> Any:
    long = "\n" in text or (len(text) > TEXT_WIDTH - 6 and "{{" not in text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=">" if long else None if text else '"')


def _list(dumper: Dumper, value: list[Any]) -> Any:
    short = len(str(value)) < TEXT_WIDTH - 16 and not any(isinstance(each, (dict, list)) for each in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=short)


Dumper.add_representer(str, _text)
Dumper.add_representer(list, _list)


class Call(NamedTuple):
    """A module in a file of tasks, and the options that the task gives it itself."""

    file: str
    module: str
    collection: str
    given: frozenset[str]

    @property
    def spec(self) -> dict[str, Any]:
        """Its options."""
        return spec(self.collection, self.module)


@functools.cache
def spec(collection: str, module: str) -> dict[str, Any]:
    """The options of a module."""
    return importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{module}").SPEC


class Role:
    """A role, as its `meta/options.yml` has it."""

    def __init__(self, folder: Path, read: Callable[[Path], Any]) -> None:
        """What `read` gives for its files."""
        self.folder, self.name = folder, folder.name
        said, shared = read(folder / "meta" / "options.yml"), read(ROOT / "meta" / "options.yml")
        self.entries: dict[str, Row] = said["entries"]
        self.rows: dict[str, Row] = {name: row or shared[name] for name, row in (said.get("options") or {}).items()}
        self.calls = [call for file in sorted(folder.glob("tasks/*.yml")) for call in calls(file.stem, read(file))]

    def variable(self, name: str) -> str:
        """What people call an option of it."""
        return f"{self.name}_{name}"

    def of_module(self, name: str) -> Row:
        """What the first module that knows the option says of it."""
        return next((call.spec[option] for call in self.calls if (option := self.taken(call, name))), {})

    def default(self, name: str) -> Any:
        """What it is where nobody sets it; a template where a person can set it by another name."""
        row, value = self.rows[name], self.value(name)
        if "template" in row:
            return row["template"]
        if public := row.get("public"):
            said = f"{public} | default({jinja(value)})"
            return f"{{{{ {said} }}}}" if public.startswith(LONG) else (
                f"{{{{ lookup('scout.recovery.setting', '{public}', default={jinja(value)}) }}}}"
            )  # fmt: skip
        return value

    def value(self, name: str) -> Any:
        """What it is in the end."""
        row, module = self.rows[name], self.of_module(name)
        if "default" in row:
            return row["default"]
        found = module.get("default")
        if found is None:
            return EMPTY.get(row.get("type") or module.get("type", ""))
        # As a person writes it: 30, and not 30.0.
        return int(found) if isinstance(found, float) and found.is_integer() else found

    def option(self, name: str) -> Row:
        """Its argument spec."""
        row, module = self.rows[name], self.of_module(name)
        text = row["text"].replace("{public}", f"the public variable {row.get('public')}")
        made: Row = {"description": text.replace("{default}", jinja(self.value(name)).strip("'"))}
        made |= {part: row.get(part, module.get(part)) for part in COPIED if row.get(part, module.get(part))}
        if "choices" in module and self.value(name) == "" and not module.get("required"):
            # None, as the front hands it on.
            made["choices"] = ["", *module["choices"]]
        if row.get("required"):
            made["required"] = True
        elif not {"public", "template"} & row.keys():
            made["default"] = self.value(name)
        # Without what a module's own specification shares with it.
        return json.loads(json.dumps(made))

    def defaults(self) -> dict[str, Any]:
        """What `defaults/main.yml` has."""
        return {self.variable(name): self.default(name) for name in self.rows if not self.rows[name].get("required")}

    def specs(self) -> dict[str, Row]:
        """What `meta/argument_specs.yml` has; entry points with the same options share them."""
        every = {self.variable(name): self.option(name) for name in self.rows}
        made: dict[str, Row] = {}
        for name, entry in self.entries.items():
            made[name] = {"short_description": entry["short"], "description": entry["text"]}
            named = entry.get("options", list(self.rows))
            own = every if len(named) == len(every) else {each: every[each] for each in map(self.variable, named)}
            made[name] |= {"options": own} if own else {}
        return made

    def handed_on(self) -> dict[str, dict[str, dict[str, str]]]:
        """By file of tasks and module, the variable for each option that the task leaves to the role."""
        made: dict[str, dict[str, dict[str, str]]] = {}
        for call in self.calls:
            taken = [
                (option, name) for name in self.rows if (option := self.taken(call, name)) and option not in call.given
            ]
            found = {option: self.variable(name) for option, name in taken}
            assert len(found) == len(taken), (self.name, call, taken)
            if found:
                known = made.setdefault(f"{self.name}/{call.file}", {}).setdefault(call.module, found)
                # Of two tasks with one module each leaves the same to the role.
                assert known == found, (self.name, call, known, found)
        return made

    def taken(self, call: Call, name: str) -> str:
        """What the module calls the option, empty where it does not take it."""
        row = self.rows[name]
        if "in" in row:
            takes = {call.file, call.module} & set(row["in"])
        else:
            takes = name in self.entries.get(call.file, {}).get("options", self.rows)
        option = row.get("option", name)
        return next(
            (each for each in ([option] if isinstance(option, str) else option) if takes and each in call.spec), ""
        )


def calls(file: str, value: Any) -> Iterator[Call]:
    """Every call of one of our modules, also within blocks."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if found := TASK.fullmatch(str(name)):
                yield Call(file, found[2], found[1], frozenset(inner or {}))
            yield from calls(file, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from calls(file, inner)


def load(path: Path) -> Any:
    """A YAML file's content."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def roles(read: Callable[[Path], Any] = load) -> list[Role]:
    """All roles of both collections."""
    found = (file.parent.parent for root in FOLDERS for file in sorted(root.glob("roles/*/meta/options.yml")))
    return [Role(folder, read) for folder in found]


@functools.cache
def files() -> dict[Path, str]:
    """Each file that is made of the rows, with the text that it ought to have."""
    made: dict[Path, str] = {}
    handed_on: dict[str, Any] = {}
    for role in roles():
        made[role.folder / "defaults" / "main.yml"] = (
            HEAD + dumped(role.defaults(), 1000) if role.rows else f"{HEAD}{{}}\n"
        )
        made[role.folder / "meta" / "argument_specs.yml"] = HEAD + dumped({"argument_specs": role.specs()}, TEXT_WIDTH)
        handed_on |= role.handed_on()
    return {**made, HANDED_ON: json.dumps(handed_on, indent=1) + "\n"}


def dumped(value: Any, width: int) -> str:
    """As YAML."""
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, width=width, allow_unicode=True)
    return re.sub(r"'(\{\{ .* \}\})'", lambda found: '"' + found[1].replace("''", "'") + '"', text)


def jinja(value: Any) -> str:
    """A plain value as an expression has it."""
    if isinstance(value, str):
        return f"'{value}'"
    return "none" if value is None else json.dumps(value)
