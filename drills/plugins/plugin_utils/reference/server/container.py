# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throwaway PostgreSQL containers with the real pg_cron: `with running() as box`, or start and stop by name."""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import socket
import sys
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from . import docker

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container as DockerContainer

# Another checkout on the same machine has containers of its own.
CHECKOUT = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:8]
PREFIX = f"scout-recovery-{CHECKOUT}-"
LABEL = f"scout-recovery.{CHECKOUT}"
START_SECONDS = 20.0
SUPERUSER = "postgres"
#: Where the image has its socket, and the folder on this machine that stands there.
SOCKETS = "/var/run/postgresql"
INNER = "s"
#: Who may come in where everybody is asked for a password; no address of a network is among them.
RULES = "local all all scram-sha-256"
#: Where the SDK looks for the server, unless DOCKER_HOST says otherwise.
DEFAULT_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Box:
    """A running container; its scheduler lives in the database that `dsn` names."""

    name: str
    dsn: str


def start(
    name: str,
    database: str = "scout",
    settings: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    sockets: Path | None = None,
) -> Box:
    """Return the container of this name, started now unless it runs already.

    It answers on a loopback port of its own, another one after a restart; with `sockets`, a new folder that only its maker
    can enter, it is in no network at all, and answers through a socket there to whoever has the password.
    """
    docker.ready()
    tag = docker.image()
    reach: dict[str, Any]
    if sockets:
        inner = sockets / INNER
        inner.mkdir()
        # The account in the container has a number of its own; the folder around it lets nobody else in.
        inner.chmod(0o777)
        reach = {"network_mode": "none", "volumes": {str(inner): {"bind": SOCKETS, "mode": "rw"}}}
    else:
        # None: any free port of the loopback address.
        reach = {"ports": {"5432/tcp": ("127.0.0.1", None)}}
    with _client() as client:
        found = _find(client, name)
        if found is not None and found.status != "running":
            found.remove(force=True, v=True)
            found = None
        if found is None:
            options = {"cron.database_name": database, **(settings or {})}
            found = client.containers.run(
                tag,
                [word for key, value in options.items() for word in ("-c", f"{key}={value}")],
                name=PREFIX + name,
                labels={LABEL: database, **(labels or {})},
                detach=True,
                shm_size="256m",
                # It needs none: it is initialised, and does not start as root.
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                **reach,
            )
        elif found.labels[LABEL] != database:
            raise docker.Unavailable(
                f"container {name!r} runs with the scheduler in {found.labels[LABEL]!r}: stop it first"
            )
        try:
            server = _await_answer(found, sockets, database)
            return Box(name, f"{_locked(server) if sockets else server}/{database}")
        except Exception:
            found.remove(force=True, v=True)
            raise


def stop(name: str) -> bool:
    """Remove the container of this name and all it held; say whether there was one."""
    with _client() as client:
        found = _find(client, name)
        if found is None:
            return False
        found.remove(force=True, v=True)
        return True


def restart(name: str, *, immediate: bool = False) -> None:
    """Restart the server of this name in good order, or `immediate` as when it crashes."""
    with _client() as client:
        found = _find(client, name)
        if found is None:
            raise docker.Unavailable(f"there is no container {name!r}")
        if immediate:
            found.kill("SIGQUIT")
            found.wait(timeout=START_SECONDS)
            found.start()
        else:
            found.restart(timeout=round(START_SECONDS))


def labelled(label: str) -> list[tuple[str, str, bool]]:
    """The containers of this checkout that carry the label: name, what it says, whether the container runs."""
    with _client() as client:
        boxes: list[Any] = client.containers.list(True, filters={"label": [LABEL, label]})
        return [(box.name.removeprefix(PREFIX), box.labels[label], box.status == "running") for box in boxes]


def stop_all(beginning: str = "") -> list[str]:
    """Remove every container that this checkout started under such a name, and name them."""
    with _client() as client:
        found = {
            str(box.name).removeprefix(PREFIX): box for box in client.containers.list(True, filters={"label": LABEL})
        }
        chosen = sorted(name for name in found if name.startswith(beginning))
        for name in chosen:
            found[name].remove(force=True, v=True)
        return chosen


@contextmanager
def running(database: str = "scout", settings: Mapping[str, str] | None = None) -> Generator[Box]:
    """Lend a container of its own to one block; it is gone afterwards, whatever happened."""
    box = start(f"lent-{uuid.uuid4().hex[:12]}", database, settings)
    try:
        yield box
    finally:
        stop(box.name)


@contextmanager
def _client() -> Generator[DockerClient]:
    """A client of the Docker server; raises Unavailable for whatever goes wrong with it."""
    try:
        from docker import DockerClient
        from docker.errors import DockerException
    except ImportError:
        raise docker.Unavailable("the Docker SDK is missing. Install it with: pip install docker") from None
    _require_listener()
    try:
        client = DockerClient.from_env()
    except DockerException as problem:
        raise docker.Unavailable(str(problem)) from None
    try:
        yield client
    except DockerException as problem:
        raise docker.Unavailable(str(problem)) from problem
    finally:
        client.close()


def _require_listener() -> None:
    """Raises Unavailable where nothing listens on the socket: the SDK would leave its own half of the connection open."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(host.removeprefix("unix://"))
            except OSError as problem:
                raise docker.Unavailable(f"no Docker server listens on {host}: {problem.strerror}") from None


def _find(client: DockerClient, name: str) -> DockerContainer | None:
    from docker.errors import NotFound

    try:
        found = client.containers.get(PREFIX + name)
    except NotFound:
        return None
    if LABEL not in found.labels:
        raise docker.Unavailable(f"{PREFIX + name} exists and was not started by this tool")
    return found


def _await_answer(container: DockerContainer, sockets: Path | None, database: str) -> str:
    """Return the address once the server answers and its scheduler database exists."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        container.reload()
        if container.status == "exited":
            raise docker.Unavailable(
                f"{container.name} stopped: {container.logs(tail=3).decode(errors='replace').strip()}"
            )
        try:
            server = _address(container, sockets)
            with psycopg.connect(f"{server}/postgres", autocommit=True, connect_timeout=2) as session:
                if not session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                    session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            return server
        except (KeyError, ValueError, psycopg.OperationalError):
            if time.monotonic() > deadline:
                raise docker.Unavailable(f"{container.name} did not answer within {START_SECONDS:.0f} s") from None
            time.sleep(0.02)


def _address(container: DockerContainer, sockets: Path | None) -> str:
    if sockets:
        return f"postgresql://{SUPERUSER}@{quote(str(sockets / INNER), safe='')}"
    [binding, *_] = container.ports["5432/tcp"] or []
    return f"postgresql://{SUPERUSER}@127.0.0.1:{binding['HostPort']}"


def _locked(server: str) -> str:
    """The address with the password that the server asks everybody for from now on."""
    password = secrets.token_urlsafe(24)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as session:
        verifier = session.pgconn.encrypt_password(password.encode(), SUPERUSER.encode(), b"scram-sha-256").decode()
        named = sql.Identifier(SUPERUSER), sql.Literal(verifier)
        session.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(*named))
        rules = session.execute("SELECT current_setting('hba_file')").fetchone()
        session.execute(
            sql.SQL("COPY (SELECT {}) TO {}").format(sql.Literal(RULES), sql.Literal(rules[0] if rules else ""))
        )
        session.execute("SELECT pg_reload_conf()")
    return server.replace("@", f":{password}@", 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    starting = actions.add_parser("start", help="start one, or find it running, and print its DSN")
    starting.add_argument("--name", default="default")
    starting.add_argument("--database", default="scout", help="where the scheduler lives (default: scout)")
    starting.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a server setting")
    stopping = actions.add_parser("stop", help="remove one, or all of them")
    stopping.add_argument("--name", default="default")
    stopping.add_argument("--all", action="store_true")
    chosen = parser.parse_args()
    try:
        if chosen.action == "start":
            settings = dict(setting.split("=", 1) for setting in chosen.set)
            print(start(chosen.name, chosen.database, settings).dsn)
        elif chosen.all:
            stop_all()
        else:
            stop(chosen.name)
    except docker.Unavailable as problem:
        print(f"container: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
