# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverts a branch to the tree of an earlier commit, in one new commit on top of what the remote has."""

from __future__ import annotations

import os
import typing as t

from ..core.errors import BadInput, NotConverged, ProgramFailed
from ..core.text import count
from . import workflows
from .repository import MERGES_WITHOUT_CHECKOUT, Commit, Conflict, complaint, kept
from .revert_plan import Plan, Wanted, message, result

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .repository import Repository
    from .revert_plan import RevertResult

#: How often the branch may move under our hands.
RETRIES: t.Final = 3
COMMITS: t.Final = 50


def revert(repository: Repository, wanted: Wanted, *, check: bool, say: Callable[[str], None]) -> RevertResult:
    """The revert as a result; made unless this is a check, and pushed where asked. Raises NotConverged where the
    branch keeps moving, or holds commits the clone has not seen."""
    _refuse_nonsense(repository, wanted)
    words = author(repository, wanted)
    known: str | None = None
    for attempt in range(1 + RETRIES):
        say(f"reading {wanted.branch or 'the default branch'} of {wanted.remote}")
        branch, tip = _brought(repository, wanted, own=not check)
        if attempt == 0:
            known = repository.ref(f"refs/remotes/{wanted.remote}/{branch}")
        todo = plan(repository, wanted, branch, tip, known, words)
        if todo.newer and todo.changed and not wanted.include_newer:
            raise _unseen(repository, wanted, todo)
        done = _planned(repository, wanted, todo, words) if check else _done(repository, wanted, todo, words, say)
        if done is not None:
            return done
        known = tip
    raise NotConverged(
        f"the branch moved {RETRIES + 1} times during the revert",
        on=str(repository.folder),
        next_step="keep others from pushing to it for a minute and run the same command again; nothing was pushed",
    )


def _planned(repository: Repository, wanted: Wanted, todo: Plan, words: dict[str, str]) -> RevertResult:
    """What would be done; the commit is made, beside the clone, because that may fail too."""
    if not todo.changed:
        return result(repository, wanted, todo)
    ready = _ready(repository, todo) is not None
    if not ready:
        make(repository, todo, words, sign=wanted.sign)
    return result(repository, wanted, todo, check=True, changed=wanted.push or not ready)


def _done(
    repository: Repository, wanted: Wanted, todo: Plan, words: dict[str, str], say: Callable[[str], None]
) -> RevertResult | None:
    """What was done; None where somebody else was faster, so that it has to be planned anew."""
    if not todo.changed:
        _forget(repository, todo.branch)
        return result(repository, wanted, todo)
    before = repository.ref(kept(todo.branch))
    ready = _ready(repository, todo)
    commit = ready or make(repository, todo, words, sign=wanted.sign)
    if not ready:
        repository.take_in(commit, todo.tip)
    if wanted.push:
        say(f"pushing {commit[:10]} to {todo.branch}")
        pushed = _pushed(repository, wanted.remote, todo, commit, before)
        return result(repository, wanted, todo, commit=commit, pushed=True) if pushed else None
    if ready or _keep(repository, todo.branch, commit, before):
        return result(repository, wanted, todo, commit=commit, changed=not ready)
    return None


def _refuse_nonsense(repository: Repository, wanted: Wanted) -> None:
    if wanted.last is not None and wanted.last < 1:
        raise BadInput(f"last {wanted.last} is not usable", next_step="give at least 1")
    if wanted.commits and wanted.paths:
        raise BadInput("paths and commits exclude each other", next_step="give paths with to or last")
    if len(wanted.commits) > COMMITS:
        raise BadInput(f"{len(wanted.commits)} commits are too many", next_step=f"at most {COMMITS}; or use to")
    if wanted.commits and repository.version < MERGES_WITHOUT_CHECKOUT:
        raise BadInput(
            "single commits cannot be reverted with this git", next_step="git 2.38 or later is needed; or use to"
        )
    for option in ("author_name", "author_email", "release"):
        if any(character in "<>\n\r" for character in getattr(wanted, option) or ""):
            raise BadInput(f"{option} must be one line without < and >", next_step=f"correct {option}")
    if wanted.commit_message is not None and not wanted.commit_message.strip():
        raise BadInput("commit_message is empty", next_step="give a message, or leave it out")


def author(repository: Repository, wanted: Wanted) -> dict[str, str]:
    """Who commits, as git's own variables. Raises BadInput where neither the options nor git name anyone."""
    words: dict[str, str] = {}
    for person in ("AUTHOR", "COMMITTER"):
        if wanted.author_name:
            words[f"GIT_{person}_NAME"] = wanted.author_name
        if wanted.author_email:
            words[f"GIT_{person}_EMAIL"] = wanted.author_email
    for person in ("AUTHOR", "COMMITTER"):
        done = repository.run("var", f"GIT_{person}_IDENT", more=words, own=True, codes=(0, 1, 128))
        if done.code != 0:
            raise BadInput(
                "the revert has no author",
                on=str(repository.folder),
                said=complaint(done).rpartition("; ")[2],
                next_step="give author_name and author_email, or set user.name and user.email with git config",
            )
    return words


def _brought(repository: Repository, wanted: Wanted, *, own: bool) -> tuple[str, str]:
    """The branch and where it is on the remote, with all its commits at hand."""
    for _ in range(1 + RETRIES):
        branch, tip = repository.remote_branch(wanted.remote, wanted.branch)
        if repository.ref(f"refs/remotes/{wanted.remote}/{branch}") != tip:
            repository.fetch(wanted.remote, branch, own=own)
        if repository.has(tip):
            return branch, tip
    raise NotConverged(
        "the branch moves faster than it can be fetched",
        on=str(repository.folder),
        next_step="run the same command again",
    )


def plan(
    repository: Repository, wanted: Wanted, branch: str, tip: str, known: str | None, words: Mapping[str, str]
) -> Plan:
    """What has to be done to the branch as the remote has it; writes objects beside the clone only. Raises BadInput
    where the commit is not on the branch."""
    now = _tree(repository, tip)
    if wanted.commits:
        reverted = _chosen(repository, wanted, branch, tip)
        tree = _without(repository, now, reverted, dict(words))
        target, newer = None, []
    else:
        target, tree = _goal(repository, wanted, branch, tip, now)
        if tree != now and not repository.is_ancestor(target, tip):
            raise BadInput(
                f"commit {target[:10]} is not part of branch {branch}",
                on=str(repository.folder),
                next_step="name the branch it is on, or another commit",
            )
        reverted = repository.log(tip, f"^{target}", paths=wanted.paths)
        newer = repository.log(tip, f"^{target}", f"^{known}", paths=wanted.paths) if known else []
    started = workflows.deploying(repository, tip, branch)
    said = message(repository, wanted, branch, target, reverted, started)
    return Plan(branch, tip, tree, tree != now, target, reverted, newer, said, tuple(started))


def _tree(repository: Repository, commit: str) -> str:
    found = repository.tree(commit)
    if found is None:
        raise ProgramFailed(
            f"the tree of commit {commit[:10]} is missing", on=str(repository.folder), next_step="git fsck"
        )
    return found


def _goal(repository: Repository, wanted: Wanted, branch: str, tip: str, now: str) -> tuple[str, str]:
    """The commit to restore, and the tree the branch is to have."""
    if wanted.to is not None:
        target = repository.commit_of(wanted.to, "to")
        return target, _goal_tree(repository, wanted, target, now)
    last = wanted.last or 0
    # One more than asked for, which is the one that stays; and one more where the same has been done before.
    line = repository.text("rev-list", "--first-parent", f"--max-count={last + 2}", tip).splitlines()
    if len(line) > last + 1 and any(said.startswith("Reverts: ") for said in repository.message(tip).splitlines()):
        tree = _goal_tree(repository, wanted, line[last + 1], now)
        if tree == now:
            return line[last + 1], tree
    if len(line) <= last:
        raise BadInput(
            f"last {last} is more than branch {branch} can revert",
            on=str(repository.folder),
            said=f"it has {count(len(line), 'commit')}",
            next_step=f"give at most {len(line) - 1}",
        )
    return line[last], _goal_tree(repository, wanted, line[last], now)


def _goal_tree(repository: Repository, wanted: Wanted, target: str, now: str) -> str:
    then = _tree(repository, target)
    return _mixed(repository, now, then, wanted.paths) if wanted.paths else then


def _mixed(repository: Repository, now: str, then: str, paths: tuple[str, ...]) -> str:
    """The tree as it is, with these paths as they were."""
    for path in paths:
        found = [
            repository.run("--literal-pathspecs", "ls-tree", "-z", "--full-tree", tree, "--", path.rstrip("/")).out
            for tree in (now, then)
        ]
        if not any(found):
            raise BadInput(
                f"path {path!r} is neither in the branch nor in the commit to restore",
                on=str(repository.folder),
                next_step="give paths relative to the top of the repository, without a leading slash",
            )
    asked = [
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--ignore-submodules=none",
        now,
        then,
        "--",
        *(path.rstrip("/") for path in paths),
    ]
    fields = repository.run("--literal-pathspecs", *asked).out.split(b"\0")
    entries: list[bytes] = []
    for facts, path in zip(fields[::2], fields[1::2], strict=False):
        # Mode 0 removes; with --replace a file makes room for a folder of its name, and a folder for a file.
        _, mode, _, blob, _ = facts.split(b" ")
        entries.append(mode + b" " + blob + b"\t" + path + b"\0")
    index = {"GIT_INDEX_FILE": str(repository.scratch / "index")}
    repository.run("read-tree", now, more=index)
    repository.run("update-index", "--add", "--replace", "-z", "--index-info", stdin=b"".join(entries), more=index)
    return repository.text("write-tree", more=index)


def _chosen(repository: Repository, wanted: Wanted, branch: str, tip: str) -> list[Commit]:
    """The single commits to revert, newest first."""
    ids = dict.fromkeys(repository.commit_of(name, "commits") for name in wanted.commits)
    for commit in ids:
        if not repository.is_ancestor(commit, tip):
            raise BadInput(
                f"commit {commit[:10]} is not part of branch {branch}",
                on=str(repository.folder),
                next_step="name the branch it is on, or leave it out",
            )
    base = repository.run("merge-base", "--octopus", *ids, codes=(0, 1)).out.decode().split()
    below = [f"^{parent}" for commit in base for parent in repository.parents(commit)]
    return [commit for commit in repository.log(tip, *below) if commit.sha in ids]


def _without(repository: Repository, now: str, commits: list[Commit], words: dict[str, str]) -> str:
    """The tree without what these commits did; raises with the files where something newer stands in the way."""
    for commit in commits:
        parents = repository.parents(commit.sha)
        before = _tree(repository, parents[0]) if parents else repository.text("mktree")
        made = repository.merged(_tree(repository, commit.sha), now, before, words)
        if isinstance(made, Conflict):
            raise NotConverged(
                f"commit {commit.sha[:10]} cannot be reverted: newer changes conflict with it",
                on=str(repository.folder),
                said=f"{commit.subject!r} conflicts in {', '.join(made.files[:20])}",
                next_step="revert the newer commits too, restore a whole tree with to, or revert it by hand; "
                "nothing was written or pushed",
                result={"conflicts": made.files, "conflicting_commit": commit.as_dict(), "pushed": False},
            )
        now = made
    return now


def make(repository: Repository, todo: Plan, words: Mapping[str, str], *, sign: bool) -> str:
    """The commit, beside the clone; whatever git's configuration, it is signed only where asked. Raises NotConverged
    where it is not what was planned."""
    options = ["--gpg-sign"] if sign else ["--no-gpg-sign"]
    made = repository.text(
        "commit-tree", *options, "-p", todo.tip, "-F", "-", todo.tree, stdin=todo.message.encode(), more=dict(words)
    )
    if repository.tree(made) != todo.tree or repository.parents(made) != [todo.tip]:
        raise NotConverged(
            f"commit {made[:10]} is not what was planned", on=str(repository.folder), next_step="git fsck"
        )
    return made


def _ready(repository: Repository, todo: Plan) -> str | None:
    """The commit that was kept of an earlier run, where it is this very revert."""
    commit = repository.ref(kept(todo.branch))
    same = (
        commit is not None
        and repository.parents(commit) == [todo.tip]
        and repository.tree(commit) == todo.tree
        and repository.message(commit) == todo.message.strip()
    )
    return commit if same else None


def _keep(repository: Repository, branch: str, commit: str, before: str | None) -> bool:
    """Names the commit, so that git keeps it; False where another run was faster."""
    words = ["update-ref", kept(branch), commit, before or "0" * len(commit)]
    return repository.run(*words, own=True, codes=(0, 1, 128)).code == 0


def _forget(repository: Repository, branch: str) -> None:
    if repository.ref(kept(branch)) is not None:
        repository.run("update-ref", "-d", kept(branch), own=True, codes=(0, 1, 128))


def _pushed(repository: Repository, remote: str, todo: Plan, commit: str, before: str | None) -> bool:
    """Whether this push gave the remote's branch the commit, and the remote says so when it is asked; False where somebody
    else was faster, be it with the very same commit."""
    done = repository.push(remote, todo.branch, commit)
    flags = {line.split("\t")[0] for line in done.out.decode(errors="replace").splitlines() if line.count("\t") > 1}
    _, tip = repository.remote_branch(remote, todo.branch)
    if tip not in (commit, todo.tip):
        repository.fetch(remote, todo.branch, own=True)
    # A connection that broke off after the commit had been taken leaves no flag.
    if not flags & {"=", "!"} and (tip == commit or (tip != todo.tip and repository.is_ancestor(commit, tip))):
        _forget(repository, todo.branch)
        return True
    said = "; ".join(
        [*(line.split("\t")[-1] for line in os.fsdecode(done.out).splitlines() if line[:1] == "!"), complaint(done)]
    )
    if tip != todo.tip or "cannot lock ref" in said:
        return False
    _keep(repository, todo.branch, commit, before)
    raise ProgramFailed(
        f"{remote} rejected the revert of {todo.branch}",
        on=str(repository.folder),
        said=said,
        next_step=f"the commit is there as {kept(todo.branch)}. Push it to a branch of its own and have it merged: "
        f"git -C {repository.word} push {remote} {commit[:10]}:refs/heads/revert-{todo.tip[:10]}. "
        "To continue before that, give push=false (application_push=false)",
        result={"commit": commit, "tree": todo.tree, "pushed": False, "branch": todo.branch},
    )


def _unseen(repository: Repository, wanted: Wanted, todo: Plan) -> NotConverged:
    listed = "; ".join(f"{commit.sha[:10]} {commit.subject}" for commit in todo.newer[:20])
    return NotConverged(
        f"refused to revert {count(len(todo.newer), 'commit')} of {todo.branch} that this clone has not seen",
        on=str(repository.folder),
        said=listed + (" …" if len(todo.newer) > 20 else ""),
        next_step=f"look at them: git -C {repository.word} fetch {wanted.remote}; then run the same command again, "
        "or give include_newer=true (application_include_newer=true)",
        result={
            "newer": [commit.as_dict() for commit in todo.newer],
            "branch": todo.branch,
            "tip": todo.tip,
            "pushed": False,
        },
    )
