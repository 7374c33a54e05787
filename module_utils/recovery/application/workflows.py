# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workflows that a push to a branch starts and that apply migrations: beside a rollback they would be a second deployment.

GitHub starts none of them for a push whose last commit says [skip ci]; GitLab and others heed the same words.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t

try:
    import yaml
except ImportError:  # a machine that modules are executed on need not have it
    yaml = None

if t.TYPE_CHECKING:
    from .repository import Repository

FOLDER: t.Final = ".github/workflows"
SKIP: t.Final = "[skip ci]"
#: How such a workflow applies migrations.
MIGRATES: t.Final = re.compile(r"migration|supabase\s+db\s+push|supabase/setup-cli|\bpsql\b", re.IGNORECASE)
PUSHED: t.Final = re.compile(r"^[ \t]*(on[ \t]*:.*\bpush\b|push[ \t]*:|-[ \t]*push[ \t]*$)", re.MULTILINE)


def deploying(repository: Repository, commit: str, branch: str) -> list[str]:
    """The names of those that the tree of a commit has for pushes to the branch."""
    listed = repository.run("ls-tree", "-z", "--name-only", commit, f"{FOLDER}/").out.decode(errors="replace")
    paths = [path for path in listed.split("\0") if path.endswith((".yml", ".yaml"))]
    texts = {
        path: repository.run("cat-file", "blob", f"{commit}:{path}").out.decode(errors="replace") for path in paths
    }
    return [path.rpartition("/")[2] for path, text in texts.items() if deploys(text, branch)]


def deploys(text: str, branch: str) -> bool:
    """Whether a workflow applies migrations at a push to the branch; one that cannot be read does so where it speaks of both."""
    if not MIGRATES.search(text):
        return False
    if yaml is None:
        return bool(PUSHED.search(text))
    try:
        document: t.Any = yaml.safe_load(text)
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict):
        return bool(PUSHED.search(text))
    found = t.cast("dict[t.Any, t.Any]", document)
    # YAML reads `on` as true.
    events: t.Any = found.get("on", found.get(True))
    if not isinstance(events, dict):
        return events == "push" or (isinstance(events, list) and "push" in events)
    pushes = t.cast("dict[str, t.Any]", events)
    if "push" not in pushes:
        return False
    chosen: dict[str, t.Any] = pushes["push"] or {}
    if "branches" in chosen:
        return _among(branch, chosen["branches"])
    if "branches-ignore" in chosen:
        return not _among(branch, chosen["branches-ignore"])
    return "tags" not in chosen and "tags-ignore" not in chosen


def _among(branch: str, patterns: t.Any) -> bool:
    """As GitHub matches: a later pattern with an exclamation mark takes away what an earlier one gave."""
    among = False
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        plain = str(pattern).removeprefix("!").replace("**", "*")
        if fnmatch.fnmatchcase(branch, plain):
            among = not str(pattern).startswith("!")
    return among
