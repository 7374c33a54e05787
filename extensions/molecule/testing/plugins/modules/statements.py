#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: statements have been executed, each for itself."""

from __future__ import annotations

import psycopg
from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "dsn": {"type": "str", "required": True},
    "statements": {"type": "list", "elements": "str", "required": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    with psycopg.connect(module.params["dsn"], autocommit=True, options="-c TimeZone=UTC") as session:
        for statement in module.params["statements"]:
            session.execute(statement.encode())
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
