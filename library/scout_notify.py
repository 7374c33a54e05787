#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling people and machines of an incident, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_notify
short_description: Notify a team's channels of an incident
version_added: 1.0.0
description:
  - Notifies Slack and what understands its messages, any other address as JSON, PagerDuty, and people by email, all at once.
  - A channel that fails, or that is described wrongly, never fails the task. It is named in RV(unsent) and in the warnings.
  - An attempt is repeated with growing pauses where there is no connection, on HTTP 429 and 5xx, and where a mail server says
    that it may work later, as long as the channel has time. Anything else is not.
  - Addresses, keys, passwords and headers appear in no result and on no screen. A redirect is not followed.
  - Runs on the controller and connects to no database.
options:
  event:
    description: What is told.
    type: str
    choices: [opened, update, recovered, closed]
    required: true
  incident:
    description:
      - The incident, as the module C(scout_incident) returns it. Of it are used incident, title, severity, state, database,
        opened_at, opened_by, closed_at, next_update_at, overdue, missing, escalation, root_cause and audit; what is missing is left out.
    type: dict
    required: true
  happened:
    description: What happened, in a person's words.
    type: str
    default: ""
  status:
    description: The state in a few words; by default what the event says, such as investigating.
    type: str
    default: ""
  impact:
    description: What it means for those who depend on the pipeline.
    type: str
    default: ""
  done:
    description: What was done.
    type: str
    default: ""
  next_step:
    description: What is done next.
    type: str
    default: ""
  eta:
    description: When it is expected to be over.
    type: str
    default: ""
  commander:
    description: Who leads; by default who opened the incident.
    type: str
    default: ""
  database:
    description:
      - The database in words, which is also part of PagerDuty's deduplication key C(scout-DATABASE-INCIDENT). By default the name
        of the database alone, as RV(ignore:database) of the incident has it.
    type: str
    default: ""
  time_zone:
    description: Time zone in which times are shown besides UTC, such as Asia/Manila.
    type: str
    default: ""
  template_dirs:
    description:
      - Folders with a Jinja2 template for each event, such as C(opened.j2). The first line of what it makes is the title. The
        first folder whose template can be used is taken.
    type: list
    elements: path
    default: []
  channels:
    description: Whom to notify.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the channel is called in results; by default its kind.
        type: str
      kind:
        description:
          - V(slack) is an incoming webhook of Slack, or of Mattermost and others that understand the same. V(webhook) gets the
            document for machines. V(pagerduty) is the Events API v2. V(email) is SMTP. V(apprise) is any other
            service that apprise knows.
        type: str
      events:
        description: Events that it wants; all by default.
        type: list
        elements: str
      severities:
        description: Severities that it wants; all by default.
        type: list
        elements: str
      timeout_seconds:
        description: How long all attempts together may take; by default O(timeout_seconds).
        type: float
      attempts:
        description: How often to try; by default O(attempts).
        type: int
      url:
        description:
          - Address of a V(slack) or V(webhook), or another one of PagerDuty, such as that for Europe. For V(apprise) the address of
            a service as apprise has it, such as V(msteams://…), V(opsgenie://…) or V(tgram://…).
        type: str
      headers:
        description: Headers for a V(webhook).
        type: dict
      ca_file:
        description: File with the certificates to trust, where these are not the system's.
        type: path
      routing_key:
        description: Integration key of the PagerDuty service.
        type: str
      actions:
        description:
          - V(trigger), V(acknowledge) or V(resolve) by event. By default opened triggers, update acknowledges, recovered and closed
            resolve.
        type: dict
      host:
        description: The mail server.
        type: str
      port:
        description: Its port; by default 587, 465 for TLS, or 25 without.
        type: int
      security:
        description: V(starttls), V(tls) or V(none); V(starttls) by default, and never less than that.
        type: str
      user:
        description: User at the mail server.
        type: str
      password:
        description: Password at the mail server.
        type: str
      from:
        description: Address of the sender.
        type: str
      to:
        description: Addresses; each gets a message of its own.
        type: list
        elements: str
  only:
    description: Names of channels, so that no other is notified; those that could not be notified before. All by default.
    type: list
    elements: str
    default: []
  enabled:
    description: Whether to notify anybody at all.
    type: bool
    default: true
  attempts:
    description: How often to try a channel.
    type: int
    default: 4
  timeout_seconds:
    description: How long a channel has, all attempts together, in seconds.
    type: float
    default: 20.0
attributes:
  check_mode:
    support: full
    description: Shows the message and says whom it would go to; connects to nothing.
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: none
    description: Every run sends it again. PagerDuty groups all notices of an incident into one.
requirements:
  - jinja2 on the controller; apprise too, for email and apprise
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Tell the team
  scout.recovery.scout_notify:
    event: opened
    incident:
      incident: INC-2041
      title: Gold shows yesterday's figures
      severity: critical
      opened_at: 2026-11-25T14:05:00+00:00
    impact: Store managers see yesterday's sales
    time_zone: Asia/Manila
    template_dirs: [templates]
    channels:
      - name: oncall
        kind: pagerduty
        routing_key: "{{ vaulted_routing_key }}"
        severities: [critical]
      - kind: slack
        url: "{{ vaulted_webhook }}"
"""

RETURN = r"""
sent:
  description: Names of the channels that were notified; in check mode, of those that would be.
  returned: success
  type: list
  elements: str
unsent:
  description: Channels that wanted it and were not notified, with channel and error. Not called C(failed), which Ansible heeds.
  returned: success
  type: list
  elements: dict
not_subscribed:
  description: Names of channels that do not want this event or severity.
  returned: success
  type: list
  elements: str
deliveries:
  description: What was tried, with channel, kind, attempts, seconds and error, which is empty where it went well.
  returned: success
  type: list
  elements: dict
message:
  description: Title and text, as people get them.
  returned: success
  type: str
document:
  description: What machines get; docs/notification.schema.json describes it.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import Params, WithoutSession, execute
from ..module_utils.recovery.notifications import command, notice

CHANNEL: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str"},
    "kind": {"type": "str"},
    "events": {"type": "list", "elements": "str"},
    "severities": {"type": "list", "elements": "str"},
    "timeout_seconds": {"type": "float"},
    "attempts": {"type": "int"},
    "url": {"type": "str", "no_log": True},
    "headers": {"type": "dict", "no_log": True},
    "ca_file": {"type": "path"},
    "routing_key": {"type": "str", "no_log": True},
    "actions": {"type": "dict"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "security": {"type": "str"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "from": {"type": "str"},
    "to": {"type": "list", "elements": "str"},
}

SPEC: dict[str, dict[str, t.Any]] = {
    "event": {"type": "str", "choices": list(notice.EVENTS), "required": True},
    "incident": {"type": "dict", "required": True},
    **{name: {"type": "str", "default": ""} for name in notice.WORDS},
    "database": {"type": "str", "default": ""},
    "time_zone": {"type": "str", "default": ""},
    "template_dirs": {"type": "list", "elements": "path", "default": []},
    "channels": {"type": "list", "elements": "dict", "default": [], "options": CHANNEL},
    "only": {"type": "list", "elements": "str", "default": []},
    "enabled": {"type": "bool", "default": True},
    "attempts": {"type": "int", "default": 4},
    "timeout_seconds": {"type": "float", "default": 20.0},
}


def run(call: WithoutSession, params: Params) -> command.NotifyResult:
    """Tells those who want to know."""
    return command.notify(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
