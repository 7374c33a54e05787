# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local clone, read and written through git's plumbing: never its checkout, index, stash, branches or HEAD.

It is git itself that runs, not a library: only git knows the credentials, proxies, filters and remotes this clone was set up
with, and every server git talks to.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import typing as t
import urllib.parse
from pathlib import Path

from ..core import subprocesses
from ..core.errors import BadInput, NotConverged, ProgramFailed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OLDEST: t.Final = (2, 31)
#: `git merge-tree --write-tree`
MERGES_WITHOUT_CHECKOUT: t.Final = (2, 38)
#: Where a revert that was not pushed is kept, so that git does not collect it.
KEPT: t.Final = "refs/scout-recovery/"

#: What people set for git; everything else named GIT_* belongs to whoever calls us, a hook for example.
PASSED = re.compile(
    r"GIT_(?:SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|SSL_\w+|PROXY_\w+|HTTP_\w+|CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)"
    r"|(?:AUTHOR|COMMITTER)_(?:NAME|EMAIL))"
)
#: What the clone or the operator may have configured and nobody wants in the middle of an incident.
SETTINGS: t.Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.filesRefLockTimeout=5000",
    "core.sparseCheckout=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.writeCommitGraph=false",
    "log.showSignature=false",
    "log.follow=false",
    "i18n.commitEncoding=utf-8",
    "i18n.logOutputEncoding=utf-8",
    "color.ui=false",
    "user.useConfigOnly=true",
    "submodule.recurse=false",
    "push.followTags=false",
    "push.gpgSign=false",
)
URL_SECRET = re.compile(r"(\w://)[^\s/@]+@")
ID = re.compile(r"[0-9a-fA-F]{4,64}")


@dataclasses.dataclass(frozen=True)
class Commit:
    """A commit as results show it."""

    sha: str
    subject: str
    merge: bool

    def as_dict(self) -> dict[str, t.Any]:
        """For a result."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Conflict:
    """A merge that could not be made, and where."""

    files: list[str]


class Repository:
    """A clone whose objects are read as they are, and written to a folder beside it unless it is said otherwise."""

    def __init__(
        self, folder: str, *, scratch: Path, seconds: float, checkpoint: Callable[[], None] | None = None
    ) -> None:
        self._given = folder
        self.folder = Path(folder).expanduser().absolute()
        #: The folder as a word of a command that somebody copies.
        self.word = shlex.quote(str(self.folder))
        self.scratch = scratch
        self._seconds = seconds
        self._checkpoint = checkpoint
        self._program = shutil.which("git") or ""
        self._environment = environment()
        self._git_dir: Path | None = None
        self.version = self._known_version()
        self._top = self.folder
        self._git_dir = self._opened()
        self._make_ssh_silent()
        objects = self.text("rev-parse", "--path-format=absolute", "--git-path", "objects", own=True)
        beside = scratch / "objects"
        (beside / "info").mkdir(parents=True)
        (beside / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")

    def _known_version(self) -> tuple[int, int]:
        if not self._program:
            raise BadInput("could not find git", next_step="install git on the host that runs the module")
        said = self._run(["version"], cwd=self.scratch, own=True).out.decode(errors="replace")
        found = re.search(r"(\d{1,9})\.(\d{1,9})", said)
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            raise BadInput(f"refused {said.strip()}", next_step=f"git {'.'.join(map(str, OLDEST))} or later is needed")
        return int(found[1]), int(found[2])

    def _opened(self) -> Path:
        """The git directory; refuses what is no clone, belongs to somebody else, or lacks its history."""
        if not self._given:
            raise BadInput("no repository is named", next_step="give the path of a local clone (application_dir=PATH)")
        if not self.folder.is_dir():
            raise BadInput(f"there is no folder {self.folder}", next_step="give the path of a local clone")
        asked = ["rev-parse", "--absolute-git-dir", "--is-shallow-repository"]
        done = self._run(asked, cwd=self.folder, own=True)
        if done.code != 0:
            said = complaint(done)
            owner = "dubious ownership" in said
            raise BadInput(
                f"{self.folder} is not a clone that can be used",
                said=said,
                next_step=f"git config --global --add safe.directory {self.word}, if its owner is to be trusted"
                if owner
                else "give the path of a local clone",
            )
        git_dir, shallow = os.fsdecode(done.out).rstrip("\n").rsplit("\n", 1)
        if shallow == "true":
            raise BadInput(
                f"refused {self.folder}: it is a shallow clone, and what is to be reverted may lie beyond its history",
                next_step=f"git -C {self.word} fetch --unshallow (in CI: a checkout of full depth)",
            )
        top = self._run(["rev-parse", "--show-toplevel"], cwd=self.folder, own=True)
        if top.code == 0:
            self._top = Path(os.fsdecode(top.out).rstrip("\n"))
        return Path(git_dir)

    def _make_ssh_silent(self) -> None:
        """A key with a passphrase, or a host nobody knows, is an error at once; a command of the operator's own is left alone."""
        given = self._environment.keys() & {"GIT_SSH", "GIT_SSH_COMMAND"}
        if not given and self.run("config", "--get", "core.sshCommand", codes=(0, 1), own=True).code == 1:
            self._environment["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"

    def run(
        self,
        *words: str,
        stdin: bytes = b"",
        own: bool = False,
        more: dict[str, str] | None = None,
        settings: Sequence[str] = (),
        codes: tuple[int, ...] = (0,),
        limit: int = 64 * subprocesses.MEGABYTE,
        cwd: Path | None = None,
    ) -> subprocesses.Done:
        """Runs git on the clone; new objects go beside it, or with `own` into it. Raises ProgramFailed for another
        exit code than those, or at the timeout."""
        # An address may be relative, and is so to the top of the checkout.
        cwd = cwd or (self._top if own else self.scratch)
        done = self._run(words, cwd=cwd, stdin=stdin, own=own, more=more, settings=settings, limit=limit)
        if done.code not in codes:
            raise ProgramFailed(
                f"git {words[0]} failed" if done.code is not None else f"git {words[0]} took too long",
                on=str(self.folder),
                said=complaint(done),
                next_step="look at the clone, or raise timeout_seconds, and run the same command again",
            )
        return done

    def text(self, *words: str, **how: t.Any) -> str:
        """What git writes, as text that can be passed to it again."""
        return os.fsdecode(self.run(*words, **how).out).rstrip("\n")

    def _run(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        own: bool,
        stdin: bytes = b"",
        more: dict[str, str] | None = None,
        settings: Sequence[str] = (),
        limit: int = 64 * subprocesses.MEGABYTE,
    ) -> subprocesses.Done:
        environ = {**self._environment, **(more or {})}
        if self._git_dir is not None:
            environ["GIT_DIR"] = str(self._git_dir)
            if not own:
                environ["GIT_OBJECT_DIRECTORY"] = str(self.scratch / "objects")
        argv = [self._program]
        for setting in (*SETTINGS, *settings):
            argv += ["-c", setting]
        return subprocesses.run(
            [*argv, *words],
            cwd=cwd,
            environment=environ,
            seconds=self._seconds,
            checkpoint=self._checkpoint,
            stdin=stdin,
            limit=limit,
        )

    # -- the remote

    def remote_branch(self, remote: str, branch: str | None) -> tuple[str, str]:
        """The branch, by default the one the remote's HEAD names, and its commit on the remote now. Raises BadInput
        where the remote or the branch does not exist."""
        known = self.text("remote", own=True).splitlines()
        if remote not in known:
            raise BadInput(
                f"{self.folder} has no remote {remote}",
                said=f"it has {', '.join(known)}" if known else "it has none",
                next_step="name one of its remotes",
            )
        wanted = ["HEAD"] if branch is None else [f"refs/heads/{branch}"]
        if branch is not None and self.run("check-ref-format", wanted[0], codes=(0, 1)).code != 0:
            raise BadInput(f"branch {branch!r} is not a name git allows", next_step="correct the name of the branch")
        done = self._contact(remote, f"could not query {remote}", "ls-remote", "--symref", "--", remote, *wanted)
        lines = [line.split("\t") for line in os.fsdecode(done.out).splitlines() if "\t" in line]
        if branch is None:
            heads = [
                words[0].removeprefix("ref: refs/heads/") for words in lines if words[0].startswith("ref: refs/heads/")
            ]
            if not heads:
                raise BadInput(
                    f"{remote} does not name its default branch", next_step="name the branch that is deployed"
                )
            branch = heads[0]
        tips = [words[0] for words in lines if words[1] == wanted[0] and not words[0].startswith("ref: ")]
        if not tips:
            raise BadInput(
                f"{remote} has no branch {branch}",
                next_step=f"git -C {self.word} ls-remote --heads {remote} lists those it has",
            )
        return branch, tips[0]

    def fetch(self, remote: str, branch: str, *, own: bool) -> None:
        """Fetches the commits of the branch, and writes no ref, nor FETCH_HEAD: objects alone."""
        self._contact(
            remote, f"could not fetch {branch} from {remote}", "fetch", "--quiet", "--no-tags", "--no-prune", "--refmap=",
            "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--", remote, f"refs/heads/{branch}",
            own=own,
        )  # fmt: skip

    def push(self, remote: str, branch: str, commit: str) -> subprocesses.Done:
        """Offers the commit as the branch's new one, never by force; the exit code says whether it was accepted."""
        words = [
            "push",
            "--porcelain",
            "--no-verify",
            "--recurse-submodules=no",
            "--",
            remote,
            f"{commit}:refs/heads/{branch}",
        ]
        return self.run(*words, own=True, settings=[f"remote.{remote}.mirror=false"], codes=(0, 1, 128))

    def _contact(self, remote: str, attempted: str, *words: str, own: bool = True) -> subprocesses.Done:
        done = self._run(words, cwd=self._top, own=own)
        if done.code != 0:
            raise ProgramFailed(
                attempted,
                on=str(self.folder),
                said=complaint(done) if done.code is not None else f"it took more than {self._seconds:g} s",
                next_step=f"git -C {self.word} fetch {remote} must work without prompting: check the network, "
                "the address and the credentials",
            )
        return done

    # -- commits and trees

    def commit_of(self, name: str, option: str) -> str:
        """The full id of the commit that an id or a tag names; branches and HEAD are the operator's. Raises BadInput
        for anything else."""
        if not name:
            raise BadInput(f"{option} is empty", next_step="name the commit by its id or a tag (application_commit=ID)")
        for spelling in ([name] if ID.fullmatch(name) else []) + [f"refs/tags/{name}"]:
            asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{spelling}^{{commit}}"]
            done = self.run(*asked, codes=(0, 1, 128))
            found = os.fsdecode(done.out).strip()
            # A branch may be named like the beginning of an id.
            if done.code == 0 and (spelling != name or found.startswith(name.lower())):
                return found
        raise BadInput(
            f"{option} {name!r} is neither the id of a commit in this repository nor a tag",
            on=str(self.folder),
            next_step=f"git -C {self.word} log shows the commits; git -C {self.word} fetch --tags fetches what is missing",
        )

    def ref(self, name: str) -> str | None:
        """The commit a full ref names, if it is there."""
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", codes=(0, 1, 128))
        return os.fsdecode(done.out).strip() if done.code == 0 else None

    def has(self, commit: str) -> bool:
        """Whether the commit is there."""
        return self.run("cat-file", "-e", f"{commit}^{{commit}}", codes=(0, 1, 128)).code == 0

    def tree(self, commit: str, path: str = "") -> str | None:
        """The tree of a commit, or of a folder in it; None where there is no such folder."""
        name = f"{commit}:{path}" if path else f"{commit}^{{tree}}"
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", name, codes=(0, 1, 128))
        found = os.fsdecode(done.out).strip()
        if done.code != 0 or self.text("cat-file", "-t", found) != "tree":
            return None
        return found

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether the one is part of the other's history."""
        return self.run("merge-base", "--is-ancestor", older, newer, codes=(0, 1)).code == 0

    def parents(self, commit: str) -> list[str]:
        """The parents, first to last."""
        return self.text("rev-list", "--no-walk", "--parents", commit).split()[1:]

    def log(self, *words: str, paths: Sequence[str] = ()) -> list[Commit]:
        """Commits as `git log` selects them, newest first."""
        asked = ["log", "-z", "--topo-order", "--full-history", "--format=%H%x09%P%x09%s", *words, "--", *paths]
        out = self.run("--literal-pathspecs", *asked).out.decode(errors="replace")
        lines = [line.split("\t", 2) for line in out.split("\0") if line]
        return [Commit(sha, subject, " " in parents) for sha, parents, subject in lines]

    def message(self, commit: str) -> str:
        """A commit's whole message."""
        return self.text("log", "-1", "--format=%B", commit).strip()

    def merged(self, base: str, ours: str, theirs: str, words: dict[str, str]) -> str | Conflict:
        """The tree that comes of `ours` when what leads from `base` to `theirs` is done to it; all three are trees."""
        bottom = self.text("commit-tree", base, "-m", "base", more=words)
        sides = [self.text("commit-tree", tree, "-p", bottom, "-m", "side", more=words) for tree in (ours, theirs)]
        asked = ["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", *sides]
        done = self.run(*asked, codes=(0, 1))
        tree, *files = [part.decode(errors="replace") for part in done.out.split(b"\0") if part]
        return tree.strip() if done.code == 0 else Conflict(files)

    def take_in(self, commit: str, parent: str) -> None:
        """Copies the commit and its new objects from beside the clone into it. Raises NotConverged where they are too
        large."""
        pack = self.run("pack-objects", "--revs", "--local", "--stdout", "-q", stdin=f"{commit}\n^{parent}\n".encode())
        if pack.cut:
            raise NotConverged("refused: the revert is too large", next_step="revert by hand, or fewer paths at a time")
        self.run("unpack-objects", "-q", own=True, stdin=pack.out)


def kept(branch: str) -> str:
    """The ref under which a revert of this branch is kept."""
    return KEPT + urllib.parse.quote(branch, safe="")


def environment() -> dict[str, str]:
    """What git gets to see: nothing of a repository that a calling hook works on, no prompt, messages in English."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or PASSED.fullmatch(name)
    }
    # Without a terminal git and ssh would open a window and wait.
    environ.pop("SSH_ASKPASS", None)
    environ.update(
        GIT_TERMINAL_PROMPT="0", SSH_ASKPASS_REQUIRE="never", LC_ALL="C", LANGUAGE="C", GIT_NO_REPLACE_OBJECTS="1"
    )
    return environ


def complaint(done: subprocesses.Done) -> str:
    """The last lines git wrote, without the credentials of an address."""
    said = subprocesses.text(done.err) or subprocesses.text(done.out)
    return URL_SECRET.sub(r"\1***@", "; ".join(line.strip() for line in said.splitlines()[-6:] if line.strip()))
