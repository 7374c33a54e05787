# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what was typed after `scout`: a command, its options, and what is passed on to ansible-playbook as it is."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
import typing as t

from . import options
from .commands import COMMANDS, Command

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The exit code of ansible-playbook itself, and of everything that was mistyped.
WRONG: t.Final = 2
#: How alike a mistyped word and the one that is meant have to be.
ALIKE: t.Final = 0.6
#: Namespaces keep these apart from variables.
PASSED: t.Final = "passed "
COMMAND: t.Final = "the command"
YES: t.Final = "yes "
KINDS: t.Final = {"int": int, "float": float}
WORDS: t.Final = {"int": "a whole number", "float": "a number", "dict": "an object in JSON"}
SINGLE: t.Final = {"str": "TEXT", "path": "FILE", "int": "NUMBER", "float": "NUMBER", "dict": "JSON", "list": "A,B"}
EPILOG: t.Final = (
    "Prints the ansible-playbook command that it runs, and does nothing that this does not do. -e, -i, --limit, --check, "
    "--diff and -v mean what they mean there."
)


class Mistyped(Exception):
    """What was typed is no command of `scout`: what is wrong, and what to type instead."""


class Asked(t.NamedTuple):
    """What was asked for."""

    command: Command
    #: Values of public variables, as they go to the playbook.
    variables: dict[str, t.Any]
    #: Options of ansible-playbook, as they were typed.
    passed: tuple[str, ...]
    #: Only plan.
    check: bool = False
    #: Do not ask.
    yes: bool = False


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving; takes no shortened option, which another one may complete one day."""

    def __init__(self, **settings: t.Any) -> None:
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, **settings)

    @t.override
    def error(self, message: str) -> t.NoReturn:
        raise Mistyped(message)


def parser(commands: Sequence[Command] = COMMANDS) -> argparse.ArgumentParser:
    """Of all commands with all their options."""
    whole = _Parser(prog="scout", description="Commands for the Scout pipeline, each one playbook.", epilog=EPILOG)
    groups: dict[tuple[str, ...], t.Any] = {(): whole.add_subparsers(metavar="COMMAND", required=True)}
    for command in commands:
        group = command.words[:-1]
        if group not in groups:
            there = ", ".join(each.words[1] for each in commands if each.words[:-1] == group)
            more = groups[()].add_parser(group[0], help=there, description=f"scout {group[0]}: {there}")
            groups[group] = more.add_subparsers(metavar="COMMAND", required=True)
        taken = (
            f" {command.takes.upper()}" if command.required else f" [{command.takes.upper()}]" if command.takes else ""
        )
        usage = f"scout {' '.join(command.words)}{taken} [--OPTION …]"
        text = f"{command.help[0].upper()}{command.help[1:]}."
        one = groups[group].add_parser(
            command.words[-1], usage=usage, help=command.help, description=text, epilog=EPILOG
        )
        one.set_defaults(**{COMMAND: command})
        _fill(one, command)
    return whole


def _fill(one: argparse.ArgumentParser, command: Command) -> None:
    known = {option.name: option for option in options.of(command.playbook)}
    if command.takes:
        option = known.pop(command.takes)
        many = None if command.required else "?"
        one.add_argument(option.name, nargs=many, help=_escaped(option.help), metavar=option.name.upper(), type=_text)
    for option in known.values():
        _add(one, option)
    ansible = one.add_argument_group("passed on to ansible-playbook")
    if command.moves:
        one.add_argument("--yes", "-y", dest=YES, action="store_true", help="do not show the plan and ask first")
    ansible.add_argument(
        "--check", "-C", dest=f"{PASSED}check", action="store_true", help="plan only, and change nothing"
    )
    ansible.add_argument("--diff", "-D", dest=f"{PASSED}diff", action="store_true", help="show what changes")
    ansible.add_argument("-v", "--verbose", dest=f"{PASSED}v", action="count", help="say more")
    for flags, about in (
        (("-i", "--inventory"), "the inventory"),
        (("-l", "--limit"), "only these hosts"),
        (("-e", "--extra-vars"), "more variables"),
        (("--vault-id",), "the vault id to use"),
        (("--vault-password-file",), "a file with the vault password"),
    ):
        ansible.add_argument(*flags, dest=f"{PASSED}{flags[0]}", action="append", type=_text, help=about, metavar="X")
    ansible.add_argument("--ask-vault-pass", "-J", dest=f"{PASSED}J", action="store_true", help="ask for it")


def _add(one: argparse.ArgumentParser, option: options.Option) -> None:
    """One public variable as an option; a yes or no as two."""
    about = _escaped(option.help)
    if option.type == "bool":
        one.add_argument(option.typed, dest=option.name, action=argparse.BooleanOptionalAction, help=about)
        return
    metavar = "|".join(option.choices) if option.choices else SINGLE.get(option.type, "TEXT")
    action = "append" if option.type == "list" else "store"
    made = one.add_argument(
        option.typed, dest=option.name, action=action, help=about, metavar=_escaped(metavar), type=_reader(option)
    )
    if option.choices:
        # argcomplete offers them; what is none of them is refused by the reader, in better words.
        setattr(made, "completer", _Completer(option.choices))  # noqa: B010


class _Completer(t.NamedTuple):
    """Offers words to argcomplete, whatever has been typed."""

    words: tuple[str, ...]

    def __call__(self, **_typed: t.Any) -> list[str]:
        return list(self.words)


def _reader(option: options.Option) -> t.Callable[[str], t.Any]:
    """Makes the value of an option from what was typed; argparse names the option before what it says."""

    def read(text: str) -> t.Any:
        value = _text(text)
        if option.choices and value not in option.choices:
            raise argparse.ArgumentTypeError(
                f"{value!r} is none of {', '.join(option.choices)}{_meant(value, option.choices)}"
            )
        kind = option.type if option.type != "list" else ("json" if option.elements == "dict" else "str")
        try:
            if kind in KINDS:
                return KINDS[kind](value)
            if kind == "dict" and not isinstance(made := json.loads(value), dict):
                raise ValueError(made)
            return json.loads(value) if kind in ("dict", "json") else value
        except ValueError:
            said = WORDS.get(kind, "a list in JSON")
            raise argparse.ArgumentTypeError(f"{value!r} is not {said}") from None

    return read


def _text(text: str) -> str:
    """What was typed, where it is text at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{os.fsencode(text)!r} is not UTF-8") from None
    return text


def read(words: Sequence[str], commands: Sequence[Command] = COMMANDS) -> Asked:
    """What was asked for; raises Mistyped, which names the wrong word and the nearest right one, and SystemExit for --help."""
    command = _command(words, commands)
    whole = parser([command] if command else commands)
    try:
        given, left = whole.parse_known_args(list(words))
    except Mistyped as e:
        raise Mistyped(
            f"{e}; scout {' '.join(command.words) if command else ''}".rstrip() + " --help lists the options"
        ) from None
    if command is None:
        raise Mistyped("scout what? scout --help lists the commands")
    if left:
        raise Mistyped(_left_over(left, command))
    values = vars(given)
    values.pop(COMMAND)
    yes = values.pop(YES, False)
    passed = {name.removeprefix(PASSED): values.pop(name) for name in list(values) if name.startswith(PASSED)}
    check = passed.pop("check", False)
    variables = {name: _value(name, value, command) for name, value in values.items() if value is not None}
    return Asked(command, variables, tuple(_passed(passed)), check, yes)


def _command(words: Sequence[str], commands: Sequence[Command]) -> Command | None:
    """The command that is typed first of all; None where only help is asked for."""
    level: tuple[str, ...] = ()
    for word in words:
        if word in ("-h", "--help"):
            return None
        there = sorted({each.words[len(level)] for each in commands if each.words[: len(level)] == level})
        if word not in there:
            what = f"command of scout {level[0]}" if level else "command"
            meant = _meant(word, there)
            raise Mistyped(f"{word!r} is no {what}{meant or f': {", ".join(there)}'}")
        level = (*level, word)
        for each in commands:
            if each.words == level:
                return each
    there = sorted({each.words[len(level)] for each in commands if each.words[: len(level)] == level})
    raise Mistyped(f"{' '.join(('scout', *level))} what? One of {', '.join(there)}")


def _value(name: str, value: t.Any, command: Command) -> t.Any:
    """A list that was given at once is one text, which the playbook splits at commas; one given in several options is a list."""
    option = next(each for each in options.of(command.playbook) if each.name == name)
    if option.type != "list" or not isinstance(value, list):
        return value
    given = t.cast("list[t.Any]", value)
    if option.elements == "dict":
        return [part for each in given for part in (each if isinstance(each, list) else [each])]
    return given[0] if len(given) == 1 else given


def _passed(given: dict[str, t.Any]) -> t.Iterator[str]:
    """The words of what is passed on."""
    for name, value in given.items():
        if name == "diff":
            yield "--diff"
        elif name == "v":
            yield f"-{'v' * value}"
        elif value is True:
            yield f"-{name}"
        else:
            for each in value:
                yield from (name, each)


def _left_over(left: Sequence[str], command: Command) -> str:
    """What is said of words that mean nothing there."""
    name = f"scout {' '.join(command.words)}"
    first = left[0]
    if first.startswith("-") and first != "-":
        typed = first.partition("=")[0]
        there = [each.typed for each in options.of(command.playbook)]
        there += [f"--no-{each.name.replace('_', '-')}" for each in options.of(command.playbook) if each.type == "bool"]
        ends = [each for each in there if each.endswith(typed.removeprefix("-"))]
        meant = f"; did you mean {' or '.join(ends[:3])}?" if ends else _meant(typed, there)
        return f"{typed!r} is no option of {name}{meant}; {name} --help lists them"
    words = " ".join(left)
    quote = f"; quote what belongs together: '… {words}'" if command.takes else ""
    return f"{name} takes no {words!r}{quote}; {name} --help says what it takes"


def _meant(word: str, there: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(there), 1, ALIKE)
    return f"; did you mean {shlex.quote(near[0])}?" if near else ""


def _escaped(text: str) -> str:
    """For argparse, which fills in what stands behind a percent sign."""
    return text.replace("%", "%%")
