#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: every pgTAP assertion of each file holds, or the failing ones are named; whatever a file does is rolled back."""

from __future__ import annotations

from pathlib import Path

import psycopg
from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "dsn": {"type": "str", "required": True},
    "src": {"type": "list", "elements": "path", "required": True},
}


def lines(session: psycopg.Connection[tuple[object, ...]], text: str) -> list[str]:
    """Run the file between plan and finish, and return its TAP lines."""
    session.execute("SET LOCAL search_path = tap, public")
    cursor = session.execute(f"SELECT no_plan(); {text}; SELECT finish()".encode())
    found = []
    while True:
        if cursor.description:
            found += [line for row in cursor for line in str(row[0]).splitlines()]
        if not cursor.nextset():
            return found


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    held, bad = 0, []
    with psycopg.connect(module.params["dsn"], options="-c TimeZone=UTC") as session:
        for source in map(Path, module.params["src"]):
            try:
                report = lines(session, source.read_text())
            except psycopg.Error as error:
                module.fail_json(msg=f"{source.name} cannot be run: {error}")
            session.rollback()
            good = sum(line.startswith("ok") for line in report)
            if not good:
                bad.append(f"{source.name} states nothing")
            bad += [f"{source.name}: {line}" for line in report if line.startswith(("not ok", "#"))]
            held += good
    if bad:
        module.fail_json(msg=f"{held} facts hold, these do not", facts=bad[:40])
    module.exit_json(changed=False, facts=held)


if __name__ == "__main__":
    main()
