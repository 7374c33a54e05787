# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one playbook through ansible-runner, in a process of its own, and tells what happens as lines of JSON.

A program, not a module: it is run by its path, so that it imports nothing of the collection, and neither the threads nor the
environment of whoever runs the drill reach the playbook. `playing.py` starts it and reads its lines.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import ansible_runner


def _tell(**what: Any) -> None:
    """One line, at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class _Watcher:
    """Sees the events of a run, and notices when nobody waits for it any more."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.pid = 0

    def event(self, event: dict[str, Any]) -> bool:
        """Every event is kept."""
        if not self.pid and event.get("pid"):
            self.pid = int(event["pid"])
            _tell(pid=self.pid)
        if event.get("event") == "playbook_on_task_start":
            _tell(task=event.get("event_data", {}).get("task", ""))
        return True

    def deserted(self) -> bool:
        """Whether the drill is gone; then the playbook has to go too."""
        return os.getppid() != self.parent


def main() -> int:
    """The folder and the playbook are its two arguments."""
    watcher = _Watcher()
    done = ansible_runner.run(
        private_data_dir=sys.argv[1],
        playbook=sys.argv[2],
        ident="run",
        quiet=True,
        event_handler=watcher.event,
        cancel_callback=watcher.deserted,
    )
    # There are none where it was killed.
    stats: Any = getattr(done, "stats", None)
    _tell(rc=done.rc, status=done.status, changed=sum(stats["changed"].values()) if stats else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
