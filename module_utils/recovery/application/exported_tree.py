# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an exported commit stays within its tree: the Supabase CLI sends what links, config.toml, import maps and imports lead to,
and would send files of this machine. Pure but for the reading of that tree."""

from __future__ import annotations

import os
import re
import tomllib
import typing as t
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from ..core.errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: What says of modules where they are, as JSON with comments.
MAPS: t.Final = re.compile(r"(?:deno|import_map|importmap|package|tsconfig)\.jsonc?", re.IGNORECASE)
#: A text of JSON, with the colon after a key; or a comment, so that no quote in one is taken for a text. Without its end it goes as
#: far as it can, so that none is looked at twice.
JSON_TEXT: t.Final = re.compile(r'"((?:[^"\\\n]|\\.)*+)(?:"(\s*+:)?)?|//[^\n]*+|/\*.*?(?:\*/|\Z)', re.DOTALL)
#: What stands between any two quotes: nothing tells for certain where a text of JavaScript begins. Between two texts it is code.
QUOTED: t.Final = re.compile(r"""(?<=['"`])[^'"`\n]++(?=['"`])""")
CODE: t.Final = re.compile(r"[\s;,)\]}:?+=.&|]")
ESCAPE: t.Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\})")
#: Of another place than this machine.
ELSEWHERE: t.Final = re.compile(r"(?!file:)[a-zA-Z][a-zA-Z0-9+.-]*:")
RELATIVE: t.Final = re.compile(r"\.{1,2}(?:/|$)")
GLOB: t.Final = frozenset("*?[]{}")


def refuse_leaving(root: Path, top: Path, names: Iterable[str], functions: str, *, on: str, commit: str) -> None:
    """Raises BadInput for what of the commit leads out of its tree. `root` is the folder above `supabase/`, `names` are the exported
    files below `top`, `functions` is the folder of the functions."""
    for name in names:
        path = top / name
        if path.is_symlink():
            told = [] if _inside(path, root) else [f"it leads to {path.readlink()}"]
            what = f"{name} of commit {commit} is a link that leads"
        else:
            told = list(_leading_out(path, root, top / functions))
            what = f"{name} of commit {commit} leads"
        if told:
            raise BadInput(
                f"{what} out of {root.relative_to(top) / 'supabase'}",
                on=on,
                said=told[0],
                next_step="name a commit that has a file there"
                if path.is_symlink()
                else "name a commit that names files of its own",
            )


def _leading_out(path: Path, root: Path, functions: Path) -> Iterator[str]:
    if not path.is_file():
        return
    text = path.read_bytes().decode(errors="replace")
    if path == functions.parent / "config.toml":
        for key, value in _configured(text):
            # The CLI takes the paths of a function from supabase/, and what comes from the environment of this machine is not known.
            if value.startswith("env(") or _leads_out(value, path.parent, root):
                yield f"{key} = {value!r}"
    elif MAPS.fullmatch(path.name):
        for found in JSON_TEXT.finditer(text):
            value = found[1] or ""
            # A name that is taken for code where it is imported would not be looked at there.
            if (
                CODE.match(value) and not RELATIVE.match(value)
                if found[2]
                else _is_path(value) and _leads_out(value, path.parent, root)
            ):
                yield repr(value)
    else:
        yield from (repr(value) for value in QUOTED.findall(text) if _imported(value, path.parent, root))


def _configured(text: str) -> Iterator[tuple[str, str]]:
    """The texts that a config.toml has for functions, by their keys. Raises BadInput where it cannot be read: the CLI may read it in
    another way."""
    try:
        found: dict[str, t.Any] = tomllib.loads(text)
    except ValueError as e:
        raise BadInput(
            "config.toml of the commit cannot be read, so nobody can tell which files the CLI would send",
            said=str(e),
            next_step="name a commit with a config.toml that is TOML 1.0",
        ) from e
    yield from _texts("functions", found.get("functions", {}))


def _texts(key: str, value: t.Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, each in t.cast("dict[str, t.Any]", value).items():
            yield from _texts(f"{key}.{name}", each)
    elif isinstance(value, list):
        for each in t.cast("list[t.Any]", value):
            yield from _texts(key, each)


def _plain(value: str) -> str:
    """The path as whoever follows it may read it: escapes, per cent and backslashes are other spellings, and file: is this machine."""
    value = ESCAPE.sub(lambda found: chr(min(int(found[1] or found[2] or found[3], 16), 0x10FFFF)), value)
    value = unquote(value).replace("\\", "/")
    return re.sub(r"^file:(?://[^/]*)?", "", value, flags=re.IGNORECASE)


def _is_path(value: str) -> bool:
    """Whether a text of a map is a path: a name of a package, and a command of a task, are none."""
    plain = _plain(value)
    return not ELSEWHERE.match(value) and (plain.startswith(("/", "~")) or ".." in plain.split("/"))


def _imported(value: str, folder: Path, root: Path) -> bool:
    """Whether a quoted text of a program is a path that leads out. One that begins with / is, as far as there is such a file: routes
    of the web begin so, too."""
    plain = _plain(value)
    if ELSEWHERE.match(value) or "\0" in plain:
        return False
    if plain.startswith("/"):
        return Path(plain).is_file() and _leads_out(value, folder, root)
    if RELATIVE.match(plain):
        return _leads_out(value, folder, root)
    # Behind a name that an import map knows, each step up may lead out of what that stands for.
    return ".." in plain.split("/") and not CODE.match(value)


def _leads_out(value: str, folder: Path, root: Path) -> bool:
    """Whether a path of the commit may lead out of its tree; what a pattern matches may be a link, so nothing goes up behind one."""
    plain = _plain(value)
    parts = PurePosixPath(plain).parts
    matched = next((at for at, part in enumerate(parts) if GLOB & {*part}), len(parts))
    if plain.startswith("~") or "\0" in plain or ".." in parts[matched:]:
        return True
    return not _inside(folder / plain, root)


def _inside(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root.resolve())
