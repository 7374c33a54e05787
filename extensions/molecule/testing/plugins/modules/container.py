#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: a throwaway PostgreSQL container with the real pg_cron is present, and its dsn known, or absent."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.scout.testing.plugins.module_utils.checkout import part

container, engine = part("server.container"), part("server.docker")

SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "settings": {"type": "dict", "default": {}},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    name = module.params["name"]
    try:
        if module.params["state"] == "absent":
            module.exit_json(changed=container.stop(name))
        module.exit_json(changed=True, dsn=container.start(name, settings=module.params["settings"]).dsn)
    except engine.Unavailable as problem:
        module.fail_json(msg=str(problem))


if __name__ == "__main__":
    main()
