# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which edge functions commits have changed since another one, from the paths that they touch."""

from __future__ import annotations

import os
import typing as t
from pathlib import PurePosixPath

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .repository import Repository

#: What the folder of the CLI holds besides functions, and no function is made of.
APART: t.Final = ("migrations", "seeds", "tests", "snippets", "templates")
SUFFIXES: t.Final = (".sql", ".md")


def names(repository: Repository, commit: str, functions_dir: str) -> list[str]:
    """The folders of functions that a commit has, also of what they share."""
    functions = str(PurePosixPath(functions_dir))
    listed = repository.run("ls-tree", "-d", "-z", "--name-only", "--full-tree", commit, f"{functions}/").out
    return [PurePosixPath(os.fsdecode(name)).name for name in listed.split(b"\0") if name]


def since(repository: Repository, target: str, tip: str, functions_dir: str) -> list[str]:
    """The functions that commits after `target` have touched, up to `tip`, sorted: also those that were restored since, for nobody knows
    by the branch whether they were deployed again; and those that `target` does not have."""
    folder = str(PurePosixPath(functions_dir).parent)
    commits = repository.run("rev-list", tip, f"^{target}").out
    asked = ["diff-tree", "--root", "-r", "-z", "--name-only", "--no-commit-id", "--no-renames"]
    # Of a merge only what it adds to the branch it was made on: what it merged are commits of their own.
    touched = repository.run(
        *("--literal-pathspecs", *asked, "--stdin", "--diff-merges=first-parent", "--", folder), stdin=commits
    ).out
    touched += repository.run("--literal-pathspecs", *asked, target, tip, "--", folder).out
    paths = {os.fsdecode(path) for path in touched.split(b"\0") if path}
    return sorted(of_paths(paths, functions_dir, names(repository, target, functions_dir)))


def of_paths(paths: Iterable[str], functions_dir: str, there: Iterable[str]) -> set[str]:
    """The functions that these paths are of; all that are there where a path may be of several. Pure."""
    functions, found = PurePosixPath(functions_dir), set[str]()
    everything = {name for name in there if is_function(name)}
    for path in map(PurePosixPath, paths):
        if path.is_relative_to(functions):
            first, *below = path.relative_to(functions).parts
            found |= {first} if below and is_function(first) else everything
        elif path.relative_to(functions.parent).parts[0] not in APART and path.suffix not in SUFFIXES:
            found |= everything
    return found


def is_function(name: str) -> bool:
    """Whether a folder is one: others hold what functions share."""
    return not name.startswith(("_", "."))
