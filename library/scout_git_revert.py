#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverting everything since a commit, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_git_revert
short_description: Revert a branch to the tree of an earlier commit, in one new commit
version_added: 1.0.0
description:
  - Makes one commit on top of the branch as the remote has it now, whose tree is exactly that of the commit to restore;
    whatever lies between is reverted, merges included. No history is rewritten, and nothing is ever pushed by force.
  - Or reverts single commits, where others after them are to stay; a merge is reverted towards its first parent. Conflicts are
    reported with their files, and then nothing is written or pushed.
  - Works with git's plumbing alone, so that the clone's checkout, index, stash, branches and HEAD stay as they are. It fetches
    commits without moving any ref. A push moves the remote-tracking branch, as every push does.
  - A revert that is not pushed is kept as C(refs/scout-recovery/BRANCH), so that git does not collect it.
  - Commits on the remote that the clone has not seen are refused with their list, unless O(include_newer=true). What the clone
    has seen is its remote-tracking branch; where it has none, everything counts as seen. This also holds for what is pushed by
    others meanwhile; the revert is then made anew, at most three times.
  - Hooks of the clone do not run, C(pre-push) neither; those of the server do. A configured C(commit.gpgsign) is ignored,
    since nobody may be there to type a passphrase; see O(sign). Git never prompts for a password, a key or a host.
  - Submodules are restored to the commit recorded in the tree. Files kept by Git LFS are restored as their pointers, and line endings as
    they are stored, because nothing is checked out.
options:
  repository:
    description: Path of a local clone with its whole history. A bare one, a linked worktree or a folder inside will do.
    type: path
    required: true
  remote:
    description: Name of the remote.
    type: str
    default: origin
  branch:
    description: Name of the branch on the remote; by default the one its HEAD names.
    type: str
  to:
    description: Commit whose tree to restore, by its id or a tag.
    type: str
  last:
    description:
      - Revert so many commits of the branch, counted along first parents; a merge is one, with everything it merged.
        Where the branch ends with this very revert, there is nothing to do.
    type: int
  commits:
    description: Revert only these commits, by id or tag. Needs git 2.38.
    type: list
    elements: str
  paths:
    description: Files and folders to restore, relative to the top of the repository, literally; the rest of the tree stays. Default is all.
    type: list
    elements: str
    default: []
  push:
    description: Push the commit to the branch.
    type: bool
    default: false
  include_newer:
    description: Revert commits as well that the clone has not seen.
    type: bool
    default: false
  incident:
    description: The incident this is done for; recorded in the commit's message.
    type: str
    default: adhoc
  release:
    description: Name of the release that is restored; recorded in the commit's message.
    type: str
  commit_message:
    description: First lines of the commit's message. The list of what is reverted and the trailers follow.
    type: str
  skip_ci:
    description:
      - Whether the commit says C([skip ci]), so that its push starts no workflow. By default it does where a workflow of the
        repository applies migrations at a push to the branch, which would be a second deployment beside the rollback of the schema.
    type: bool
  sign:
    description: Sign the commit, with the key that git is configured to use.
    type: bool
    default: false
  author_name:
    description: Name of author and committer; by default what git is configured to.
    type: str
  author_email:
    description: Their address; by default what git is configured to.
    type: str
  functions_dir:
    description: Where edge functions are, from the top of the repository, to say which of them were changed since.
    type: str
    default: supabase/functions
  timeout_seconds:
    description: How long each command of git may take, fetch and push too, in seconds.
    type: float
    default: 120.0
attributes:
  check_mode:
    support: full
    description:
      - Computes the same revert from the remote's present state and writes nothing into the clone; what has to be fetched for
        that goes to a folder that is removed.
  diff_mode:
    support: full
    description: Returns the patch, its first 128 KiB.
  idempotent:
    support: full
    description: A branch that has that tree already, or a revert that is already committed and not to be pushed, is C(changed=false).
requirements:
  - git 2.31
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Revert the application to what was captured before the release
  scout.recovery.scout_git_revert:
    repository: /srv/deploy/scout
    to: 3f2a9c1e
    release: v5.2.1
    incident: INC-2041
    push: true

- name: Say what reverting the last merge would change
  scout.recovery.scout_git_revert:
    repository: /srv/deploy/scout
    last: 1
  check_mode: true
  diff: true

- name: Restore the release
  scout.recovery.scout_git_revert:
    repository: /srv/deploy/scout
    commits: ["{{ rollback.commit }}"]
    push: true
"""

RETURN = r"""
branch:
  description: The branch.
  returned: success
  type: str
remote:
  description: The remote.
  returned: success
  type: str
tip:
  description: The commit the branch was at before.
  returned: success
  type: str
target:
  description: The commit whose tree it restores; null where single commits are reverted.
  returned: success
  type: str
previous_commit:
  description: The commit the branch was at when it last had another tree than now, or than it is to have; null where none is known.
  returned: success
  type: str
functions:
  description:
    - Edge functions that a commit after the target touched, by their folders, or what several of them share; also where that was reverted
      since. Those that the target does not have are among them. Null where single commits are reverted.
  returned: success
  type: list
  elements: str
commit:
  description: The new commit; null in check mode, or where nothing was to be done.
  returned: success
  type: str
kept_ref:
  description: The ref that a commit which was not pushed is kept as; null where there is none.
  returned: success
  type: str
workflows:
  description: Workflows of the branch that a push starts and that apply migrations.
  returned: success
  type: list
  elements: str
tree:
  description: Its tree.
  returned: success
  type: str
reverted:
  description: Every commit that is reverted, newest first, with sha, subject and merge.
  returned: success
  type: list
  elements: dict
newer:
  description: Those of them that the clone had not seen.
  returned: success, or when they were refused
  type: list
  elements: dict
pushed:
  description: Whether the remote's branch has the commit; it was asked afterwards.
  returned: success
  type: bool
files:
  description: Files that change, with path, added and deleted lines (none for binary ones); the first 500.
  returned: success
  type: list
  elements: dict
totals:
  description: How many files, added and deleted lines in all.
  returned: success
  type: dict
commit_message:
  description: The message of the commit.
  returned: success
  type: str
conflicts:
  description: Files that newer changes conflict in.
  returned: when a single commit cannot be reverted
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.application import command, revert_plan
from ..module_utils.recovery.invoke import Params, WithoutSession, execute

SPEC: dict[str, dict[str, t.Any]] = {
    "repository": {"type": "path", "required": True},
    "remote": {"type": "str", "default": "origin"},
    "branch": {"type": "str"},
    "to": {"type": "str"},
    "last": {"type": "int"},
    "commits": {"type": "list", "elements": "str"},
    "paths": {"type": "list", "elements": "str", "default": []},
    "push": {"type": "bool", "default": False},
    "include_newer": {"type": "bool", "default": False},
    "incident": {"type": "str", "default": "adhoc"},
    "release": {"type": "str"},
    "commit_message": {"type": "str"},
    "skip_ci": {"type": "bool"},
    "sign": {"type": "bool", "default": False},
    "author_name": {"type": "str"},
    "author_email": {"type": "str"},
    "functions_dir": {"type": "str", "default": "supabase/functions"},
    "timeout_seconds": {"type": "float", "default": 120.0},
}
RULES: dict[str, t.Any] = {
    "mutually_exclusive": [["to", "last", "commits"]],
    "required_one_of": [["to", "last", "commits"]],
}


def run(call: WithoutSession, params: Params) -> revert_plan.RevertResult:
    """Reverts."""
    return command.revert(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run, **RULES)


if __name__ == "__main__":
    main()
