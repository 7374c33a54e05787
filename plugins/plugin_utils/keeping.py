# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process beside the controller that keeps the lease of a play: between two tasks nobody has a session."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ..module_utils.recovery.invoke import CONNECTION_SPEC, settings_of
from ..module_utils.recovery.ledger import keeper
from ..module_utils.recovery.ledger.controller import this_controller

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: Most plays are over before a keeper is needed, and a shell costs next to nothing.
BEGINS = 'sleep "$1"; kill -0 "$2" 2>/dev/null && exec "$3" -c "$4"'
CHILD = "import sys; sys.path[:0] = {paths!r}; from {name} import main; main()"

#: Held as long as this process, which ends with its task: nobody waits for a keeper.
_started: list[subprocess.Popen[bytes]] = []


def begin(params: Mapping[str, t.Any], result: Mapping[str, t.Any], pid: int) -> None:
    """Has the lease kept that a module has taken, if it has."""
    if (
        "ttl_seconds" in params
        and result.get("token")
        and not result.get("failed")
        and params.get("state") != "released"
    ):
        start(params, result["token"], pid)


def start(params: Mapping[str, t.Any], token: int, pid: int) -> subprocess.Popen[bytes]:
    """Has a lease, taken with these options, kept until the process `pid` is gone, or it is not theirs any more.
    How the database is reached goes through a pipe: it stands in no argument and no file."""
    given = {
        "params": {name: params[name] for name in CONNECTION_SPEC},
        "lease": token,
        "pid": pid,
        "started": this_controller(pid).process_started,
    }
    collections: t.Any = sys.modules["ansible_collections"]
    code = CHILD.format(paths=[str(Path(each).parent) for each in collections.__path__], name=__name__)
    process = subprocess.Popen(
        ["/bin/sh", "-c", BEGINS, "sh", str(keeper.every(params["ttl_seconds"])), str(pid), sys.executable, code],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with t.cast("t.IO[bytes]", process.stdin) as pipe:
        pipe.write(json.dumps(given).encode())
    _started.append(process)
    return process


def main() -> None:
    """The keeper: what it is to keep comes from its standard input."""
    given = json.load(sys.stdin)
    settings, source = settings_of("lease", given["params"])
    keeper.watch(settings, source, given["lease"], given["pid"], given["started"], time.sleep)
