#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: a fault of drills/plugins/plugin_utils/reference/faults is injected, or the sessions that faults hold are gone.

Every event that bronze holds afterwards is noted in tap.known, and each that was injected as poison in tap.poison.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import psycopg
from ansible.module_utils.basic import AnsibleModule
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.testing.plugins.module_utils.checkout import part

cli, faults, place, server = part("faults.cli"), part("faults.library"), part("server.places"), part("server.local")

SPEC = {
    "dsn": {"type": "str", "required": True},
    "name": {"type": "str", "choices": sorted(faults.FAULTS)},
    "options": {"type": "dict", "default": {}},
    "user": {"type": "str"},
    "state": {"type": "str", "choices": ["injected", "released"], "default": "injected"},
}

NOTE = "INSERT INTO tap.known SELECT event_id FROM scout.bronze_events ON CONFLICT DO NOTHING"
NOTE_POISON = "INSERT INTO tap.poison SELECT unnest(%s::uuid[]), %s"
RELEASE = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE application_name LIKE 'fault/%' AND datname = current_database()
"""


def inject(dsn: str, name: str, options: dict[str, Any]) -> list[object]:
    """Inject the fault and return the poisoned events; sessions it holds stay with a process in the background."""
    if not faults.FAULTS[name].holds:
        outcome = faults.FAULTS[name](dsn, **options)
        return outcome if name in ("poison_event", "duplicate_in_batch") else []
    words = [f"{key}={value}" for key, value in options.items()]
    command = [sys.executable, "-m", cli.__name__, name, "--dsn", dsn, "--detach", *words]
    done = subprocess.run(command, env=place.environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return []


def _as(dsn: str, user: str | None) -> str:
    return server.uri(conninfo_to_dict(dsn) | ({"user": user} if user else {}))


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, required_if=[("state", "injected", ["name"])])
    dsn, name = module.params["dsn"], module.params["name"]
    with psycopg.connect(dsn, autocommit=True) as session:
        if module.params["state"] == "released":
            ended = session.execute(RELEASE).fetchone()
            module.exit_json(changed=ended != (0,))
        try:
            poisoned = inject(_as(dsn, module.params["user"]), name, module.params["options"])
        except (AssertionError, TypeError, LookupError, psycopg.Error) as error:
            module.fail_json(msg=f"{name}: {error}")
        session.execute(NOTE)
        session.execute(NOTE_POISON, [poisoned, name])
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
