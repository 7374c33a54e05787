# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the playbooks as a person does, and tells what came of it."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest.mock
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import ansible_runner
import jsonschema
import yaml

from tests import CHECKOUT, public_variables, warm
from tests.e2e.pasting import assert_accepted

PLUGINS = Path(__file__).parent
BIN = Path(sys.executable).parent

RECAP = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)
#: What a debug task shows of a text of several lines.
MESSAGE = re.compile(r"^    msg: \|-\n((?:        .*\n|\n)+)", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CLEARED = ("SCOUT_", "PG", "ANSIBLE_")
#: What a run leaves: what it handed to AWX, and the result file, which a check does not write.
RESULTS = ("documents.json", "result.json")


@dataclass
class Played:
    """What a run left behind: its exit code, the text on the screen, and the documents of its result file."""

    rc: int
    text: str
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """The screen, line by line, without what is empty at the end."""
        return self.text.rstrip().splitlines()

    @property
    def said(self) -> list[str]:
        """The lines of the last summary."""
        found = MESSAGE.findall(self.text)
        return textwrap.dedent(found[-1]).rstrip().splitlines() if found else []

    @property
    def summary(self) -> str:
        """That summary folded into one line, so that a phrase is found wherever it was wrapped, and a command is whole."""
        return " ".join("\n".join(self.said).replace(" \\\n", " ").split())

    def failures(self, host: str) -> str:
        """What the screen says of each task that failed for a host, folded into one line."""
        parts = [part.partition("\n\n")[0] for part in self.text.split("fatal: [")[1:]]
        folded = " ".join(" ".join(part.split()) for part in parts if part.startswith(f"{host}]"))
        # As YAML writes a quote within quotes.
        return folded.replace("''", "'")

    @property
    def result(self) -> dict[str, Any]:
        """The document of the only host."""
        (only,) = self.results.values()
        return only

    def recap(self, host: str | None = None) -> dict[str, int]:
        """ok, changed, failed … of a host, or of the only one."""
        found = {name: dict(part.split("=") for part in rest.split()) for name, rest in RECAP.findall(self.text)}
        chosen = found[host] if host else next(iter(found.values()))
        return {name: int(value) for name, value in chosen.items()}


def listed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by the names of their variables: a test may leave out the scout_."""
    return {f"scout_{name}" if name in public_variables() else name: value for name, value in options.items()}


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A plain shell after `. ./activate`, with nothing of this one's databases in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "COLUMNS": "80",
        "PYTHONUNBUFFERED": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "documents",
        "SCOUT_DOCUMENTS": str(home / "documents.json"),
        "SCOUT_EVIDENCE": str(home / "evidence"),
        "SCOUT_ALLOW_SUPERUSER": "1",
        **(extra or {}),
    }


class Stage:
    """A folder of its own for every test, from which playbooks are run."""

    def __init__(self, home: Path, *, warm: bool = True) -> None:
        self.home, self.warm = home, warm

    @property
    def evidence(self) -> Path:
        """Where snapshots go unless told otherwise."""
        return self.home / "evidence"

    def command(self, playbook: str, dsn: str | None, options: Mapping[str, Any], *arguments: str) -> list[str]:
        """The command line, with the database as it is typed; a bare name is a playbook of the checkout."""
        if "/" not in playbook and not playbook.startswith("scout."):
            playbook = str(CHECKOUT / "playbooks" / f"{playbook}.yml")
        variables = listed(options)
        if dsn:
            variables["scout_dsn"] = dsn
        return [str(BIN / "ansible-playbook"), playbook, "-e", json.dumps(variables), *arguments]

    def play(
        self,
        playbook: str,
        dsn: str | None = None,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = CHECKOUT,
        **options: Any,
    ) -> Played:
        """Runs a playbook to its end."""
        with self.start(playbook, dsn, *arguments, env=env, cwd=cwd, **options) as running:
            return running.wait()

    def start(
        self,
        playbook: str,
        dsn: str | None = None,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = CHECKOUT,
        **options: Any,
    ) -> Running:
        """Starts a playbook in a process group of its own, in a shell in which the database is exported; for a play of one's
        own it is typed."""
        own = "/" in playbook
        exported = {"SCOUT_DSN": dsn, **(env or {})} if dsn and not own else env
        command = self.command(playbook, dsn if own else None, options, *arguments)
        return Running(self, command, environment(self.home, exported), cwd)

    def play_through_runner(self, playbook: str, dsn: str, **options: Any) -> Played:
        """Runs a playbook through ansible-runner, as a scheduler of automation would."""
        private = Path(tempfile.mkdtemp(prefix="runner-", dir=self.home))
        with unittest.mock.patch.dict(os.environ, environment(self.home), clear=True):
            done = ansible_runner.run(
                private_data_dir=str(private),
                project_dir=str(CHECKOUT),
                playbook=str(CHECKOUT / "playbooks" / f"{playbook}.yml"),
                inventory=str(CHECKOUT / "inventories" / "local" / "hosts.yml"),
                extravars=listed({"scout_dsn": dsn, "result_file": str(self.home / "result.json"), **options}),
                quiet=True,
            )
        with done.stdout as screen:
            text = screen.read()
        shutil.rmtree(private)
        return Played(done.rc, _plain(text), self.results())

    def results(self) -> dict[str, dict[str, Any]]:
        """The documents by host; empty where there is none."""
        path = next((path for name in RESULTS if (path := self.home / name).exists()), None)
        if path is None:
            return {}
        found = json.loads(path.read_text())
        documents().validate(found)
        return {made["host"]: made for made in found["results"]}

    def inventory(self, hosts: Mapping[str, Mapping[str, Any]], **variables: Any) -> str:
        """An inventory file with these hosts in group scout."""
        path = self.home / "inventory.yml"
        shared = {"ansible_python_interpreter": sys.executable, **variables}
        path.write_text(yaml.safe_dump({"scout": {"hosts": {h: dict(v) for h, v in hosts.items()}, "vars": shared}}))
        return str(path)


class Running:
    """A playbook on its way; a context manager that leaves none of its processes behind."""

    def __init__(self, stage: Stage, command: list[str], env: Mapping[str, str], cwd: Path) -> None:
        self.stage = stage
        for name in RESULTS:
            (stage.home / name).unlink(missing_ok=True)
        self._screen = tempfile.TemporaryFile("w+", dir=stage.home)  # noqa: SIM115 closed in __exit__
        begin = warm.start if stage.warm and warm.usual(env) else _start
        self.process = begin(command, env, cwd, self._screen.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._screen.close()

    @property
    def text(self) -> str:
        """The screen so far."""
        self._screen.seek(0)
        return _plain(self._screen.read())

    def wait(self, seconds: float = 180) -> Played:
        """Waits for its end."""
        self.process.wait(timeout=seconds)
        played = Played(self.process.returncode, self.text, self.stage.results())
        assert_accepted(played.results.values())
        return played

    def workers(self) -> list[int]:
        """The processes the controller forked."""
        return children(self.process.pid)


@functools.cache
def documents() -> jsonschema.Draft202012Validator:
    """Of a result file. That the schema is one is tested where it is made, and not at each playbook, which would take 0.1 s."""
    return jsonschema.Draft202012Validator(json.loads((CHECKOUT / "docs" / "result.schema.json").read_text()))


def _start(command: list[str], env: Mapping[str, str], cwd: Path, screen: int) -> subprocess.Popen[bytes]:
    """The command itself on its way, as a shell starts it."""
    return subprocess.Popen(
        command,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=screen,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # Whoever runs the tests may have made them deaf to it (nohup), and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 no thread is running yet
    )


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def eventually(condition: Any, seconds: float = 10, what: str = "it") -> Any:
    """What the condition gives as soon as that is true; AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return found


def _plain(text: str) -> str:
    return COLOUR.sub("", text).replace("\r\n", "\n")
