# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command is typed where this run was started: from which folder, with which inventory, for which of its hosts, and with
what this run was given to reach the database."""

from __future__ import annotations

import re
import shlex
import sys
import typing as t
from pathlib import Path

from ansible import constants as C  # noqa: N812  # its name everywhere
from ansible import context

from ..module_utils.recovery.core.advice import Typed
from . import command_line, right_database

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PLAYBOOKS: t.Final = Path(__file__).resolve().parents[2] / "playbooks"
#: A playbook of a collection by its full name, and not a file.
FULL_NAME: t.Final = re.compile(r"\w+\.\w+\.\w+")
FILES: t.Final = (".yml", ".yaml", ".json")


def typed(groups: Mapping[str, Sequence[str]], host: str) -> Typed:
    """For a host of an inventory with these groups, from the command line of this process."""
    words = sys.argv[1:]
    inventories = "".join(f" -i {_quoted(each)}" for each in _inventories(words)) + command_line.reach(words)
    usual = list(groups.get(right_database.GROUP) or ())
    # Without the group and without another host, it is the one that all playbooks are for.
    alone = usual == [host] or (not usual and host == "localhost" and set(groups.get("all") or ()) <= {host})
    if alone:
        return Typed(_by_name(), inventories)
    return Typed(_by_name(), inventories, f" -e target={shlex.quote(host)}", host)


def own_playbooks() -> list[str]:
    """The names of those of this collection that were called, by their file or their full name."""
    called: Sequence[str] = context.CLIARGS.get("args") or ()
    found = [each.rpartition(".")[2] for each in called if re.fullmatch(r"scout\.recovery\.\w+", each)]
    return found + [Path(each).stem for each in called if Path(each).resolve().parent == PLAYBOOKS]


def _by_name() -> bool:
    """Whether a playbook was called by its full name, or its file is not where a command of the checkout looks for it."""
    called: Sequence[str] = context.CLIARGS.get("args") or ()
    if not isinstance(called, str) and any(FULL_NAME.fullmatch(each) and not each.endswith(FILES) for each in called):
        return True
    try:
        return Path("playbooks").resolve() != PLAYBOOKS
    except OSError:
        return True


def _inventories(words: Sequence[str]) -> Iterator[str]:
    """Those that were given, as they were given; none where that is the one that is read without it."""
    given = [each.value for each in command_line.options(words) if each.name == "-i" and each.value]
    usual = [str(each) for each in C.config.get_config_value("DEFAULT_HOST_LIST")]
    if [_whole(each) for each in given] != [_whole(each) for each in usual]:
        yield from given


def _quoted(inventory: str) -> str:
    """For a shell and for a reader: a comma at the end would be taken for one of the sentence."""
    return f"'{inventory}'" if re.fullmatch(r"[\w.,-]*,", inventory) else shlex.quote(inventory)


def _whole(inventory: str) -> str:
    return inventory if "," in inventory else str(Path(inventory).absolute())
