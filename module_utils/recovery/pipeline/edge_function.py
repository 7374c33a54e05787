# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys edge functions from a commit with the Supabase CLI and records in the ledger what was deployed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
import typing as t
from pathlib import Path

from ..core import subprocesses
from ..core.errors import BadInput, ProgramFailed
from ..core.results import ModuleResult
from ..invoke import check_options
from ..ledger import runs
from ..postgres.failures import attempting

if t.TYPE_CHECKING:
    from ..invoke import Call, Params

ACTION: t.Final = "deploy"
FUNCTIONS: t.Final = "supabase/functions"
TOKEN: t.Final = "SUPABASE_ACCESS_TOKEN"
NAME: t.Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")
PROJECT: t.Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
COMMIT: t.Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: The CLI gets no variable of the database, of git or of Ansible.
WITHHELD: t.Final = re.compile(r"(?:PG|SCOUT_|GIT_|ANSIBLE_).*|SUPABASE_WORKDIR|SUPABASE_DB_PASSWORD")
#: Access tokens of Supabase and JSON web tokens.
SECRETS: t.Final = re.compile(r"\bsbp_\w{8,}|\bey[\w-]{10,}\.[\w-]{10,}\.[\w-]*")
OUTPUT_BYTES: t.Final = 4000
GIT_SECONDS: t.Final = 120

LAST_DEPLOYMENT = """
SELECT effects FROM scout_ops.runs
WHERE action = %(action)s AND effects ->> 'project_ref' = %(project_ref)s AND effects -> 'functions' ? %(function)s
ORDER BY started_at DESC, run_id LIMIT 1
"""


class DeployResult(ModuleResult):
    """What scout_edge_function returns."""

    functions: list[str]
    project_ref: str
    commit: str
    previous_commit: str | None
    verify_jwt: bool
    output: str
    run_id: str | None
    effects: dict[str, t.Any]
    warnings: list[str]


def deploy(call: Call, params: Params) -> DeployResult:
    """Deploy those functions whose last recorded deployment is another one, and return what was deployed.

    The ledger has each function before its deployment begins and again once it is complete, so an interrupted
    deployment is repeated. Raises BadInput before anything is deployed, ProgramFailed if the CLI fails.
    """
    _refuse_bad_options(params)
    functions = list(dict.fromkeys(params["functions"]))
    wanted = {name: params[name] for name in ("project_ref", "commit", "previous_commit", "verify_jwt")}
    cli = _find_cli(params["cli"])
    with tempfile.TemporaryDirectory(prefix="scout-edge-function-") as folder:
        tree = _export(params["repository"], params["commit"], Path(folder).resolve())
        warnings = _refuse_undeployable(tree, functions, params)
        todo = [name for name in functions if params["force"] or not _is_deployed(call, name, wanted)]
        if call.check or not todo:
            return _result(todo, wanted, warnings, check=call.check)
        asked = {"functions": todo, "project_ref": params["project_ref"]}
        outputs: list[str] = []
        with runs.operation(
            call.ensure("required"), ACTION, asked, lease_token=params["lease_token"], takeover=params["takeover"]
        ) as run:
            done: dict[str, bool] = {}
            for name in todo:
                _record(call, run, wanted, done | {name: False})
                call.progress.say(f"deploying {name} from {params['commit'][:10]} to {params['project_ref']}")
                outputs.append(_run_cli(cli, name, tree, params))
                done[name] = True
                _record(call, run, wanted, done)
        return {
            **_result(todo, wanted, warnings),
            "output": "\n".join(filter(None, outputs)),
            "run_id": run.run_id,
            "effects": run.effects,
        }


def _refuse_bad_options(params: Params) -> None:
    check_options(params)
    if params["ledger"] == "off":
        raise BadInput("refused to deploy without a record of it", next_step="leave ledger as auto (scout_ledger)")
    for name in params["functions"]:
        if not NAME.fullmatch(name):
            raise BadInput(
                f"functions has {name!r}, which is no name of a function",
                next_step="use letters, digits, - and _, a letter first (edge_functions=ingest-transaction)",
            )
    if not PROJECT.fullmatch(params["project_ref"]):
        raise BadInput(
            f"project_ref {params['project_ref']!r} is no project reference",
            next_step="take it from the project's URL, https://REF.supabase.co (edge_function_project=REF)",
        )
    if not COMMIT.fullmatch(params["commit"]):
        raise BadInput(
            f"commit {params['commit']!r} is no full commit id", next_step="give what git rev-parse prints for it"
        )


def _find_cli(cli: str) -> str:
    found = shutil.which(Path(cli).expanduser() if os.sep in cli else cli)
    if found is None:
        raise BadInput(
            f"could not find the Supabase CLI {cli}",
            next_step="install it (supabase.com/docs/guides/cli), or give its path (edge_function_cli=PATH)",
        )
    return str(Path(found).absolute())


def _export(repository: str, commit: str, folder: Path) -> Path:
    """Check out the commit's folder supabase below `folder`; index, branches and files of the clone stay as they are."""
    tree = folder / "tree"
    tree.mkdir()
    argv = ["git", "-c", "core.hooksPath=/dev/null", "-C", str(Path(repository).expanduser())]
    argv += ["--work-tree", str(tree), "checkout", "--quiet", commit, "--", "supabase"]
    environment = {**os.environ, "GIT_INDEX_FILE": str(folder / "index"), "LC_ALL": "C"}
    done = subprocesses.run(argv, cwd=tree, environment=environment, seconds=GIT_SECONDS)
    if done.code != 0:
        raise BadInput(
            f"could not read the folder supabase of commit {commit[:10]}",
            on=repository,
            said=subprocesses.text(done.err),
            next_step="give a clone that has this commit, or fetch it there",
        )
    return tree


def _refuse_undeployable(tree: Path, functions: list[str], params: Params) -> list[str]:
    """Raise BadInput for what cannot be deployed as it is; return warnings about the rest."""
    about = f"commit {params['commit'][:10]}"
    for path in tree.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(tree / "supabase"):
            raise BadInput(
                f"refused to deploy {about}: {path.relative_to(tree)} is a link to {path.readlink()}",
                said="the CLI would upload a file that is not in the commit",
                next_step="deploy a commit that has a file there",
            )
    found = sorted(
        path.name
        for path in (tree / FUNCTIONS).glob("[!_.]*")
        # A submodule is an empty folder here.
        if path.is_dir() and any(path.iterdir())
    )
    if missing := [name for name in functions if name not in found]:
        raise BadInput(
            f"{about} has no function {', '.join(missing)}",
            on=params["repository"],
            said=f"it has {', '.join(found) or 'none'} in {FUNCTIONS}",
            next_step="name those to deploy (edge_functions=NAME,NAME)",
        )
    settings = _read_settings(tree, about)
    if disabled := [name for name in functions if settings.get(name, {}).get("enabled") is False]:
        raise BadInput(
            f"supabase/config.toml of {about} disables {', '.join(disabled)}, so the CLI would skip it",
            next_step="name the other functions (edge_functions=NAME,NAME)",
        )
    if not params["verify_jwt"]:
        return [f"JWT verification is off: anyone who knows the URL of {', '.join(functions)} can call it"]
    return [
        f"supabase/config.toml turns JWT verification off for {name}, and it stays on here: callers without a token are "
        f"refused; to turn it off: -e scout_edge_functions={name} -e scout_edge_function_verify_jwt=false"
        for name in functions
        if settings.get(name, {}).get("verify_jwt") is False
    ]


def _read_settings(tree: Path, about: str) -> dict[str, t.Any]:
    """What config.toml says of each function."""
    path = tree / "supabase" / "config.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("functions", {}) if path.exists() else {}
    except ValueError as e:
        raise BadInput(
            f"could not read supabase/config.toml of {about}", said=str(e), next_step="deploy a commit with valid TOML"
        ) from e


def _is_deployed(call: Call, function: str, wanted: dict[str, t.Any]) -> bool:
    """Whether the last recorded deployment of the function is complete and was this one, in place of the same commit."""
    with attempting("could not read the ledger", on=call.session.where), call.session.read():
        if not call.look().present:
            return False
        rows = call.session.rows(LAST_DEPLOYMENT, action=ACTION, project_ref=wanted["project_ref"], function=function)
    if not rows:
        return False
    last: dict[str, t.Any] = rows[0]["effects"]
    return last["functions"][function] and all(last.get(name) == value for name, value in wanted.items())


def _record(call: Call, run: runs.Run, wanted: dict[str, t.Any], functions: dict[str, bool]) -> None:
    """Write which functions are deployed; false is one whose deployment has begun."""
    with attempting("could not write to the ledger", on=call.session.where), call.session.write():
        run.record(**wanted, functions=dict(functions))


def _run_cli(cli: str, function: str, tree: Path, params: Params) -> str:
    """Deploy one function and return what the CLI printed, without secrets."""
    environment = {name: value for name, value in os.environ.items() if not WITHHELD.fullmatch(name)}
    # Otherwise the CLI looks for a config.toml in the folders above.
    environment["SUPABASE_WORKDIR"] = str(tree)
    if params["token"]:
        environment[TOKEN] = params["token"]
    argv = [cli, "functions", "deploy", function, "--project-ref", params["project_ref"]]
    # Said in both cases, because config.toml may say something else.
    argv.append(f"--no-verify-jwt={'false' if params['verify_jwt'] else 'true'}")
    try:
        done = subprocesses.run(
            argv, cwd=tree, environment=environment, seconds=params["timeout_seconds"], limit=OUTPUT_BYTES, tail=True
        )
    except OSError as e:
        raise BadInput(f"could not run the Supabase CLI {cli}", said=str(e), next_step="check edge_function_cli") from e
    output = "\n".join(filter(None, (subprocesses.text(done.out), subprocesses.text(done.err))))
    if secret := environment.get(TOKEN):
        output = output.replace(secret, "***")
    output = SECRETS.sub("***", output)
    if done.code == 0:
        return output
    why = (
        f"took more than {params['timeout_seconds']:g} s" if done.code is None else f"ended with exit code {done.code}"
    )
    raise ProgramFailed(
        f"could not deploy {function}: the CLI {why}",
        on=f"project {params['project_ref']}",
        said="; ".join(output.splitlines()[-8:]),
        next_step="fix what it reports (the token, the network, the project reference), then run the same command again",
        result={"output": output},
    )


def _result(todo: list[str], wanted: dict[str, t.Any], warnings: list[str], *, check: bool = False) -> DeployResult:
    commit, project = wanted["commit"][:10], wanted["project_ref"]
    summary = f"project {project} has the functions of {commit} already"
    if todo:
        summary = f"{'would deploy' if check else 'deployed'} {', '.join(todo)} from {commit} to project {project}"
    return {
        "changed": bool(todo),
        "functions": todo,
        "project_ref": project,
        "commit": wanted["commit"],
        "previous_commit": wanted["previous_commit"],
        "verify_jwt": wanted["verify_jwt"],
        "output": "",
        "run_id": None,
        "effects": {},
        "warnings": warnings,
        "summary": summary,
    }
