# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh of real receptors on this machine, from the configuration of deploy/receptor: a controller, a hop, two nodes."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import ansible_runner
import yaml

from tests import debian
from tests.e2e.play import BIN, CHECKOUT, children
from tests.mesh.networks import Network, Ports

DEPLOYED = CHECKOUT / "deploy" / "receptor"
NODES = ("luzon", "visayas")
#: What a job brings: the screen of this collection, and the right to be a superuser of a throwaway server.
ENVIRONMENT = {"ANSIBLE_CALLBACKS_ENABLED": "scout.recovery.summary", "SCOUT_ALLOW_SUPERUSER": "1"}


class Mesh:
    """Its nodes by name, each a process group of its own, with what it starts."""

    def __init__(
        self, home: Path, sockets: Path, program: debian.Program, execution: Sequence[str], network: Network
    ) -> None:
        self.execution, self.network = execution, network
        self.home, self.sockets, self.program = home, sockets, program
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        path = f"{Path(program.path).parent}{os.pathsep}{BIN}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "SCOUT_", "ANSIBLE_"))}
        # The collection is installed on each node; its project does not travel.
        self.environment = {**kept, "PATH": path, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")}
        self.environment |= program.environment

    def __enter__(self) -> Self:
        made = [str(DEPLOYED / "certificates"), str(self.home / "etc"), "controller", "hop", *self.execution]
        subprocess.run(made, env=self.environment, check=True, capture_output=True)
        for name in ("hop", "controller", *self.execution):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.nodes):
            self.kill(name)

    def start(self, name: str) -> None:
        """Starts a node, whose configuration differs from the one that is deployed by paths, port and name alone."""
        kind = name if name in ("controller", "hop") else "execution"
        text = (DEPLOYED / f"{kind}.yml").read_text(encoding="utf-8")
        for there, here in (
            ("/etc/receptor", str(self.home / "etc")),
            ("/var/lib/receptor", str(self.home / name)),
            ("/run/receptor/receptor.sock", str(self.sockets / name)),
            ("hop:27199", self.network.hop),
            ("27199", str(self.network.port)),
            ("luzon", name),
        ):
            text = text.replace(there, here)
        assert yaml.safe_load(text)
        config = self.home / f"{name}.yml"
        config.write_text(text)
        (self.home / name).mkdir(exist_ok=True)
        with (self.home / f"{name}.log").open("ab") as log:
            self.nodes[name] = subprocess.Popen(
                [*self.network.within(name), self.program.path, "--config", str(config)],
                env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """Kills a node, and all that runs on it: as a machine that loses its power, nothing of it says goodbye."""
        for pid in reversed(self.running(name)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nodes.pop(name).wait()

    def lose(self, name: str) -> None:
        """A machine is not heard of any more: it has lost its network, and what runs on it goes on; else its power."""
        if isinstance(self.network, Ports):
            self.kill(name)
            return
        for device in ("mesh", "db"):
            self.network.link(name, device, "down")

    def find(self, name: str) -> None:
        """It is there again."""
        if isinstance(self.network, Ports):
            self.start(name)
            return
        for device in ("mesh", "db"):
            self.network.link(name, device, "up")

    def cut(self, name: str) -> None:
        """The link between a node and the hop is down, or else the hop."""
        if isinstance(self.network, Ports):
            self.kill("hop")
        else:
            self.network.link(name, "mesh", "down")

    def restore(self, name: str) -> None:
        """It is up again."""
        if isinstance(self.network, Ports):
            self.start("hop")
        else:
            self.network.link(name, "mesh", "up")

    def running(self, name: str) -> list[int]:
        """All processes of a node."""
        found = [self.nodes[name].pid]
        for pid in found:
            found += children(pid)
        return found

    @staticmethod
    def of_job(dsn: str) -> list[int]:
        """The processes that work on this database, its keeper of the lease among them; quickly, for they are to be stopped."""
        named, found = f"SCOUT_DSN={dsn}".encode(), list[int]()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if named in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def submit(self, node: str, job: Path) -> dict[str, Any]:
        """Submits a job for a node, signed; gives its unit."""
        controller = _receptorctl(self.program).ReceptorControl(str(self.sockets / "controller"))
        for attempt in range(150):
            try:
                with job.open("rb") as payload:
                    return controller.submit_work("ansible-runner", payload, node=node, signwork=True)
            except (OSError, RuntimeError, ValueError):
                if attempt == 149:
                    raise
                time.sleep(0.2)
            finally:
                controller.close()
        raise AssertionError("never")

    def cpu_seconds(self) -> float:
        """What all receptors have taken so far, with what they started and waited for."""
        ticks = 0
        for process in self.nodes.values():
            fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def results(self, unit: Mapping[str, Any], into: Path) -> int:
        """Waits for the end of a job, and has ansible-runner write what comes of it; how many bytes came."""
        controller = _receptorctl(self.program).ReceptorControl(str(self.sockets / "controller"))
        came = controller.get_work_results(unit["unitid"]).read()
        _streamed("process", into, _input=io.BytesIO(came))
        controller.close()
        return len(came)


def _receptorctl(program: debian.Program) -> Any:
    """The client that comes with the daemon, which is for a Python of Debian's."""
    path = Path(program.path).parents[1] / "lib" / "python3" / "dist-packages" / "receptorctl" / "socket_interface.py"
    spec = importlib.util.spec_from_file_location("receptorctl_socket_interface", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def opened(home: Path, execution: Sequence[str] = NODES, network: Network | None = None) -> Generator[Mesh]:
    """A mesh, on ports unless a network is given; raises debian.Unavailable where there is no receptor."""
    program = debian.program("receptor", "receptor", "python3-receptorctl")
    sockets = Path(tempfile.mkdtemp(prefix="mesh-"))
    try:
        with Mesh(home, sockets, program, execution, network or Ports()) as mesh:
            yield mesh
    finally:
        shutil.rmtree(sockets)


def job(home: Path, playbook: str, dsn: str | Mapping[str, str], **variables: Any) -> Path:
    """What `ansible-runner transmit` sends: a playbook of the installed collection, an inventory and variables. One database is
    that of the environment; several are hosts."""
    private = Path(tempfile.mkdtemp(prefix="job-", dir=home))
    for folder in ("inventory", "env", "project"):
        (private / folder).mkdir()
    there = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = (
        {"production": there}
        if isinstance(dsn, str)
        else {name: {**there, "scout_dsn": at} for name, at in dsn.items()}
    )
    (private / "inventory" / "hosts.yml").write_text(yaml.safe_dump({"scout": {"hosts": hosts}}))
    (private / "env" / "extravars").write_text(json.dumps(variables))
    named = {"SCOUT_DSN": dsn} if isinstance(dsn, str) else {}
    (private / "env" / "envvars").write_text(json.dumps({**named, **ENVIRONMENT}))
    payload = home / f"{private.name}.payload"
    with payload.open("wb") as file:
        _streamed("transmit", private, _output=file, playbook=f"scout.recovery.{playbook}")
    return payload


def _streamed(what: str, private: Path, **more: Any) -> None:
    """What its command does, without its start; that installs handlers of signals, too. tests/e2e/test_runner.py has the commands."""
    ansible_runner.run(
        streamer=what, private_data_dir=str(private), ident="job", quiet=True, cancel_callback=lambda: False, **more
    )
