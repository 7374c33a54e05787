#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A notice to the channels of a team, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_notify
short_description: Send a notice to a team's channels
version_added: 1.0.0
description:
  - Sends a title and a text to each URL in O(urls) through apprise, which knows Slack, PagerDuty, Teams, email and many other services.
  - A channel that fails is a warning and never fails the task. The warning names the channel by its position and its service.
  - All channels are notified at the same time and together take at most 20 seconds.
  - Connects to no database.
options:
  urls:
    description:
      - Where to send the notice, as URLs of apprise. U(https://appriseit.com/services/) describes how to write the URL of each service.
      - URLs are secrets. They appear in no result and no warning.
    type: list
    elements: str
    default: []
  title:
    description: The title.
    type: str
    required: true
  body:
    description: The text.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Sends nothing and returns which channels would be notified.
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: none
    description: Every run sends the notice again.
requirements:
  - apprise
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Notify the team
  scout.recovery.scout_notify:
    urls:
      - "{{ vault_slack_url }}"
      - "mailtos://{{ vault_smtp_user }}:{{ vault_smtp_password }}@example.org?to=lead@example.org"
    title: Gold is stale
    body: "{{ assess_result.summary }}"
"""

RETURN = r"""
sent:
  description: Channels that were notified, such as C(channel 2 (Slack)); in check mode, those that would be.
  returned: success
  type: list
  elements: str
unsent:
  description: Channels that could not be notified. The warnings say why.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import Params, WithoutSession, execute
from ..module_utils.recovery.notifications import command

SPEC: dict[str, dict[str, t.Any]] = {
    "urls": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "title": {"type": "str", "required": True},
    "body": {"type": "str", "required": True},
}


def run(call: WithoutSession, params: Params) -> command.NotifyResult:
    """Send the notice."""
    return command.notify(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
