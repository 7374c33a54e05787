# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of -e that belong to no variable. Ansible splits name=value at spaces, and drops what is left over."""

from __future__ import annotations

import json
import re
import shlex
import typing as t

import ansible.parsing.splitter

from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.core.text import cut

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Ansible's own, which is not typed.
split_args: Callable[[str], list[str]] = getattr(ansible.parsing.splitter, "split_args")  # noqa: B009
parse_kv: Callable[[str], dict[str, t.Any]] = getattr(ansible.parsing.splitter, "parse_kv")  # noqa: B009

#: A file, or YAML: nothing of it is split.
WHOLE = ("@", "[", "{", "/", ".")
#: Names of variables whose values stand in no message.
SECRET = re.compile(r"dsn|password|passwd|secret|token|key|uri", re.IGNORECASE)
#: A time without its offset, which no window takes.
NAIVE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d(?:\.\d+)?)?")
LEFT_OVER = "_raw_params"
LONGEST = 60


def refuse(typed: Iterable[str]) -> None:
    """Raises BadInput for the first -e of which Ansible would drop a word: what it understood, and how to quote it."""
    for text in typed:
        if text and not text.startswith(WHOLE):
            _refuse_one(text)


def _refuse_one(text: str) -> None:
    variables: dict[str, list[str]] = {}
    stray: list[str] = []
    last: str | None = None
    for word in split_args(text):
        found = {str(name): str(value) for name, value in parse_kv(word).items()}
        if LEFT_OVER in found:
            stray.append(found[LEFT_OVER])
            variables.setdefault(last or "name", [] if last else [""]).append(found[LEFT_OVER])
        for name, value in found.items():
            if name != LEFT_OVER:
                variables[last := name] = [value]
    if not stray:
        return
    hidden = any(SECRET.search(name) for name in variables)
    words = "" if hidden else f" {cut(' '.join(stray), LONGEST)!r}"
    understood = ", ".join(f"{name}={_shown(name, values[0])}" for name, values in variables.items() if values[0])
    raise BadInput(
        f"the words{words} are outside the quotes and would be lost",
        said=f"Ansible splits -e at spaces, so all it understands is {understood or 'nothing'}",
        next_step=f"quote what belongs together: -e {_as_json(variables)}",
    )


def _shown(name: str, value: str) -> str:
    return "…" if SECRET.search(name) else repr(cut(value, LONGEST))


def _as_json(variables: dict[str, list[str]]) -> str:
    """The variables as JSON for a shell, each with the words behind it; a time without an offset is taken for UTC."""
    whole = {name: " ".join(filter(None, values)) for name, values in variables.items()}
    shown = {name: _with_offset(value) if not SECRET.search(name) else "…" for name, value in whole.items()}
    return shlex.quote(json.dumps(shown, ensure_ascii=False))


def _with_offset(value: str) -> str:
    return f"{value}+00:00" if NAIVE.fullmatch(value) else value
