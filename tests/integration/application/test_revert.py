# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch goes back to exactly the tree of a commit, on real repositories, and the clone it is done in stays as it is."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.application import repository
from tests.integration.clones import (
    Clone,
    Result,
    Story,
    everything,
    executed,
    gone,
    hook,
    left_over,
    quiet_git,
    run,
    started,
    story,
    told,
    wait_for,
)  # fmt: skip
from tests.integration.modules import ad_hoc

__all__ = ["quiet_git", "story"]

REVERT = "scout_git_revert"
KEPT = "refs/scout-recovery/main"


def revert(story: Story, **options: Any) -> Result:
    chosen = {} if options.keys() & {"to", "last", "commits"} else {"to": story.good}
    return run(REVERT, repository=str(story.clone.path), **chosen, **options)


def done(story: Story, **options: Any) -> Result:
    result = revert(story, **options)
    assert not result.get("failed"), result["msg"]
    return result


def refused(story: Story, **options: Any) -> str:
    before = story.head
    result = revert(story, **options)
    assert result.get("failed"), result
    assert not result["changed"]
    assert story.head == before
    assert result["error"]["next_step"], result
    return result["msg"]


def test_the_tree_is_that_of_the_commit_and_the_clone_is_left_alone(story: Story, tmp_path: Path) -> None:
    clone = story.clone
    clone.write(**{"app/main.py": "stashed\n"})
    clone.git("stash")
    clone.git("checkout", "--quiet", "--detach", story.good)
    clone.write(**{"app/main.py": "half done\n", "staged": "s\n", "untracked": "u\n"})
    clone.git("add", "staged")
    before = clone.state()
    result = done(story, push=True, incident="INC-2041", release="v5.2.1")
    assert clone.state() == before
    assert clone.git("status", "--short").splitlines() == [" M app/main.py", "A  staged", "?? untracked"]
    assert story.head == result["commit"]
    assert story.remote.tree("main") == clone.tree(story.good) == result["tree"]
    assert story.remote.git("rev-parse", "main^@") == story.tip
    assert (result["changed"], result["pushed"], result["target"], result["tip"]) == (True, True, story.good, story.tip)
    assert [(entry["subject"], entry["merge"]) for entry in result["reverted"]] == [
        ("Worse change", False),
        ("Merge feature", True),
        ("work on feature", False),
        ("Bad change", False),
    ]
    assert {entry["path"]: (entry["added"], entry["deleted"]) for entry in result["files"]} == {
        "app/main.py": (1, 1), "app/gone.py": (1, 0), "app/feature.py": (0, 1),
        "docs/ünï cödé.md": (1, 1), "place": (1, 0), "place/inside": (0, 1),
    }  # fmt: skip
    assert result["totals"] == {"files": 6, "added": 4, "deleted": 4}
    assert "-worse\n+two\n" in result["diff"]["prepared"]
    message = story.remote.git("log", "-1", "--format=%B", "main")
    assert message.startswith("Revert to v5.2.1 for INC-2041\n\n")
    trailers = clone.git("interpret-trailers", "--parse", stdin=message).splitlines()
    assert trailers == [
        *(f"Reverts: {entry['sha']}" for entry in result["reverted"]), "Release: v5.2.1", "Incident: INC-2041",
    ]  # fmt: skip
    assert story.remote.git("log", "-1", "--format=%an <%ae> %cn", "main") == "On Call <oncall@example.com> On Call"
    assert clone.git("for-each-ref", "refs/scout-recovery") == ""
    assert clone.git("rev-parse", "origin/main") == result["commit"]
    again = done(story, push=True, incident="INC-2041", release="v5.2.1")
    assert (again["changed"], again["commit"], again["reverted"], again["files"]) == (False, None, [], [])
    assert again["previous_commit"] == story.tip
    assert again["summary"] == f"main already has the tree of {story.good[:10]}"
    assert story.head == result["commit"]
    assert left_over(tmp_path) == []


def test_check_mode_says_the_same_and_writes_nothing(story: Story, tmp_path: Path) -> None:
    story.another_clone().commit("Later", {"later": "l\n"})
    colleague = Clone(tmp_path / "colleague")
    colleague.push()
    before, remote = everything(story.clone.path), everything(story.remote.path)
    planned = done(story, check=True, include_newer=True, push=True)
    assert everything(story.clone.path) == before
    assert everything(story.remote.path) == remote
    assert left_over(tmp_path) == []
    real = done(story, include_newer=True, push=True)
    assert planned.keys() == real.keys()
    for name in ("changed", "tree", "tip", "target", "reverted", "newer", "files", "totals", "commit_message", "diff"):
        assert planned[name] == real[name], name
    assert (
        planned["summary"]
        == f"would revert 5 commits of main, restoring its tree to that of {story.good[:10]} and push it"
    )
    assert done(story, check=True, push=True)["changed"] is False


def test_without_push_it_is_kept_and_found_again(story: Story) -> None:
    first = done(story)
    assert (first["changed"], first["pushed"], first["kept_ref"]) == (True, False, KEPT)
    assert story.head == story.tip
    assert story.clone.git("rev-parse", KEPT) == first["commit"]
    story.clone.git("gc", "--quiet", "--prune=now")
    assert done(story, check=True)["changed"] is False
    again = done(story)
    assert (again["changed"], again["commit"]) == (False, first["commit"])
    assert f"push origin {KEPT}:refs/heads/main" in again["summary"]
    other = done(story, incident="INC-1")
    assert other["changed"]
    assert other["commit"] != first["commit"]
    pushed = done(story, incident="INC-1", push=True)
    assert (pushed["changed"], pushed["commit"], story.head) == (True, other["commit"], other["commit"])
    assert story.clone.git("for-each-ref", "refs/scout-recovery") == ""


def test_last_counts_along_first_parents(story: Story) -> None:
    result = done(story, last=2, push=True)
    assert [entry["subject"] for entry in result["reverted"]] == ["Worse change", "Merge feature", "work on feature"]
    assert story.remote.tree("main") == story.clone.tree(f"{story.tip}~2")
    again = done(story, last=2, push=True)
    assert (again["changed"], again["previous_commit"], story.head) == (False, story.tip, result["commit"])
    assert "last 9 is more than branch main can revert" in refused(story, last=9)
    assert "give at most 5" in refused(story, last=9)
    assert "last 0 is not usable" in refused(story, last=0)


def test_paths_go_back_alone(story: Story) -> None:
    paths = ["docs/ünï cödé.md", "place", "app/gone.py"]
    result = done(story, paths=paths, push=True)
    clone = story.clone
    listed = story.remote.git("ls-tree", "-r", "main")
    assert listed != clone.git("ls-tree", "-r", story.good)
    for path in paths:
        assert story.remote.git("rev-parse", f"main:{path}") == clone.git("rev-parse", f"{story.good}:{path}")
    for path in ("app/main.py", "app/feature.py", "run.sh"):
        assert story.remote.git("rev-parse", f"main:{path}") == clone.git("rev-parse", f"{story.tip}:{path}")
    assert [entry["subject"] for entry in result["reverted"]] == ["Worse change", "Bad change"]
    assert done(story, paths=paths, push=True)["changed"] is False
    assert "path 'nowhere' is neither in the branch" in refused(story, paths=["nowhere"])
    assert "path '*' is neither" in refused(story, paths=["*"])
    assert "exclude each other" in refused(story, paths=["app"], commits=[story.tip])


def test_a_folder_takes_the_place_of_a_file_again(story: Story) -> None:
    worse = story.clone.git("rev-parse", "HEAD")
    done(story, push=True)
    done(story, to=worse, paths=["place/"], push=True)
    assert story.remote.git("ls-tree", "-r", "--name-only", "main").splitlines().count("place/inside") == 1


def test_single_commits_go_and_newer_ones_stay(story: Story) -> None:
    clone = story.clone
    merge = clone.git("rev-parse", f"{story.tip}^")
    clone.commit("Keep me", {"kept": "k\n"})
    clone.push()
    result = done(story, commits=[merge, story.tip], push=True)
    assert [entry["subject"] for entry in result["reverted"]] == ["Worse change", "Merge feature"]
    expected = {"app/main.py", "docs/ünï cödé.md", "run.sh", "kept", "place"}
    clone.git("config", "core.quotePath", "false")
    assert set(clone.git("ls-tree", "-r", "--name-only", result["commit"]).splitlines()) == expected
    assert clone.git("show", f"{result['commit']}:app/main.py") == "one\nbroken"
    assert done(story, commits=[merge, story.tip], push=True)["changed"] is False
    back = done(story, commits=[result["commit"]], push=True)
    assert story.remote.tree("main") == clone.tree("HEAD")
    assert back["target"] is None


def test_the_first_commit_can_be_reverted(story: Story) -> None:
    first = story.clone.git("rev-list", "--max-parents=0", story.tip)
    result = revert(story, commits=[first])
    assert result["conflicts"] == ["app/main.py", "docs/ünï cödé.md"]


def test_conflicts_are_named_and_nothing_is_left_or_pushed(story: Story, tmp_path: Path) -> None:
    bad = story.clone.git("rev-parse", f"{story.tip}~2")
    before, head = everything(story.clone.path), story.head
    result = revert(story, commits=[bad], push=True)
    assert result["failed"]
    assert (result["error"]["kind"], result["conflicts"], result["pushed"]) == ("not_reached", ["app/main.py"], False)
    assert result["conflicting_commit"]["subject"] == "Bad change"
    assert "'Bad change' conflicts in app/main.py" in result["msg"]
    assert everything(story.clone.path) == before
    assert story.head == head
    assert left_over(tmp_path) == []


def test_commits_the_clone_has_not_seen_are_refused_with_their_list(story: Story) -> None:
    colleague = story.another_clone()
    colleague.commit("Hot fix", {"fix": "f\n"})
    newer = colleague.commit("Another fix", {"fix2": "f\n"})
    colleague.push()
    for options in ({}, {"last": 2}, {"check": True}):
        said = refused(story, push=True, **options)
        assert "refused to revert 2 commits of main that this clone has not seen" in said
        assert f"{newer[:10]} Another fix; " in said
        assert "give include_newer=true" in said
    assert done(story, paths=["app"], push=True)["newer"] == []
    assert story.remote.git("show", "main:fix") == "f"
    story.clone.git("fetch", "--quiet")
    assert done(story, push=True)["newer"] == []
    assert story.remote.tree("main") == story.clone.tree(story.good)


def test_they_are_reverted_where_told(story: Story) -> None:
    colleague = story.another_clone()
    colleague.commit("Hot fix", {"fix": "f\n"})
    colleague.push()
    result = done(story, include_newer=True, push=True)
    assert [entry["subject"] for entry in result["newer"]] == ["Hot fix"]
    assert story.remote.tree("main") == story.clone.tree(story.good)


#: Moves the branch to the next of some commits while a push is on its way.
MOVE = """
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
while read old new ref; do
    [ "$ref" = refs/heads/main ] || exit 0
    next=$(head -n 1 moves); sed -i 1d moves
    [ -z "$next" ] || git update-ref refs/heads/main "$next"
done
"""


def moving(story: Story, times: int) -> list[str]:
    """Lets the remote's branch move on so many times, each during a push."""
    colleague = story.another_clone()
    commits = [colleague.commit(f"Meanwhile {number}", {f"m{number}": "m\n"}) for number in range(times)]
    colleague.push("main:refs/heads/next")
    (story.remote.path / "moves").write_text("".join(f"{commit}\n" for commit in commits))
    story.hook("pre-receive", MOVE)
    return commits


def test_a_branch_that_moves_during_the_push_is_refused_with_what_moved_it(story: Story) -> None:
    [commit] = moving(story, 1)
    result = revert(story, push=True)
    assert "refused to revert 1 commit of main that this clone has not seen" in result["msg"]
    assert [entry["sha"] for entry in result["newer"]] == [commit]
    assert story.head == commit
    assert story.clone.git("for-each-ref", "refs/scout-recovery") == ""


@pytest.mark.parametrize("times", [1, 3])
def test_or_reverted_anew_where_told(story: Story, times: int) -> None:
    commits = moving(story, times)
    result = done(story, push=True, include_newer=True)
    assert story.remote.git("rev-parse", "main^") == commits[-1]
    assert story.remote.tree("main") == story.clone.tree(story.good)
    assert [entry["sha"] for entry in result["newer"]] == [commits[-1]]
    assert len(result["reverted"]) == 4 + times


def test_a_branch_that_keeps_moving_ends_it(story: Story) -> None:
    commits = moving(story, 5)
    result = revert(story, push=True, include_newer=True)
    assert "the branch moved 4 times during the revert" in result["msg"]
    assert story.head == commits[3]


def test_single_commits_need_no_consent_for_what_moved_the_branch(story: Story) -> None:
    moving(story, 2)
    done(story, commits=[story.tip], push=True)
    assert story.remote.git("show", "main:m1") == "m"
    assert story.remote.git("show", "main:app/main.py") == "one\nbroken"


def test_of_many_runs_at_once_one_makes_the_revert(story: Story, tmp_path: Path) -> None:
    clones = [story.clone, story.clone, story.another_clone("b"), story.another_clone("c")]
    with ThreadPoolExecutor(len(clones)) as pool:
        results = list(
            pool.map(lambda clone: run(REVERT, repository=str(clone.path), to=story.good, push=True), clones)
        )
    assert [result.get("msg") for result in results] == [None] * len(clones)
    assert sum(result["changed"] for result in results) == 1
    assert story.history()[0] == f"Revert to {story.good[:10]}"
    assert story.history()[1] == "Worse change"
    assert story.remote.tree("main") == story.clone.tree(story.good)
    assert left_over(tmp_path) == []


def test_of_many_runs_at_once_that_do_not_push_all_name_what_is_there(story: Story) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: done(story), range(4)))
    assert sum(result["changed"] for result in results) == 1
    assert {result["commit"] for result in results} == {story.clone.git("rev-parse", KEPT)}


def test_a_run_that_was_killed_leaves_nothing_for_long(story: Story, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    waits = story.hook("pre-receive", f'touch "{reached}"; sleep 600')
    before = story.clone.state()
    process = started(REVERT, repository=str(story.clone.path), to=story.good, push=True)
    wait_for(reached.exists)
    assert len(left_over(tmp_path)) == 1
    pushes = children(process.pid)
    process.kill()
    process.communicate()
    assert len(left_over(tmp_path)) == 1
    for pid in pushes:
        os.killpg(pid, signal.SIGKILL)
    waits.unlink()
    assert done(story, push=True)["changed"]
    assert left_over(tmp_path) == []
    assert story.clone.state() == before
    assert story.history()[1] == "Worse change"
    assert story.remote.tree("main") == story.clone.tree(story.good)


def test_a_run_that_is_told_to_end_takes_git_with_it(story: Story, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    story.hook("pre-receive", f'touch "{reached}"; sleep 600')
    process = started(REVERT, repository=str(story.clone.path), to=story.good, push=True)
    wait_for(reached.exists)
    [push] = children(process.pid)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert gone(push)
    assert left_over(tmp_path) == []
    assert story.head == story.tip


def test_a_remote_that_hangs_is_given_up(story: Story, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    script = hook(tmp_path / "upload-pack", f'echo $$ >"{marker}"; exec sleep 600')
    story.clone.git("config", "remote.origin.uploadpack", str(script))
    began = time.monotonic()
    said = refused(story, timeout_seconds=2)
    assert time.monotonic() - began < 60
    assert "could not query origin" in said
    assert "it took more than 2 s" in said
    wait_for(lambda: gone(int(marker.read_text())), 1)


def test_hooks_of_the_clone_do_not_run(story: Story, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for name in (
        "pre-push",
        "reference-transaction",
        "post-index-change",
        "pre-auto-gc",
        "post-checkout",
        "pre-commit",
    ):
        hook(story.clone.path / ".git" / "hooks" / name, f'echo {name} >>"{ran}"; exit 1')
    elsewhere = hook(tmp_path / "hooks" / "pre-push", f'echo other >>"{ran}"; exit 1')
    done(story)
    story.clone.git("config", "core.hooksPath", str(elsewhere.parent))
    story.clone.git("config", "core.fsmonitor", str(elsewhere))
    assert done(story, push=True)["pushed"]
    assert not ran.exists()


def test_it_is_signed_only_where_told(story: Story, tmp_path: Path) -> None:
    program = hook(tmp_path / "gpg", "echo no pinentry here >&2; exit 2")
    for name, value in {"commit.gpgSign": "true", "push.gpgSign": "true", "gpg.program": str(program)}.items():
        story.clone.git("config", name, value)
    said = refused(story, sign=True)
    assert "git commit-tree failed" in said
    assert "gpg failed to sign the data" in said
    assert done(story, push=True)["pushed"]
    assert "gpgsig" not in story.remote.git("cat-file", "commit", "main")


def test_what_a_calling_hook_leaves_in_the_environment_does_not_matter(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = told(tmp_path / "other")
    before = everything(other.clone.path)
    git_dir = other.clone.path / ".git"
    for name, value in {
        "GIT_DIR": git_dir, "GIT_WORK_TREE": other.clone.path, "GIT_INDEX_FILE": git_dir / "index", "GIT_PREFIX": "app/",
        "GIT_OBJECT_DIRECTORY": git_dir / "objects", "GIT_NAMESPACE": "x", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z",
        "GIT_CONFIG_PARAMETERS": "'core.bare=true'", "GIT_QUARANTINE_PATH": git_dir,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    result = done(story, push=True)
    monkeypatch.undo()
    assert everything(other.clone.path) == before
    assert (
        subprocess.check_output(["git", "-C", str(story.remote.path), "rev-parse", "main"], text=True).strip()
        == result["commit"]
    )
    dated = subprocess.check_output(
        ["git", "-C", str(story.remote.path), "log", "-1", "--format=%ad", "main"], text=True
    )
    assert "2001" not in dated


@pytest.mark.parametrize("kind", ["bare", "mirror", "worktree", "subfolder", "sha256", "other branch"])
def test_any_clone_will_do(story: Story, tmp_path: Path, kind: str) -> None:
    branch: dict[str, Any] = {}
    if kind == "sha256":
        tmp_path.joinpath("s").mkdir()
        story = told(tmp_path / "s", "--object-format=sha256")
        assert len(story.good) == 64
    path = story.clone.path
    if kind in ("bare", "mirror"):
        path = tmp_path / "bare.git"
        subprocess.run(["git", "clone", "--quiet", f"--{kind}", str(story.remote.path), str(path)], check=True)
    elif kind == "worktree":
        path = tmp_path / "linked"
        story.clone.git("worktree", "add", "--quiet", "--detach", str(path), story.good)
    elif kind == "subfolder":
        path = path / "app"
    elif kind == "other branch":
        story.clone.push("main:refs/heads/release/ü 5".replace(" ", "-"))
        branch = {"branch": "release/ü-5"}
    kept = "refs/scout-recovery/" + ("release%2F%C3%BC-5" if branch else "main")
    assert run(REVERT, repository=str(path), to=story.good, **branch)["kept_ref"] == kept
    result = run(REVERT, repository=str(path), to=story.good, push=True, **branch)
    assert result.get("pushed"), result
    name = branch.get("branch", "main")
    assert story.remote.tree(f"refs/heads/{name}") == story.clone.tree(story.good)
    if branch:
        assert story.head == story.tip


def test_submodules_line_endings_and_large_files_go_back_as_they_are_stored(story: Story) -> None:
    clone = story.clone
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 5\n"
    clone.git("config", "filter.lfs.clean", "false")
    clone.git("config", "filter.lfs.required", "true")
    clone.git("config", "core.autocrlf", "true")
    files = {"crlf.txt": "a\r\nb\r\n", "big.bin": pointer % 1}
    for name, text in files.items():
        blob = subprocess.check_output(
            ["git", "-C", str(clone.path), "hash-object", "-w", "--stdin"], input=text.encode()
        ).decode()
        clone.git("update-index", "--add", "--cacheinfo", f"100644,{blob.strip()},{name}")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{story.good},module")
    clone.git("commit", "--quiet", "-m", "Stored")
    stored = clone.git("rev-parse", "HEAD")
    clone.git("update-index", "--cacheinfo", f"160000,{story.tip},module")
    clone.git("rm", "--cached", "--quiet", "crlf.txt", "big.bin")
    clone.git("commit", "--quiet", "-m", "Other")
    clone.push()
    result = done(story, to=stored, push=True)
    assert story.remote.git("ls-tree", "-r", "main") == clone.git("ls-tree", "-r", stored)
    assert {entry["path"] for entry in result["files"]} == {"crlf.txt", "big.bin", "module"}


def test_a_tree_without_any_file(story: Story) -> None:
    clone = story.clone
    clone.git("rm", "-rq", ".")
    empty = clone.commit("Nothing", {})
    clone.commit("Something", {"some": "thing\n"})
    clone.push()
    done(story, to=empty, push=True)
    assert story.remote.git("ls-tree", "-r", "main") == ""


def test_a_server_that_refuses_is_quoted_and_the_commit_is_kept(story: Story) -> None:
    rule = story.hook("pre-receive", "echo main is protected >&2; exit 1")
    result = revert(story, push=True)
    assert (result["failed"], result["error"]["kind"], result["pushed"]) == (True, "program_failed", False)
    assert "origin rejected the revert of main" in result["msg"]
    assert "main is protected" in result["msg"]
    assert "pre-receive hook declined" in result["msg"]
    assert f"{result['commit'][:10]}:refs/heads/revert-{story.tip[:10]}" in result["error"]["next_step"]
    assert story.head == story.tip
    assert story.clone.git("rev-parse", KEPT) == result["commit"]
    assert "application_push=false" in result["error"]["next_step"]
    without = revert(story, push=False)
    assert (without.get("failed"), without["changed"], without["commit"]) == (None, False, result["commit"])
    rule.unlink()
    assert done(story, push=True)["commit"] == result["commit"]


def test_the_author_may_be_given_and_has_to_be_known(story: Story, tmp_path: Path) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("")
    said = refused(story)
    assert "the revert has no author" in said
    assert "git config" in said
    assert "the revert has no author" in refused(story, check=True)
    assert "author_name must be one line" in refused(story, author_name="x <y>", author_email="a@b")
    done(story, push=True, author_name="Jürgen Müller", author_email="j@example.com", commit_message="Stop it\n\nNow.")
    written = story.remote.git("log", "-1", "--format=%an <%ae> %cn <%ce>%n%B", "main").splitlines()
    assert written[:4] == ["Jürgen Müller <j@example.com> Jürgen Müller <j@example.com>", "Stop it", "", "Now."]
    assert "Incident: adhoc" in written


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no folder": ({"repository": "/nowhere"}, "there is no folder /nowhere"),
    "no clone": ({"repository": "/"}, "/ is not a clone that can be used: fatal: not a git repository"),
    "no name": ({"repository": ""}, "no repository is named"),
    "no remote": ({"remote": "upstream"}, "has no remote upstream: it has origin"),
    "a remote that is an option": ({"remote": "--upload-pack=x"}, "has no remote --upload-pack=x"),
    "no branch": ({"branch": "nope"}, "origin has no branch nope"),
    "no branch name": ({"branch": "a..b"}, "branch 'a..b' is not a name git allows"),
    "unknown": ({"to": "deadbeef"}, "to 'deadbeef' is neither the id of a commit in this repository nor a tag"),
    "empty": ({"to": ""}, "to is empty"),
    "an option": ({"to": "--help"}, "to '--help' is neither"),
    "HEAD": ({"to": "HEAD"}, "to 'HEAD' is neither"),
    "a branch": ({"to": "feature"}, "to 'feature' is neither"),
    "incident": ({"incident": "a b"}, "incident 'a b' is not usable"),
    "time": ({"timeout_seconds": 0}, "timeout_seconds 0.0 is not usable"),
    "unknown single": ({"commits": ["deadbeef"]}, "commits 'deadbeef' is neither"),
    "message": ({"commit_message": " "}, "commit_message is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_is_refused_in_words(story: Story, case: str) -> None:
    options, expected = REFUSALS[case]
    before = everything(story.clone.path)
    chosen = {"to": story.good} if not options.keys() & {"to", "commits"} else {}
    result = run(REVERT, **{"repository": str(story.clone.path), **chosen, **options})
    assert result["failed"]
    assert expected in result["msg"]
    assert result["error"]["next_step"]
    assert everything(story.clone.path) == before


def test_a_branch_named_like_an_id_is_no_id(story: Story) -> None:
    name = story.tip[:8]
    story.clone.git("branch", name, story.good)
    assert revert(story, to=name)["changed"] is False
    story.clone.git("branch", "abcdef12", story.good)
    assert "to 'abcdef12' is neither" in refused(story, to="abcdef12")


def test_a_clone_of_somebody_else_is_refused(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setattr(repository, "PASSED", re.compile("GIT_(?:TEST|CONFIG)_.*"))
    result = revert(story)
    assert "dubious ownership" in result["msg"]
    assert f"git config --global --add safe.directory '{story.clone.path}'" in result["error"]["next_step"]


def test_a_tag_will_do_and_a_commit_elsewhere_will_not(story: Story) -> None:
    clone = story.clone
    clone.git("tag", "-a", "-m", "good", "v5.2.1", story.good)
    clone.git("checkout", "--quiet", "-b", "apart", story.good)
    apart = clone.commit("Apart", {"apart": "a\n"})
    for options in ({"to": apart}, {"commits": [apart]}):
        assert f"commit {apart[:10]} is not part of branch main" in refused(story, **options)
    assert done(story, to="v5.2.1", push=True)["target"] == story.good


def test_a_shallow_clone_is_refused_with_the_command_that_completes_it(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "shallow"
    address = f"file://{story.remote.path}"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", address, str(path)], check=True)
    result = run(REVERT, repository=str(path), to=story.good)
    assert "it is a shallow clone" in result["msg"]
    assert f"git -C {path} fetch --unshallow" in result["error"]["next_step"]


def test_the_credentials_of_an_address_are_not_shown(story: Story) -> None:
    story.clone.git("remote", "set-url", "origin", "https://me:hush@127.0.0.1:9/x.git")
    result = revert(story)
    assert "could not query origin" in result["msg"]
    assert "hush" not in json.dumps(result)


def test_nobody_is_asked_for_anything(story: Story, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    ssh = hook(tmp_path / "bin" / "ssh", f'echo "$@ $SSH_ASKPASS_REQUIRE $GIT_TERMINAL_PROMPT" >"{seen}"; exit 255')
    story.clone.git("remote", "set-url", "origin", "ssh://git@host.invalid/x.git")
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{ssh.parent}{os.pathsep}{path}"
    try:
        assert "could not query origin" in refused(story)
    finally:
        os.environ["PATH"] = path
    assert "BatchMode=yes" in seen.read_text()
    assert "never 0" in seen.read_text()


def test_both_ways_give_the_same(story: Story) -> None:
    options: dict[str, Any] = {"repository": str(story.clone.path), "to": story.good, "push": True}
    one, output = ad_hoc(
        REVERT, "--check", "--diff", env={"GIT_CONFIG_GLOBAL": os.environ["GIT_CONFIG_GLOBAL"]}, **options
    )
    other = executed(REVERT, check=True, **options)
    for name in ("changed", "tree", "reverted", "files", "summary"):
        assert one[name] == other[name], name
    assert "-worse\n+two\n" in other["diff"]["prepared"]
    assert "-worse\n" in output
    assert executed(REVERT, **options)["pushed"]
    assert story.remote.tree("main") == story.clone.tree(story.good)
    wrong, _ = ad_hoc(REVERT, repository=str(story.clone.path), to=story.good, last=1)
    assert "to|last|commits" in wrong["msg"]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# Workflows that a push starts

WORKFLOW = """
name: deploy
on:
  push:
    branches: [main, 'release/**']
    paths: ['supabase/migrations/**']
jobs:
  deploy: {runs-on: ubuntu-latest, steps: [{run: supabase db push}, {run: psql -f legacy/01.sql}]}
"""


def with_workflow(story: Story, text: str = WORKFLOW) -> None:
    colleague = story.another_clone()
    colleague.commit("Deploy at each push", {".github/workflows/production.yml": text})
    colleague.commit("Deploy this", {"later": "l\n"})
    colleague.push()
    story.clone.git("fetch", "origin")


@pytest.mark.parametrize(("options", "skips"), [({}, True), ({"skip_ci": True}, True), ({"skip_ci": False}, False)])
def test_a_pushed_revert_starts_no_second_deployment(story: Story, options: dict[str, bool], skips: bool) -> None:
    with_workflow(story)
    made = done(story, last=1, push=True, **options)
    assert made["workflows"] == ["production.yml"]
    assert ("[skip ci]" in made["commit_message"]) is skips
    assert ("[skip ci]" in story.clone.git("log", "-1", "--format=%B", made["commit"])) is skips


def test_where_no_workflow_deploys_a_revert_is_like_any_push(story: Story) -> None:
    with_workflow(story, WORKFLOW.replace("push:", "workflow_dispatch:"))
    made = done(story, last=1, push=True)
    assert made["workflows"] == []
    assert "[skip ci]" not in made["commit_message"]
