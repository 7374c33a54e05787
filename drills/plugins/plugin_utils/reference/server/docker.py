# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes Docker answer and the test image exist; a command (`ready`, `image`) and a small library of the same."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

IMAGE = "scout-recovery/postgres:17"
PUBLIC_BASE = "debian:trixie-slim"
OWN_BASE = "scout-recovery/base:trixie"
CONTEXT = Path(__file__).resolve().parent / "image"
CONTENT_LABEL = "scout-recovery.content"

PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "iptables")
DAEMON_LOG = Path("/var/log/scout-recovery-dockerd.log")
LOCK = Path("/run/scout-recovery-docker.lock")

#: Nothing is installed or started unless this variable of the environment is `docker`.
SETUP = "SETUP"

INSTALL_SECONDS = 150
DAEMON_SECONDS = 45
PULL_SECONDS = 120
BUILD_SECONDS = 600


class Unavailable(RuntimeError):
    """Docker or the image cannot be had here; the text is one line that says why."""


def ready() -> None:
    """Return when Docker answers; raise Unavailable where it does not. Nothing is installed or started."""
    if not _allowed_and_answers():
        raise Unavailable(
            "`docker info` fails. Install Docker (https://docs.docker.com/engine/install), start it, join its group; "
            f"on a machine of which you are root and that is for this, {SETUP}=docker has it done: apt-get installs "
            f"{', '.join(PACKAGES)}, and dockerd is started"
        )


def set_up() -> bool:
    """Whether somebody asked for Docker to be installed and started; else it is only used."""
    return os.environ.get(SETUP) == "docker"


def ensure() -> None:
    """Return when Docker answers, installed and started first where that was asked for; else raise Unavailable."""
    make_ready() if set_up() else ready()


def make_ready() -> None:
    """Return when Docker answers; as root it is installed and started first, within a time limit, or Unavailable is raised."""
    if _allowed_and_answers():
        return
    if host := os.environ.get("DOCKER_HOST"):
        raise Unavailable(f"DOCKER_HOST is {host} and does not answer")
    if os.geteuid() != 0:
        raise Unavailable("`docker info` fails, and only root can install or start Docker: start it, or join its group")
    with _exclusive():
        if answers():
            return
        if _daemon_pids():
            _wait(answers, DAEMON_SECONDS, "a dockerd is running here but does not answer")
            return
        if not shutil.which("dockerd") or not shutil.which("docker"):
            _install(*PACKAGES)
            if answers():
                return
        _start_daemon()


def _allowed_and_answers() -> bool:
    if os.environ.get("SCOUT_DOCKER", "").lower() == "off":
        raise Unavailable("SCOUT_DOCKER=off")
    return answers()


def image(*, install: bool = False) -> str:
    """Return the tag of the image, built again whenever its folder has changed; `install`: with apt-get what that needs."""
    content = _content()
    if _label(IMAGE) == content:
        return IMAGE
    base = _base_image(install=install)
    _say(f"building {IMAGE} on {base}")
    proxies = [name for name in ("http_proxy", "https_proxy", "no_proxy") if os.environ.get(name)]
    build = ["docker", "build", "--quiet", "--tag", IMAGE, "--label", f"{CONTENT_LABEL}={content}"]
    build += ["--build-arg", f"BASE_IMAGE={base}"]
    build += [word for name in proxies for word in ("--build-arg", name)]
    _run([*build, str(CONTEXT)], BUILD_SECONDS, f"{IMAGE} could not be built")
    return IMAGE


def _base_image(*, install: bool = False) -> str:
    """Return a base image that is present: the named one, the public one, or one bootstrapped from the machine's mirror."""
    wanted = os.environ.get("SCOUT_BASE_IMAGE", PUBLIC_BASE)
    for tag in (wanted, OWN_BASE):
        if _quiet(["docker", "image", "inspect", tag]):
            return tag
    _say(f"pulling {wanted}")
    if _quiet(["docker", "pull", "--quiet", wanted], PULL_SECONDS):
        return wanted
    _bootstrap(install=install)
    return OWN_BASE


def answers() -> bool:
    """Say whether a Docker server answers now."""
    return shutil.which("docker") is not None and _quiet(["docker", "info"], 15)


def _bootstrap(*, install: bool) -> None:
    if not shutil.which("mmdebstrap"):
        if not install or os.geteuid() != 0:
            raise Unavailable(f"{PUBLIC_BASE} cannot be pulled, and mmdebstrap is not installed to make a base image")
        _install("mmdebstrap")
    _say(f"no registry answers: making {OWN_BASE} with mmdebstrap")
    make = ["mmdebstrap", "--quiet", "--variant=minbase", "trixie"]
    load = ["docker", "import", "--change", 'CMD ["bash"]', "-", OWN_BASE]
    with subprocess.Popen(make, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        try:
            loaded = subprocess.run(load, stdin=source.stdout, capture_output=True, timeout=BUILD_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            source.kill()
            raise Unavailable(f"mmdebstrap took more than {BUILD_SECONDS} s") from None
        _, complaints = source.communicate()
    if source.returncode or loaded.returncode:
        _quiet(["docker", "image", "rm", OWN_BASE])
        raise Unavailable(f"the base image could not be made: {_last_line(complaints or loaded.stderr)}")


def _start_daemon() -> None:
    """Start a plain dockerd that outlives us; one that does not come to answer is stopped again."""
    with DAEMON_LOG.open("wb") as log:
        daemon = subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def up() -> bool:
        if daemon.poll() is not None:
            raise Unavailable(f"dockerd cannot run here: {_last_line(DAEMON_LOG.read_bytes())}")
        return answers()

    try:
        _wait(up, DAEMON_SECONDS, f"dockerd did not answer (see {DAEMON_LOG})")
    except Unavailable:
        if daemon.poll() is None:
            daemon.terminate()
            daemon.wait(15)
        raise


def _install(*packages: str) -> None:
    if not shutil.which("apt-get"):
        raise Unavailable(f"not a Debian system: install {' '.join(packages)} yourself")
    _say(f"installing {' '.join(packages)}")
    apt = [
        "apt-get",
        "-qq",
        "-o",
        "DPkg::Lock::Timeout=120",
        "-o",
        "Acquire::Retries=1",
        "-o",
        "Acquire::http::Timeout=20",
    ]
    install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not _quiet(install, INSTALL_SECONDS, environment):
        _run([*apt, "update"], INSTALL_SECONDS, "apt-get update failed", environment)
        _run(install, INSTALL_SECONDS, f"{' '.join(packages)} cannot be installed", environment)


def _daemon_pids() -> list[int]:
    found: list[int] = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == "dockerd":
                found.append(int(comm.parent.name))
        except OSError:
            continue
    return found


@contextmanager
def _exclusive() -> Generator[None]:
    """Let one caller at a time install or start, so that two runs never start two daemons."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _content() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in CONTEXT.rglob("*") if path.is_file()):
        digest.update(path.relative_to(CONTEXT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _label(tag: str) -> str:
    template = f'{{{{index .Config.Labels "{CONTENT_LABEL}"}}}}'
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", template, tag],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else ""


def _wait(condition: Callable[[], bool], seconds: float, problem: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Unavailable(problem)
        time.sleep(0.2)


def _quiet(command: list[str], seconds: float = 30, environment: dict[str, str] | None = None) -> bool:
    try:
        return (
            subprocess.run(command, capture_output=True, timeout=seconds, check=False, env=environment).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: list[str], seconds: float, problem: str, environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{problem}: no end after {seconds:.0f} s") from None
    except OSError as error:
        raise Unavailable(f"{problem}: {error}") from None
    if done.returncode:
        raise Unavailable(f"{problem}: {_last_line(done.stderr)}")


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith("failed to start daemon")]
    return (fatal or lines or ["no message"])[-1]


def _say(line: str) -> None:
    print(f"docker: {line}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "action", choices=["ready", "image"], help="make Docker answer, or also make the image and print its tag"
    )
    action = parser.parse_args().action
    try:
        ensure()
        if action == "image":
            print(image(install=set_up()))
    except Unavailable as problem:
        _say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
