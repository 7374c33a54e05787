# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a revert says: in the message of its commit, and in the result."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.results import ModuleResult
from ..core.text import count
from . import changed_functions, workflows
from .repository import Commit, kept

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .repository import Repository

LISTED: t.Final = 50
TRAILERS: t.Final = 200
FILES: t.Final = 500
PATCH_BYTES: t.Final = 1 << 17


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be reverted, by whom and for what."""

    remote: str = "origin"
    branch: str | None = None
    to: str | None = None
    last: int | None = None
    commits: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    push: bool = False
    include_newer: bool = False
    incident: str = "adhoc"
    release: str | None = None
    commit_message: str | None = None
    #: Whether the commit keeps workflows from being started by its push; none means where one of them would deploy the schema.
    skip_ci: bool | None = None
    sign: bool = False
    author_name: str | None = None
    author_email: str | None = None
    functions_dir: str = "supabase/functions"


@dataclasses.dataclass(frozen=True)
class Plan:
    """One revert, computed and not yet made: the branch would go from `tip` to a commit with this tree."""

    branch: str
    tip: str
    tree: str
    changed: bool
    #: Where it goes back to; None where single commits are reverted.
    target: str | None
    reverted: list[Commit]
    #: Those of them that the clone has not seen before.
    newer: list[Commit]
    message: str
    #: Workflows that a push would start, and that deploy the schema.
    workflows: tuple[str, ...] = ()


def message(
    repository: Repository,
    wanted: Wanted,
    branch: str,
    target: str | None,
    reverted: list[Commit],
    started: Sequence[str],
) -> str:
    """What the commit says: for which incident and release, what was reverted, trailers that a machine finds, and that no workflow
    is to be started by it, where one of them would deploy the schema a second time."""
    [there] = repository.log("-1", target) if target else [None]
    of_paths = f" of {', '.join(wanted.paths[:5])}{' …' if len(wanted.paths) > 5 else ''}" if wanted.paths else ""
    if target is None:
        subject = (
            f'Revert "{reverted[0].subject}"' if len(reverted) == 1 else f"Revert {count(len(reverted), 'commit')}"
        )
        told = f"Reverts on branch {branch}:"
    else:
        subject = f"Revert to {wanted.release or target[:10]}"
        told = f"Restores the tree{of_paths} of {target[:10]} ({there.subject if there else ''}) and reverts:"
    subject += f" for {wanted.incident}" if wanted.incident != "adhoc" else ""
    listed = [f"  {commit.sha[:10]} {commit.subject}" for commit in reverted[:LISTED]]
    if len(reverted) > LISTED:
        listed.append(f"  and {count(len(reverted) - LISTED, 'more', 'more')}")
    trailers = [f"Reverts: {commit.sha}" for commit in reverted[:TRAILERS]]
    if len(reverted) > TRAILERS:
        trailers.append(f"Reverts: {target or reverted[-1].sha}..{reverted[0].sha}")
    if wanted.release:
        trailers.append(f"Release: {wanted.release}")
    trailers.append(f"Incident: {wanted.incident}")
    skips = wanted.skip_ci if wanted.skip_ci is not None else bool(started)
    why = f"{workflows.SKIP} so that its push starts no second deployment beside the rollback of the schema"
    named = f" ({', '.join(started[:5])})" if started else ""
    said = [f"{why}{named}.", ""] if skips else []
    return "\n".join([(wanted.commit_message or subject).strip(), "", *said, told, "", *listed, "", *trailers])


class RevertResult(ModuleResult):
    """What scout_git_revert returns."""

    branch: str
    remote: str
    tip: str
    target: str | None
    previous_commit: str | None
    functions: list[str] | None
    commit: str | None
    kept_ref: str | None
    tree: str
    reverted: list[dict[str, t.Any]]
    newer: list[dict[str, t.Any]]
    pushed: bool
    files: list[dict[str, t.Any]]
    totals: dict[str, int]
    commit_message: str
    workflows: list[str]
    conflicts: t.NotRequired[list[str]]
    diff: dict[str, t.Any]


def result(
    repository: Repository,
    wanted: Wanted,
    todo: Plan,
    *,
    check: bool = False,
    commit: str | None = None,
    changed: bool | None = None,
    pushed: bool = False,
) -> RevertResult:
    """What a revert came to, or would come to, in one form."""
    files, totals = _files(repository, todo)
    changed = todo.changed if changed is None else changed
    patch = _patch(repository, todo) if todo.changed else ""
    return {
        "changed": changed,
        "branch": todo.branch,
        "remote": wanted.remote,
        "tip": todo.tip,
        "target": todo.target,
        "previous_commit": _previous(repository, todo),
        "functions": changed_functions.since(repository, todo.target, todo.tip, wanted.functions_dir)
        if todo.target
        else None,
        "commit": commit,
        "kept_ref": kept(todo.branch) if commit and not pushed else None,
        "tree": todo.tree,
        "reverted": [entry.as_dict() for entry in todo.reverted] if todo.changed else [],
        "newer": [entry.as_dict() for entry in todo.newer] if todo.changed else [],
        "pushed": pushed,
        "files": files,
        "totals": totals,
        "commit_message": todo.message if todo.changed else "",
        "workflows": list(todo.workflows),
        "diff": {"prepared": patch},
        "summary": _summary(repository, wanted, todo, check=check, commit=commit, ready=not changed, pushed=pushed),
    }


def _previous(repository: Repository, todo: Plan) -> str | None:
    """What was there before: the tip, or where it has that tree already, the latest commit below that has another."""
    if todo.changed or todo.target is None:
        return todo.tip if todo.changed else None
    asked = ["log", "--first-parent", f"--max-count={LISTED}", "--format=%H %T", todo.tip, f"^{todo.target}"]
    lines = [line.split() for line in repository.text(*asked).splitlines()]
    return next((commit for commit, tree in lines if tree != todo.tree), None)


def _files(repository: Repository, todo: Plan) -> tuple[list[dict[str, t.Any]], dict[str, int]]:
    """Each file that changes with its lines, null for a binary one, and the sums."""
    out = repository.run(
        "diff-tree", "-r", "-z", "--numstat", "--no-renames", "--ignore-submodules=none", todo.tip, todo.tree
    ).out
    lines = [part.split("\t", 2) for part in out.decode(errors="replace").split("\0") if part.count("\t") >= 2]
    found = [(path, *(int(number) if number != "-" else None for number in numbers)) for *numbers, path in lines]
    files: list[dict[str, t.Any]] = [{"path": path, "added": added, "deleted": gone} for path, added, gone in found]
    added, gone = (sum(entry[name] or 0 for entry in files) for name in ("added", "deleted"))
    return files[:FILES], {"files": len(files), "added": added, "deleted": gone}


def _patch(repository: Repository, todo: Plan) -> str:
    asked = [
        "diff-tree",
        "-r",
        "-p",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        todo.tip,
        todo.tree,
    ]
    done = repository.run(*asked, limit=PATCH_BYTES)
    return done.out.decode(errors="replace") + ("\n… the rest of the patch is left out\n" if done.cut else "")


def _summary(
    repository: Repository, wanted: Wanted, todo: Plan, *, check: bool, commit: str | None, ready: bool, pushed: bool
) -> str:
    if not todo.changed:
        there = f"the tree of {todo.target[:10]}" if todo.target else "nothing left of these commits"
        return f"{todo.branch} already has {there}" if not wanted.paths else f"{todo.branch} already has these paths"
    paths = f"{count(len(wanted.paths), 'path')} of " if wanted.paths else ""
    back = f", {paths}restoring its tree to that of {todo.target[:10]}" if todo.target else ""
    what = f"{count(len(todo.reverted), 'commit')} of {todo.branch}{back}"
    if check and ready:
        return "the revert is already committed but not pushed"
    if check:
        return f"would revert {what}{' and push it' if wanted.push else ''}"
    if pushed:
        return f"reverted {what}: {(commit or '')[:10]}, pushed"
    how = f"git -C {repository.word} push {wanted.remote} {kept(todo.branch)}:refs/heads/{todo.branch}"
    done = "the revert is already committed" if ready else f"reverted {what}"
    return f"{done}: {(commit or '')[:10]}, not pushed. To push it: {how}"
