# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deploy_release.sh leaves to Python: variables for its playbooks, deploy-result.json, which a pipeline parses, and ending
programs.

It reads what the steps left in the artifacts folder, and never what the environment holds besides DEPLOY_*.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

FORMAT = "scout-deploy-result/1"
RESULT = "deploy-result.json"
CHANGING = ("migrate", "deploy", "gate", "rollback")
#: By what name the script notes itself; it is waited for, and never ended.
SCRIPT = "script"
#: What is let come to its end, whoever asks to stop.
FINISHING = ("rollback", "gate_again")
#: How a program is ended, and how long each may take. At the first, psql and others cancel what the server does for them; without
#: that it would go on, and commit after the rollback. The second is for those who do not hear the first, the last cannot be ignored.
ASKED = ((signal.SIGINT, 2.0), (signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))
TOO_LATE = 124
#: How Ansible writes no.
NO = ("no", "n", "false", "f", "off", "0", "0.0")
SAID = {
    "deployed": "{to} is deployed and accepted",
    "checked": "nothing stands against deploying {to}",
    "not_begun": "{to} was not begun, nothing was changed",
    "rolled_back": "rolled back to {from}, the pipeline is as it was before",
    "rollback_failed": "the rollback to {from} failed: a person is needed",
    "still_failing": "rolled back to {from}, and the gate does not pass: a person is needed",
    "interrupted": "interrupted half way and not rolled back to {from}: run it with --rollback",
    "running": "at work",
}


def read(path: Path) -> dict[str, Any]:
    """The document in a file; empty where there is none that can be read."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def hosts(path: Path) -> list[dict[str, Any]]:
    """What a playbook's result file has of each database."""
    found: Any = read(path).get("results")
    results = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", made) for made in results if isinstance(made, dict)]


def settled(path: Path) -> bool:
    """Whether a result is there, and all of it is well."""
    found = hosts(path)
    return bool(found) and all(made.get("ok") is True for made in found)


def unsettled(artifacts: Path) -> bool:
    """Whether a deployment is recorded that began to change something and never came to its end."""
    made = read(artifacts / RESULT)
    begun = {step["name"] for step in made.get("steps", [])}
    return made.get("outcome") in ("running", "interrupted") and bool(begun & set(CHANGING))


def _fields(pid: int) -> list[str]:
    """State, parent, process group … start time of a process, as the kernel counts them; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def at_work(artifacts: Path) -> list[tuple[str, int]]:
    """What of an earlier run still lives, by name and process; one that got its number later was born at another time, and one that
    is no step leads no group, or has not the deployment's id in its environment."""
    path = artifacts / "at-work.tsv"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    noted = [(name, int(pid), born, of) for name, pid, born, of in (line.split("\t") for line in lines)]
    living = [(name, pid, of) for name, pid, born, of in noted if _lives(_fields(pid)) and _fields(pid)[19] == born]
    return [(name, pid) for name, pid, of in living if name == SCRIPT or _is_step(pid, of)]


def _is_step(pid: int, deployment: str) -> bool:
    """Whether a process leads a group, and was begun by that deployment."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"DEPLOY_ID={deployment}".encode() in environment and _fields(pid)[2:3] == [str(pid)]


def _lives(fields: list[str]) -> bool:
    return bool(fields) and fields[0] not in "ZX"


def others(group: int) -> bool:
    """Whether a process of a group lives besides this one."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    found = (_fields(pid) for pid in pids if pid != os.getpid())
    return any(_lives(fields) and fields[2] == str(group) for fields in found)


def _end_group(group: int, lives: Callable[[], bool]) -> None:
    """Ends a process group, asking first."""
    for number, seconds in ASKED:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        over = time.monotonic() + seconds
        while (there := lives()) and time.monotonic() < over:
            time.sleep(0.05)
        if not there:
            return


def run(seconds: float, words: list[str]) -> int:
    """Runs a step in this process's group, and returns its exit code. One without a limit of time comes to its own end, and hears what
    is to end it itself; a program of the team's is ended with all of the group when its time is over, or a signal says so."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: asked.append(number))
    try:
        process = subprocess.Popen(words)
    except OSError as e:
        print(f"deploy_release: could not run {words[0]}: {e.strerror}", file=sys.stderr)
        return 127 if isinstance(e, FileNotFoundError) else 126
    over = time.monotonic() + seconds
    while process.poll() is None and (not seconds or (not asked and time.monotonic() < over)):
        time.sleep(0.05)
    if process.returncode is None:
        code = 128 + asked[0] if asked else TOO_LATE
        _end_group(os.getpgrp(), lambda: process.poll() is None or others(os.getpgrp()))
        return code
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def wait(artifacts: Path, name: str) -> None:
    """Waits for what is at work by this name."""
    while any(found == name for found, _ in at_work(artifacts)):
        time.sleep(0.2)


def end(artifacts: Path) -> None:
    """Sees to it that nothing of an earlier run goes on: a rollback comes to its end, anything else is ended."""
    for name, pid in at_work(artifacts):
        left = f"{name}, which a deployment that was killed had left at work"
        if name in FINISHING:
            print(f"deploy_release: waiting for {left}", flush=True)
            wait(artifacts, name)
        else:
            _end_group(pid, lambda pid=pid: others(pid))
            print(f"deploy_release: ended {left}", flush=True)


def captured_digest(artifacts: Path) -> dict[str, str]:
    """The digest of what this deployment captured itself: whoever may write the ledger can replace a capture there."""
    digests = {made["capture"]["digest"] for made in hosts(artifacts / "capture.json") if made.get("capture")}
    # One for each database where there are several, which a variable of all cannot name.
    return {"scout_release_digest": digests.pop()} if len(digests) == 1 else {}


def ungated(path: Path) -> bool:
    """Whether a file of variables says that the gate does not decide: scout_gate=false, in any of Ansible's words for it."""
    import yaml  # it comes with Ansible, and no other part needs it

    class Loader(yaml.SafeLoader):
        """Vaulted values, and others of a kind of their own, are not looked into."""

    Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)
    try:
        found: Any = yaml.load(path.read_text(encoding="utf-8"), Loader)  # a SafeLoader
    except (OSError, ValueError, yaml.YAMLError):
        # The first playbook that is given it says what is wrong.
        return False
    said = cast("dict[str, Any]", found).get("scout_gate", True) if isinstance(found, dict) else True
    return str(said).strip().lower() in NO


def variables(
    step: str, result: Path, environment: dict[str, str], begun: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a playbook is given before the team's own variables, and what after them."""
    release = environment.get("DEPLOY_TO") or environment["DEPLOY_FROM"]
    default = {"scout_incident": "deploy-" + re.sub(r"[^A-Za-z0-9._-]", "-", release)[:40], "scout_smoke": True}
    own: dict[str, Any] = {"scout_result_file": str(result)}
    if step == "capture":
        # The clone has the new release checked out: its commit is not that of the one that runs.
        own |= {
            "scout_release": environment["DEPLOY_FROM"],
            "scout_git_commit": environment["DEPLOY_COMMIT"],
            "scout_application_dir": "",
        }
        # Unless the team's variables name the role that migrates, none may create what a rollback could not drop.
        default |= {"scout_deployed_by": "*"} if environment.get("DEPLOY_MIGRATES") else {}
    elif step in ("plan_rollback", "rollback"):
        own |= {"scout_release": environment["DEPLOY_FROM"], "scout_application_dir": environment["DEPLOY_APPLICATION"]}
        own |= captured_digest(result.parent)
        # What fails already fails after a rollback, too: its own gate decides as little as the others.
        own |= {"scout_gate": False} if environment.get("DEPLOY_ALTHOUGH_FAILING") else {}
    if step == "rollback":
        # What the team's own program deploys is in no ledger, so what the ledger has last may not be what runs.
        default["scout_edge_function_force"] = "deploy" in begun or not {"migrate", "gate"} & set(begun)
    return default, own


def steps(artifacts: Path) -> list[dict[str, Any]]:
    """Every step that was begun, in order; one that has no end has no exit code."""
    made: list[dict[str, Any]] = []
    path = artifacts / "steps.tsv"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        name, what, at, *code = line.split("\t")
        if what == "begun":
            made.append({"name": name, "exit_code": None, "seconds": None, "began": float(at)})
        else:
            made[-1] |= {"exit_code": int(code[0]), "seconds": round(float(at) - made[-1]["began"], 3)}
    return [_described(artifacts, step) for step in made]


def _described(artifacts: Path, step: dict[str, Any]) -> dict[str, Any]:
    name = step["name"]
    found = hosts(artifacts / f"{name}.json")
    gates = [made["gate"]["exit_code"] for made in found if made.get("gate")]
    return {
        **step,
        "log": f"{name}.log",
        "result_file": f"{name}.json" if found else None,
        "outcome": [made["outcome"] for made in found],
        "gate_code": max(gates, default=None),
        "runs": [
            {"host": made["host"], "step": part["name"], "run_id": part["run_id"]}
            for made in found
            for part in made["steps"]
            if part["run_id"]
        ],
    }


def document(artifacts: Path, outcome: str, code: str, environment: dict[str, str]) -> dict[str, Any]:
    """What deploy-result.json says; its schema is docs/deploy-result.schema.json."""
    taken = steps(artifacts)
    began = min((step["began"] for step in taken), default=time.time())
    failed = next((step["name"] for step in taken if step["exit_code"] and step["name"] != "notify"), None)
    telling = [made for step in reversed(taken) for made in hosts(artifacts / f"{step['name']}.json")]
    last = hosts(artifacts / f"{next((s['name'] for s in reversed(taken) if s['result_file']), '')}.json")
    back = hosts(artifacts / "rollback.json")
    wrong = outcome not in ("deployed", "checked", "running")
    return {
        "format": FORMAT,
        "outcome": outcome,
        "exit_code": int(code) if code else None,
        "from": environment["DEPLOY_FROM"],
        "to": environment.get("DEPLOY_TO") or None,
        "commit": environment.get("DEPLOY_COMMIT") or None,
        "failed_step": failed,
        "ingestion": next((made["ingestion"] for made in telling if made["ingestion"] != "unknown"), "unknown"),
        "seconds": round(time.time() - began, 3),
        "steps": [{name: value for name, value in step.items() if name != "began"} for step in taken],
        "errors": [{"host": made["host"], **made["error"]} for made in last if wrong and made.get("error")],
        "undo": [made["undo"] for made in back if made.get("undo")],
        "next": list(dict.fromkeys(todo for made in [*back, *last] if wrong for todo in made.get("next", []))),
    }


def write(artifacts: Path, made: dict[str, Any]) -> None:
    """The file is whole at any time."""
    path = artifacts / RESULT
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps(made, indent=1) + "\n")
    beside.replace(path)


def told(made: dict[str, Any]) -> list[str]:
    """The end of the screen."""
    lines = [f"deploy_release: {SAID[made['outcome']].format(**made)} ({made['seconds']:.0f} s)"]
    failed = next((step for step in made["steps"] if step["name"] == made["failed_step"]), None)
    if failed:
        gate = f", gate {failed['gate_code']}" if failed["gate_code"] else ""
        lines.append(f"  failed  {failed['name']} with exit code {failed['exit_code']}{gate}: {failed['log']}")
    lines += [f"  error   {error['attempted']}: {error['said']}" for error in made["errors"]]
    for todo in made["next"]:
        # A command that words introduce gets a line of its own, to be copied.
        words, *more = re.split(r": (?=ansible-playbook )|; (?=to )", todo)
        lines += [f"  next    {words}", *(f"          {line}" for line in more)]
    lines += [f"  undo    {way}" for way in made["undo"]]
    return [*lines, f"  ingestion is {made['ingestion']}; all of it is in {RESULT}"]


def main(words: list[str]) -> int:
    """Does what the script asks."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("DEPLOY_")}
    match words:
        case ["at_work", artifacts]:
            print("\n".join(name for name, _ in at_work(Path(artifacts))))
        case ["wait", artifacts, name]:
            wait(Path(artifacts), name)
        case ["end", artifacts]:
            end(Path(artifacts))
        case ["step", code, seconds, *program]:
            Path(code).write_text(str(run(float(seconds), program)), encoding="utf-8")
        case [("settled" | "unsettled" | "ungated") as which, path]:
            judge = {"settled": settled, "unsettled": unsettled, "ungated": ungated}[which]
            return 0 if judge(Path(path)) else 1
        case ["variables", step, result, work]:
            begun = [made["name"] for made in steps(Path(result).parent)]
            for name, values in zip(("default", "own"), variables(step, Path(result), environment, begun), strict=True):
                (Path(work) / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
        case ["write", artifacts, outcome, code]:
            write(Path(artifacts), document(Path(artifacts), outcome, code, environment))
        case ["tell", artifacts]:
            print("\n".join(told(read(Path(artifacts) / RESULT))))
        case _:
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
