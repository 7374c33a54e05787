#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: where one of the PostgreSQL programs is that the tests use, and of which major version it is, noted in a file."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.scout.testing.plugins.module_utils.checkout import part

binaries = part("server.binaries")

SPEC = {"name": {"type": "str", "required": True}, "dest": {"type": "path", "required": True}}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    try:
        program = binaries.bin_dir(binaries.account()) / module.params["name"]
        command = [str(program), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=binaries.environment()).stdout
    except (OSError, RuntimeError, subprocess.CalledProcessError) as problem:
        module.fail_json(msg=str(problem))
    version = re.search(r"\) (\d+)", said)
    if not version:
        module.fail_json(msg=f"{program} says no version: {said}")
    Path(module.params["dest"]).write_text(json.dumps({"path": str(program), "version": int(version[1])}))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
