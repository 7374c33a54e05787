# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of ansible-playbook: its options as they were typed, and those that the next command needs as well."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.utils.yaml import from_yaml

from ..module_utils.recovery.postgres.driver import conninfo, import_error, psycopg
from . import stray_words

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Short options: those that stand alone, and those with a value.
ALONE: t.Final = "vCDbkKJ"
VALUED: t.Final = "iecuflMtT"
CLUSTER: t.Final = re.compile(rf"-([{ALONE}]*)(?:([{VALUED}])(.*))?", re.DOTALL)
#: What is another way to write an option, by its long name.
SPELLINGS: t.Final = {
    "--inventory": "-i",
    "--inventory-file": "-i",
    "--extra-vars": "-e",
    "--limit": "-l",
    "--user": "-u",
    "--become": "-b",
    "--ask-become-pass": "-K",
    "--ask-pass": "-k",
    "--ask-vault-pass": "-J",
    "--ask-vault-password": "-J",
    "--vault-pass-file": "--vault-password-file",
    "--key-file": "--private-key",
}
#: How secrets and hosts are reached, which no playbook can know: without a value, and with one.
REACH_ALONE: t.Final = ("-b", "-k", "-K", "-J")
REACH_VALUED: t.Final = (
    *("--vault-id", "--vault-password-file", "-u", "--private-key", "--become-method", "--become-user"),
    *("--become-password-file", "--connection-password-file"),
)
LONG: t.Final = frozenset({*SPELLINGS, *REACH_VALUED} - {"-u"})
#: How the database is reached: without it the next command works on another one, or is refused.
REACH_NAMES: t.Final = frozenset(
    {
        *("scout_dsn", "scout_cron_dsn", "scout_password", "scout_contract"),
        *("allow_superuser", "scout_allow_superuser", "require_tls", "scout_require_tls"),
        *("allow_owner", "scout_allow_owner"),
    }
)
DSNS: t.Final = ("scout_dsn", "scout_cron_dsn")
#: What stands on no screen; whoever types the command again has it elsewhere, or gives it again.
SECRET: t.Final = re.compile(r"password|passwd|token|secret|urls", re.IGNORECASE)
#: One within an address.
PASSWORD: t.Final = re.compile(r"://[^/@\s]*:[^/@\s]*@|password\s*=", re.IGNORECASE)
EXTRA_VARS: t.Final = "-e"
PLAIN: t.Final = (str, int, float, list, dict, type(None))


class Option(t.NamedTuple):
    """An option by its shortest usual name, with its value, None where it has none, and the words by which it was given; any
    other word has no name."""

    name: str
    value: str | None
    words: tuple[str, ...]


def options(words: Iterable[str]) -> Iterator[Option]:
    """The words of a command line after the program, whichever way an option and its value are written."""
    left = iter(words)
    for word in left:
        if word.startswith("--"):
            typed, equals, value = word.partition("=")
            name = _long(typed)
            if not name:
                yield Option("", word, (word,))
            elif name in REACH_ALONE:
                yield Option(name, None, (word,))
            elif equals:
                yield Option(name, value, (word,))
            else:
                more = tuple(itertools.islice(left, 1))
                yield Option(name, "".join(more), (word, *more))
        elif len(word) > 1 and (found := CLUSTER.fullmatch(word)):
            alone, last, value = found.groups()
            yield from (Option(f"-{letter}", None, () if at else (f"-{alone}",)) for at, letter in enumerate(alone))
            if last:
                more = () if value else tuple(itertools.islice(left, 1))
                yield Option(f"-{last}", value or "".join(more), (f"-{last}{value}", *more))
        else:
            yield Option("", word, (word,))


def _long(typed: str) -> str:
    """The name of a long option, which may be written by its beginning; empty for one that is not asked for here."""
    whole = (
        typed
        if typed in LONG
        else next((each for each in sorted(LONG) if len(typed) > 3 and each.startswith(typed)), "")
    )
    return SPELLINGS.get(whole, whole)


def reach(words: Sequence[str]) -> str:
    """What of a command line the next command needs as well to reach the same database, as ` --vault-id prod@prompt
    -e scout_dsn=…`; no secret is in it. A file of variables is named where it holds one."""
    made: list[str] = []
    for name, value, _ in options(words):
        if name in REACH_ALONE:
            made.append(f" {name}")
        elif name in REACH_VALUED and value and not value.startswith("-"):
            made.append(f" {name} {shlex.quote(value)}")
        elif name == EXTRA_VARS and value:
            made += _variables(value)
    return "".join(dict.fromkeys(made))


def _variables(given: str) -> Iterator[str]:
    """The same of one -e."""
    if given.startswith("@"):
        try:
            found: t.Any = DataLoader().load_from_file(given[1:]) if Path(given[1:]).is_file() else {}
        except AnsibleError:
            # It is encrypted, and holds what is needed to connect, if anything.
            found = {"scout_password": given}
    else:
        found = variables(given)
    needed = {name: found[name] for name in found if name in REACH_NAMES} if isinstance(found, dict) else {}
    if given.startswith("@") and any(_is_secret(name, value) for name, value in needed.items()):
        yield f" -e {shlex.quote(given)}"
        return
    for name, value in needed.items():
        shown = _without_password(str(value)) if name in DSNS else value
        if shown and not SECRET.search(name):
            yield f" -e {_typed(name, shown)}"


def variables(given: str) -> dict[str, t.Any]:
    """What one -e sets that is no file; empty where Ansible refuses it."""
    try:
        found: t.Any = from_yaml(given) if given.startswith(("{", "[")) else stray_words.parse_kv(given)
    except AnsibleError:
        return {}
    return t.cast("dict[str, t.Any]", found) if isinstance(found, dict) else {}


def without_secrets(given: str) -> str:
    """What one -e sets, as it was typed, without the variables that are secrets; empty where nothing is left of it. The
    database is still named, without its password."""
    if given.startswith("@"):
        return given
    found = variables(given)
    if not any(_is_secret(name, value) for name, value in found.items()):
        return given if found else ""
    for name in DSNS:
        if name in found:
            found[name] = _without_password(str(found[name]))
    shown = {name: value for name, value in found.items() if value != "" and not _is_secret(name, value)}
    return json.dumps(shown, ensure_ascii=False) if shown else ""


def _is_secret(name: str, value: t.Any) -> bool:
    """What is encrypted is one, too."""
    return bool(SECRET.search(name)) or not isinstance(value, PLAIN) or bool(PASSWORD.search(str(value)))


def _without_password(dsn: str) -> str:
    """A connection string; without its password, it is as libpq writes it, and empty where that cannot be done."""
    if not PASSWORD.search(dsn):
        return dsn
    if import_error is not None:
        return ""
    try:
        parts = conninfo.conninfo_to_dict(dsn)
        return conninfo.make_conninfo("", **{name: value for name, value in parts.items() if "password" not in name})
    except (psycopg.Error, ValueError):
        return ""


def _typed(name: str, value: t.Any) -> str:
    """One variable as a shell and Ansible read it."""
    if isinstance(value, str) and re.fullmatch(r"[^\s'\"\\{}\[\]…]+", value):
        return shlex.quote(f"{name}={value}")
    return shlex.quote(json.dumps({name: value}))
