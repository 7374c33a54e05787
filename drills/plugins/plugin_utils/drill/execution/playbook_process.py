# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks on their way: unchanged, as a scheduler of automation would run them; what is left of each is a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

from ..results.records import PlaybookResult

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PLAYER: t.Final = Path(__file__).with_name("runner_child.py")
#: All that reaches a playbook from the shell that the drill was started in: nothing that names another database or another
#: way to play, and no secret, for all of it is kept; and of what libpq knows all that says how, and not where, to connect.
KEPT: t.Final = (
    *("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "SCOUT_REQUIRE_TLS"),
)
#: Variables of libpq that name another database, or hold a secret.
ELSEWHERE: t.Final = (
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "service",
    "password",
    "sslpassword",
    "options",
    "replication",
)
#: Parameters with a secret that no file of libpq takes.
UNKEEPABLE: t.Final = ("sslpassword", "oauth_client_secret", "scram_client_key")
COLOUR: t.Final = re.compile(r"\x1b\[[0-9;]*m")
#: How long a playbook may take to clean up after Ctrl-C.
GRACE_SECONDS: t.Final = 10.0


def of_libpq() -> list[str]:
    """The variables by which this libpq is told how to connect: TLS, what it demands of the server, its timeouts."""
    found = [
        option
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.keyword.decode() not in (*ELSEWHERE, *UNKEEPABLE)
    ]
    return [option.envvar.decode() for option in found if option.envvar]


@dataclasses.dataclass(frozen=True)
class PlaybookCall:
    """What is to be played, and for whom."""

    playbook: Path
    #: Made for this run alone; the artifacts of ansible-runner stay there.
    folder: Path
    dsn: str
    variables: Mapping[str, t.Any]
    actor: str | None = None
    check: bool = False


@dataclasses.dataclass
class PlaybookRunner:
    """Where playbooks are run from: the collection, the configuration, and a private folder for secrets."""

    #: Folders that hold ansible_collections, ours first.
    collections: Sequence[str]
    #: For password files only; nothing of it is kept.
    secrets: Path
    config_file: str | None = None
    #: Whether the databases are on a server of the operator's, who says how it is to be reached. A server of ours knows no TLS.
    as_operator: bool = False

    def start(self, order: PlaybookCall, on_task: Callable[[str], None] = lambda _task: None) -> PlaybookProcess:
        """The playbook on its way."""
        environment = self._environment(order)
        self._prepare(order, environment)
        return PlaybookProcess(order, self.shell(), on_task)

    def shell(self) -> dict[str, str]:
        """For the program that runs it: a plain shell with our tools on its path."""
        names = {*KEPT, *(of_libpq() if self.as_operator else ())}
        kept = {name: value for name, value in os.environ.items() if name in names or name.startswith("LC_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return kept | {"PATH": path}

    def _environment(self, order: PlaybookCall) -> dict[str, str]:
        """For the playbook. ansible-runner writes all of it into its artifacts, so no secret may be in it."""
        parameters = conninfo_to_dict(order.dsn)
        for name in UNKEEPABLE:
            if parameters.get(name):
                raise BadInput(
                    f"a drill cannot use a connection with {name}, which would be kept among its artifacts",
                    next_step=f"give a connection without {name}",
                )
        password = parameters.pop("password", None)
        made = {
            "SCOUT_DSN": make_conninfo("", **t.cast("dict[str, t.Any]", parameters)),
            "SCOUT_EVIDENCE": str(order.folder / "evidence"),
            # The owner of a sandbox may be one.
            "SCOUT_ALLOW_SUPERUSER": "1",
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(self.collections),
            "ANSIBLE_NOCOLOR": "1",
            # Whatever the operator prefers: what a scenario looks for on the screen stands there as it was said.
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "COLUMNS": "80",
        }
        if self.config_file:
            made["ANSIBLE_CONFIG"] = self.config_file
        if order.actor:
            made["SUDO_USER"] = order.actor
        if password:
            made["PGPASSFILE"] = str(self._passfile(order, str(password)))
        return made

    def _passfile(self, order: PlaybookCall, password: str) -> Path:
        file = self.secrets / f"{order.folder.parent.name}-{order.folder.name}"
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(f"*:*:*:*:{escaped}\n")
        return file

    @staticmethod
    def _prepare(order: PlaybookCall, environment: Mapping[str, str]) -> None:
        """What ansible-runner looks for in a folder."""
        inventory = {
            "scout": {
                "hosts": {
                    "drill": {
                        "ansible_connection": "local",
                        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                    }
                }
            }
        }
        variables = {**order.variables, "scout_result_file": str(order.folder / "result.json")}
        for name, content in {
            "inventory/hosts.yml": inventory,
            "env/envvars": dict(environment),
            "env/extravars": variables,
            # How soon it notices that nobody waits any more.
            "env/settings": {"pexpect_timeout": 1},
        }.items():
            path = order.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        if order.check:
            (order.folder / "env" / "cmdline").write_text("--check", encoding="utf-8")
        (order.folder / "project").mkdir(exist_ok=True)


class PlaybookProcess:
    """A playbook on its way."""

    def __init__(self, order: PlaybookCall, shell: Mapping[str, str], on_task: Callable[[str], None]) -> None:
        self._order = order
        self._on_task = on_task
        self._told: dict[str, t.Any] = {}
        self._tasks: list[str] = []
        self._controller: int | None = None
        self._killed = False
        self.started_at = time.time()
        self._began = time.monotonic()
        with (order.folder / "player.log").open("w", encoding="utf-8") as log:
            # -P: the files beside the program are not for it to import.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PLAYER), str(order.folder), str(order.playbook)],
                env=dict(shell), cwd=order.folder, text=True, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                told: dict[str, t.Any] = json.loads(line)
                if "pid" in told:
                    self._controller = int(told["pid"])
                elif "task" in told:
                    self._tasks.append(str(told["task"]))
                    self._on_task(str(told["task"]))
                else:
                    self._told = told

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill_controller(self) -> None:
        """As a power cut would."""
        self._killed = self._signal(signal.SIGKILL)

    def interrupt(self) -> None:
        """As Ctrl-C would."""
        self._signal(signal.SIGINT, group=True)

    def stop(self) -> None:
        """Ends it, and everything it started: first as Ctrl-C would, then at once."""
        self.interrupt()
        if not self.wait(GRACE_SECONDS if self._controller else 0):
            self._killed = self._signal(signal.SIGKILL, group=True)
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)

    def _signal(self, number: int, *, group: bool = False) -> bool:
        if self._controller is None or not self.running:
            return False
        with contextlib.suppress(ProcessLookupError):
            # Its controller leads a session of its own, so it is the leader of its group too.
            (os.killpg if group else os.kill)(self._controller, number)
            return True
        return False

    def played(self) -> PlaybookResult:
        """What is left of it, once it has ended."""
        self._process.wait()
        self._reader.join(timeout=10)
        seconds = time.monotonic() - self._began
        rc = self._told.get("rc")
        if not self._told:
            raise BadInput(
                f"{self._order.playbook.stem} could not be run through ansible-runner",
                said=(self._order.folder / "player.log").read_text(encoding="utf-8", errors="replace")[-600:],
                next_step="see what it says; `pip install ansible-runner` where it is missing",
            )
        results = _results(self._order.folder / "result.json")
        result = results[0] if results else {}
        screen = _screen(self._order.folder / "artifacts" / "run" / "stdout")
        return PlaybookResult(
            rc=rc if isinstance(rc, int) and not self._killed else None,
            seconds=seconds,
            started_at=self.started_at,
            ended_at=self.started_at + seconds,
            changed=self._told.get("changed"),
            said=_said(result) or _last_line(screen),
            result=result,
            tasks=tuple(self._tasks),
            screen=" ".join(screen.split()),
            # One that never got there has the name of its host instead.
            databases=tuple(dict.fromkeys(str(r["database"]) for r in results if r.get("database") != r.get("host"))),
        )


def _said(result: Mapping[str, t.Any]) -> str:
    """`recovered, ingestion running`, or why it failed; empty where it wrote nothing for a machine."""
    if error := result.get("error"):
        return ": ".join(str(error[name]) for name in ("attempted", "said") if error.get(name))
    words = [str(result["outcome"]).replace("_", " ")] if "outcome" in result else []
    known = result.get("ingestion", "unknown") != "unknown"
    return ", ".join([*words, *([f"ingestion {result['ingestion']}"] if known else [])])


def _screen(file: Path) -> str:
    """All that was on the screen, in plain text."""
    try:
        return COLOUR.sub("", file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def _last_line(screen: str) -> str:
    """The last error on it; where there is none the last thing: the end of its summary, or why there was none."""
    lines = [" ".join(line.split()) for line in screen.split("\n") if line.strip()]
    errors = [line for line in lines if line.startswith("[ERROR]:")]
    return (errors or lines or [""])[-1]


def _results(file: Path) -> list[dict[str, t.Any]]:
    """What it wrote for a machine, one for each host; empty where it wrote nothing."""
    try:
        found: list[dict[str, t.Any]] = json.loads(file.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, LookupError):
        return []
    return found
