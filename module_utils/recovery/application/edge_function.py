# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploying an edge function from the tree of a commit, whatever is checked out, with the Supabase CLI."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tomllib
import typing as t
import urllib.parse
from pathlib import Path, PurePosixPath

from ..core import subprocesses
from ..core.errors import BadInput, ProgramFailed, RecoveryError
from ..core.files import PRIVATE
from ..core.results import ModuleResult
from . import changed_functions, deployments, exported_tree
from .deployments import Deployment, Records

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .repository import Repository

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")
PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: A personal access token of Supabase, what looks like a JWT, the password in an address, and what is named as a secret.
TOKENS = re.compile(
    r"\bsbp_\w{8,}|\bey[\w-]{10,}\.[\w-]{10,}\.[\w-]*|(?<=:)[^\s:/@]+(?=@)"
    r"|(?i:(?<=bearer )\S+|(?<=token=)\S+|(?<=key=)\S+|(?<=secret=)\S+|(?<=password=)\S+|(?<=authorization: )\S+(?: \S+)?)"
)
#: Of no use to a CLI, or somebody else's: the database's, git's, Ansible's, the operator's folders, and where the CLI is to work.
WITHHELD = re.compile(r"(?:PG|SCOUT_|GIT_|ANSIBLE_|XDG_).*|SUPABASE_WORKDIR|SUPABASE_DB_PASSWORD")
TOKEN: t.Final = "SUPABASE_ACCESS_TOKEN"
OUTPUT_BYTES: t.Final = 1 << 16
SHOWN: t.Final = 4000
INSTALL: t.Final = (
    "install it (supabase.com/docs/guides/cli), or name it with cli (edge_function_cli=/path/to/supabase)"
)
LEFT: t.Final = "{0} is not in the commit and stays deployed as it is; if nobody needs it: supabase functions delete {0} --project-ref {1}"
CLOSED: t.Final = (
    "config.toml of the commit switches JWT verification off for {0}, and here it stays on: who calls it without a token is refused; "
    "if that is meant: -e edge_function={0} -e edge_function_verify_jwt=false"
)
OPEN: t.Final = "JWT verification is off: anyone who knows the URL of {} can send it events"


@dataclasses.dataclass(frozen=True)
class Source:
    """What a commit holds of the function: the files to export, and what its config.toml says."""

    tree: str
    files: list[str]
    says_open: bool


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which function is to run where, and from which commit."""

    commit: str
    function: str
    functions_dir: str
    project_ref: str
    cli: str
    token: str | None
    verify_jwt: bool
    timeout_seconds: float
    force: bool = False
    #: What runs now, as somebody says who was there before deployments were written down.
    previous_commit: str | None = None

    @property
    def folder(self) -> str:
        """The folder that the CLI knows as supabase/."""
        return str(PurePosixPath(self.functions_dir).parent)


class DeployResult(ModuleResult):
    """What scout_edge_function returns."""

    run_id: str | None
    function: str
    project_ref: str
    commit: str
    tree: str
    verify_jwt: bool
    previous_commit: str | None
    deployments: t.NotRequired[list[dict[str, t.Any]]]
    files: int
    output: str
    exit_code: t.NotRequired[int | None]
    seconds: float
    effects: dict[str, t.Any]
    warnings: list[str]
    diff: dict[str, t.Any]


#: Of each of several functions, what a result says.
EACH: t.Final = (
    *(
        "function",
        "changed",
        "commit",
        "tree",
        "verify_jwt",
        "previous_commit",
        "files",
        "seconds",
        "output",
        "run_id",
        "summary",
    ),
)


def deploy_all(
    repository: Repository,
    records: Records,
    wanted: Wanted,
    functions: Sequence[str],
    *,
    skip_missing: bool,
    check: bool,
    say: Callable[[str], None],
) -> DeployResult:
    """Several functions from one commit, one after the other, as one result. With `skip_missing` those that the commit does not have are
    left, and named in a warning. Raises BadInput before anything is deployed, ProgramFailed where the CLI fails: what was deployed until
    then is in its result, and is not deployed again by the next run."""
    each = [dataclasses.replace(wanted, function=function) for function in dict.fromkeys(functions)]
    for one in each:
        _refuse_nonsense(one)
    commit = repository.commit_of(wanted.commit, "commit")
    known = changed_functions.names(repository, commit, wanted.functions_dir)
    missing = [one.function for one in each if one.function not in known] if skip_missing else []
    each = [one for one in each if one.function not in missing]
    opened = [one.function for one in each if read(repository, one, commit).says_open and wanted.verify_jwt]
    done: list[DeployResult] = []
    for one in each:
        try:
            done.append(deploy(repository, records, one, check=check, say=say))
        except RecoveryError as e:
            made = [{name: result.get(name) for name in EACH} for result in done]
            e.result = {**e.result, "changed": any(result["changed"] for result in done), "deployments": made}
            raise
    left = [LEFT.format(name, wanted.project_ref) for name in missing]
    return _together(done, [*left, *map(CLOSED.format, opened)], wanted, commit)


def _together(done: list[DeployResult], said: list[str], wanted: Wanted, commit: str) -> DeployResult:
    """What several deployments came to: of those that changed something, or else of all, what they have in common and what is the
    first's."""
    if not done:
        nothing = Deployment("", wanted.project_ref, commit, "", wanted.verify_jwt)
        none = _result(nothing, [], [], changed=False)
        summary = (
            f"no function of {commit[:10]} was changed since" if not said else "none of the functions is in the commit"
        )
        return {**none, "deployments": [], "warnings": said, "summary": summary}
    told = [result for result in done if result["changed"]] or done
    return {
        **told[0],
        "changed": told[0]["changed"],
        "function": ", ".join(result["function"] for result in told),
        "deployments": [{name: result.get(name) for name in EACH} for result in done],
        "files": sum(result["files"] for result in told),
        "seconds": round(sum(result["seconds"] for result in told), 3),
        "output": "\n".join(result["output"] for result in told if result["output"]),
        "warnings": [*said, *(warning for result in done for warning in result["warnings"])],
        "diff": told[0]["diff"] if len(told) == 1 else _diffs(told),
        "summary": "; ".join(result["summary"] for result in told),
    }


def _diffs(told: list[DeployResult]) -> dict[str, t.Any]:
    return {
        side: {result["function"]: result["diff"][side]["deployed"] for result in told} for side in ("before", "after")
    }


def deploy(
    repository: Repository, records: Records, wanted: Wanted, *, check: bool, say: Callable[[str], None]
) -> DeployResult:
    """The deployment as a result; made unless it is the last one made, or this is a check. Raises BadInput for what
    cannot be deployed, ProgramFailed where the CLI fails."""
    _refuse_nonsense(wanted)
    commit = repository.commit_of(wanted.commit, "commit")
    source = read(repository, wanted, commit)
    deployment = Deployment(wanted.function, wanted.project_ref, commit, source.tree, wanted.verify_jwt)
    files = source.files
    cli = _found(wanted.cli)
    given = _known(repository, wanted.previous_commit)
    if check:
        # What leads out of the commit is refused in a dry run, too; the tree is in the scratch folder, which goes.
        _export(repository, wanted, commit, files)
        history = records.history(wanted.function, wanted.project_ref)
        todo = planned(history, deployment, given)
        return _result(todo, history, files, changed=wanted.force or not there(history, deployment), check=True)
    with records.attempt(wanted.function, wanted.project_ref) as attempt:
        todo = planned(attempt.history, deployment, given)
        if there(attempt.history, deployment) and not wanted.force:
            return {**_result(todo, attempt.history, files, changed=False), "run_id": attempt.run_id}
        root = _export(repository, wanted, todo.commit, files)
        attempt.begin(todo)
        say(f"deploying {wanted.function} from {todo.commit[:10]} to {wanted.project_ref}")
        home = repository.scratch / f"home-{wanted.function}"
        home.mkdir(mode=PRIVATE)
        done = _run(root, home, arguments(cli, wanted, config_says_open=source.says_open), wanted)
        output = redacted(done, wanted.token)
        if done.code != 0:
            raise _failed(done, output, wanted, todo)
        made = dataclasses.replace(todo, deployed=True)
        attempt.finish(made)
        result = _result(made, attempt.history, files, changed=True)
        return {**result, "run_id": attempt.run_id, "output": output, "seconds": done.seconds}


def _refuse_nonsense(wanted: Wanted) -> None:
    if not NAME.fullmatch(wanted.function):
        raise BadInput(
            f"function {wanted.function!r} is not the name of a function",
            next_step="letters, digits, - and _, a letter first (for example ingest-transaction)",
        )
    if not PROJECT.fullmatch(wanted.project_ref):
        raise BadInput(
            f"project_ref {wanted.project_ref!r} is not a project reference",
            next_step="take it from the project's address, https://REF.supabase.co (edge_function_project=REF)",
        )
    parts = PurePosixPath(wanted.functions_dir)
    if parts.is_absolute() or ".." in parts.parts or parts.parts[-2:] != ("supabase", "functions"):
        raise BadInput(
            f"functions_dir {wanted.functions_dir!r} is not a folder where the CLI finds functions",
            next_step="give it relative to the top of the repository; it ends in supabase/functions",
        )
    if wanted.token is not None and (not wanted.token.isascii() or not wanted.token.isprintable() or not wanted.token):
        raise BadInput("the token is not valid", next_step="correct it; supabase.com/dashboard/account/tokens has them")


def read(repository: Repository, wanted: Wanted, commit: str) -> Source:
    """What would be deployed, from the commit's tree alone. Raises BadInput where the commit lacks the function,
    disables it, or has a submodule in it."""
    functions = str(PurePosixPath(wanted.functions_dir))
    tree = repository.tree(commit, functions)
    names = changed_functions.names(repository, commit, functions)
    if tree is None or wanted.function not in names:
        there = sorted(filter(changed_functions.is_function, names))
        raise BadInput(
            f"commit {commit[:10]} has no function {wanted.function} in {functions}",
            on=str(repository.folder),
            said=f"it has {', '.join(there)}" if there else "it has none there",
            next_step="name one of them, or a commit that has it",
        )
    asked = ["ls-tree", "-r", "-z", "--full-tree", commit, "--", wanted.folder]
    lines = [line.split(b"\t", 1) for line in repository.run("--literal-pathspecs", *asked).out.split(b"\0") if line]
    for facts, path in lines:
        if facts.startswith(b"160000") and os.fsdecode(path).startswith(f"{functions}/"):
            raise BadInput(
                f"{os.fsdecode(path)} is a submodule, and its files are not in commit {commit[:10]}",
                on=str(repository.folder),
                next_step="deploy it from a checkout with its submodules",
            )
    files = [os.fsdecode(path) for facts, path in lines if not facts.startswith(b"160000")]
    asked = ["cat-file", "blob", f"{commit}:{wanted.folder}/config.toml"]
    config = function_config(repository.run(*asked, codes=(0, 128)).out, wanted.function)
    if config is not None and config.get("enabled", True) is False:
        raise BadInput(
            f"{wanted.folder}/config.toml of commit {commit[:10]} has {wanted.function} disabled: the CLI would skip it",
            on=str(repository.folder),
            next_step="name a commit in which it is enabled",
        )
    return Source(tree, files, says_open=config is None or config.get("verify_jwt", True) is not True)


def function_config(config: bytes, function: str) -> dict[str, t.Any] | None:
    """What a config.toml says of the function; None where it cannot be read to tell. Pure."""
    try:
        found: t.Any = tomllib.loads(config.decode())
        return dict(found.get("functions", {}).get(function, {}))
    except (ValueError, AttributeError, TypeError):
        return None


def _known(repository: Repository, given: str | None) -> str | None:
    """What is said to run now; in check mode it may not have been fetched."""
    if given is None or ID.fullmatch(given):
        return given
    return repository.commit_of(given, "previous_commit")


def planned(history: list[Deployment], deployment: Deployment, given: str | None) -> Deployment:
    """The deployment with the commit that undoes it; pure."""
    return dataclasses.replace(deployment, previous_commit=deployments.before(history, deployment.commit, given))


def there(history: list[Deployment], deployment: Deployment) -> bool:
    """Whether the last deployment begun is this one and finished; pure."""
    return bool(history) and history[0].deployed and history[0].is_like(deployment)


def _export(repository: Repository, wanted: Wanted, commit: str, files: list[str]) -> Path:
    """The folder above supabase/, as a checkout of the commit would have it. Raises ProgramFailed where files are
    missing.

    Not by `git archive`, which omits what is marked export-ignore and rewrites what is marked export-subst.
    """
    top = repository.scratch / f"tree-{wanted.function}"
    top.mkdir()
    more = {"GIT_INDEX_FILE": str(repository.scratch / f"index-{wanted.function}"), "GIT_WORK_TREE": str(top)}
    repository.run("read-tree", commit, more=more)
    names = b"".join(os.fsencode(name) + b"\0" for name in files)
    asked = ["checkout-index", "--force", "-z", "--stdin"]
    repository.run(*asked, more=more, stdin=names, settings=["core.autocrlf=false"], cwd=top)
    missing = [name for name in files if not os.path.lexists(top / name)]
    if missing:
        raise ProgramFailed(
            f"could not export {len(missing)} of {len(files)} files of {commit[:10]}",
            on=str(repository.folder),
            said=missing[0],
            next_step="git fsck",
        )
    root = (top / wanted.folder).parent
    exported_tree.refuse_leaving(root, top, files, wanted.functions_dir, on=str(repository.folder), commit=commit[:10])
    return root


def arguments(cli: str, wanted: Wanted, *, config_says_open: bool) -> list[str]:
    """The command. Verification stays on unless it is switched off here: a `verify_jwt = false` in config.toml is overruled."""
    argv = [cli, "functions", "deploy", wanted.function, "--project-ref", wanted.project_ref]
    if not wanted.verify_jwt:
        argv.append("--no-verify-jwt")
    elif config_says_open:
        argv.append("--no-verify-jwt=false")
    return argv


def _found(cli: str) -> str:
    """The CLI's own path."""
    name = cli if os.sep not in cli else str(Path(cli).expanduser().absolute())
    found = shutil.which(name)
    if found is None:
        raise BadInput(
            f"could not find the Supabase CLI {cli}",
            next_step=INSTALL,
        )
    return found


def _stored_token() -> str | None:
    """What `supabase login` has left in the operator's home."""
    try:
        return (Path.home() / ".supabase" / "access-token").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError, RuntimeError):
        return None


def _run(root: Path, home: Path, argv: list[str], wanted: Wanted) -> subprocesses.Done:
    environ = {name: value for name, value in os.environ.items() if not WITHHELD.fullmatch(name)}
    # Without it the CLI would look for a config.toml in the folders above.
    environ["SUPABASE_WORKDIR"] = str(root)
    # Nothing of the operator's is for a program that reads what a commit has written.
    environ["HOME"] = str(home)
    if token := wanted.token or environ.get(TOKEN) or _stored_token():
        environ[TOKEN] = token
    try:
        return subprocesses.run(
            argv, cwd=root, environment=environ, seconds=wanted.timeout_seconds, limit=OUTPUT_BYTES, tail=True
        )
    except OSError as e:
        raise BadInput(f"could not run the Supabase CLI {argv[0]}", said=e.strerror or str(e), next_step=INSTALL) from e


def redacted(done: subprocesses.Done, token: str | None) -> str:
    """The end of what the CLI wrote, without a token in any spelling."""
    secrets = {value for value in (token, os.environ.get(TOKEN), _stored_token()) if value}
    spellings = {spelling for value in secrets for spelling in (value, urllib.parse.quote(value, safe=""))}
    parts: list[str] = []
    for data in (done.out, done.err):
        said = subprocesses.text(data)
        for spelling in sorted(spellings, key=len, reverse=True):
            said = said.replace(spelling, "***")
        said = TOKENS.sub("***", said)
        parts.append(said if len(said) <= SHOWN else "… " + said[-SHOWN:])
    return "\n".join(part for part in parts if part)


def _failed(done: subprocesses.Done, output: str, wanted: Wanted, todo: Deployment) -> ProgramFailed:
    last = "; ".join(line.strip() for line in output.splitlines()[-8:] if line.strip())
    again = "the current deployment is unknown: run the same command again"
    facts = {"commit": todo.commit, "function": todo.function, "project_ref": todo.project_ref}
    if done.code is None:
        return ProgramFailed(
            f"deploying {wanted.function} took more than {wanted.timeout_seconds:g} s and was ended",
            on=f"project {wanted.project_ref}",
            said=last,
            next_step=f"{again}, with a larger edge_function_timeout_seconds if need be",
            result={"output": output, "exit_code": None, **facts},
        )
    return ProgramFailed(
        f"could not deploy {wanted.function}: the CLI ended with exit code {done.code}",
        on=f"project {wanted.project_ref}",
        said=last,
        next_step=f"fix what it reports (a token, the network, the project's reference); {again}",
        result={"output": output, "exit_code": done.code, **facts},
    )


def _result(
    todo: Deployment, history: list[Deployment], files: list[str], *, changed: bool, check: bool = False
) -> DeployResult:
    """What a deployment came to, or would come to."""
    last = deployments.last_deployed(history)
    warnings = [] if todo.verify_jwt else [OPEN.format(todo.function)]
    if changed and todo.previous_commit is None:
        warnings.append(f"no earlier deployment of {todo.function} is known, so there is no command to undo this one")
    was = None if last is None else {"commit": last.commit, "verify_jwt": last.verify_jwt}
    effects = {name: value for name, value in todo.as_dict().items() if name != "deployed"}
    return {
        "changed": changed,
        "function": todo.function,
        "project_ref": todo.project_ref,
        "commit": todo.commit,
        "tree": todo.tree,
        "verify_jwt": todo.verify_jwt,
        "previous_commit": todo.previous_commit,
        "files": len(files),
        "output": "",
        "seconds": 0.0,
        "run_id": None,
        "effects": effects if changed else {},
        "warnings": warnings,
        "diff": {
            "before": {"deployed": was},
            "after": {"deployed": {"commit": todo.commit, "verify_jwt": todo.verify_jwt} if changed else was},
        },
        "summary": _summary(todo, changed=changed, check=check),
    }


def _summary(todo: Deployment, *, changed: bool, check: bool) -> str:
    what = f"{todo.function} from {todo.commit[:10]}"
    where = f"project {todo.project_ref}"
    if not changed:
        return f"{what} is already deployed to {where}"
    back = f"; previously {todo.previous_commit[:10]}" if todo.previous_commit else ""
    unsafe = "" if todo.verify_jwt else ", WITHOUT JWT verification"
    return f"{'would deploy' if check else 'deployed'} {what} to {where}{unsafe}{back}"
