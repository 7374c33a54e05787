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
version_added: 0.1.0
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
        opened_at, opened_by, closed_at, next_update_at, overdue, missing, escalation and root_cause; what is missing is left out.
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
            document for machines. V(pagerduty) is the Events API v2. V(email) is SMTP.
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
        description: Address of a V(slack) or V(webhook), or another one of PagerDuty, such as that for Europe.
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
  - jinja2 on the controller; apprise too, for email
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
passed_over:
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

import dataclasses
import datetime as dt
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values

from ..module_utils.recovery.core.errors import BadInput, RecoveryError
from ..module_utils.recovery.invoke import failure
from ..module_utils.recovery.notifications import channels
from ..module_utils.recovery.notifications import notice as notifications_notice

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
    "event": {"type": "str", "choices": list(notifications_notice.EVENTS), "required": True},
    "incident": {"type": "dict", "required": True},
    **{name: {"type": "str", "default": ""} for name in notifications_notice.WORDS},
    "database": {"type": "str", "default": ""},
    "time_zone": {"type": "str", "default": ""},
    "template_dirs": {"type": "list", "elements": "path", "default": []},
    "channels": {"type": "list", "elements": "dict", "default": [], "options": CHANNEL},
    "only": {"type": "list", "elements": "str", "default": []},
    "enabled": {"type": "bool", "default": True},
    "attempts": {"type": "int", "default": 4},
    "timeout_seconds": {"type": "float", "default": 20.0},
}


def run(
    params: dict[str, t.Any], *, check: bool, say: t.Callable[[str], None] = lambda _line: None
) -> dict[str, t.Any]:
    """Tells those who want to know; what could not be told is part of the result."""
    # All modules are loaded at every start, and HTTP and TLS take long to load.
    from ..module_utils.recovery.notifications import delivery

    try:
        if not params["timeout_seconds"] > 0 or params["attempts"] < 1:
            raise BadInput(
                "timeout_seconds or attempts is not usable", next_step="give more than 0 seconds and at least 1 attempt"
            )
        notice = notifications_notice.make(
            params["event"],
            params["incident"],
            {name: params[name] for name in notifications_notice.WORDS},
            database=params["database"],
            time_zone=params["time_zone"],
            folders=params["template_dirs"],
            now=dt.datetime.now(dt.UTC),
        )
    except RecoveryError as e:
        return failure(e)
    raws = params["channels"]
    usable, unsent = _read(raws, params)
    if only := set(params["only"]):
        usable = [channel for channel in usable if channel.name in only]
        unsent = [each for each in unsent if each["channel"] in only]
    wanted = [channel for channel in usable if channel.wants(notice)] if params["enabled"] else []
    unsent = unsent if params["enabled"] else []
    if check:
        _show(notice, [channel.name for channel in wanted], say)
    deliveries = [] if check else delivery.deliver(wanted, notice)
    unsent += [{"channel": d.channel, "error": d.error} for d in deliveries if d.error]
    sent = [channel.name for channel in wanted] if check else [d.channel for d in deliveries if not d.error]
    hidden = {secret for raw in raws for secret in channels.secrets(raw)}
    return {
        "changed": bool(sent),
        "sent": sent,
        "unsent": unsent,
        "passed_over": [channel.name for channel in usable if channel not in wanted],
        "deliveries": [dataclasses.asdict(d) for d in deliveries],
        "message": channels.hide(notice.whole, hidden),
        "document": t.cast("dict[str, t.Any]", remove_values(notice.document, hidden)),
        "warnings": [*notice.warnings, *(f"{u['channel']} was not notified: {u['error']}" for u in unsent)],
        "summary": _summary(notice, sent, unsent, params, check=check),
    }


def _read(raws: list[t.Any], params: dict[str, t.Any]) -> tuple[list[channels.Channel], list[dict[str, str]]]:
    """The channels that can be used, and why others cannot."""
    usable: list[channels.Channel] = []
    unsent: list[dict[str, str]] = []
    for number, raw in enumerate(raws, 1):
        try:
            usable.append(
                channels.read(raw, number, timeout_seconds=params["timeout_seconds"], attempts=params["attempts"])
            )
        except BadInput as e:
            error = channels.hide(str(e), channels.secrets(raw))
            unsent.append({"channel": channels.name_of(raw, number), "error": error})
    return usable, unsent


def _show(notice: notifications_notice.Notice, names: list[str], say: t.Callable[[str], None]) -> None:
    """The message as it would go out."""
    say(f"would notify {', '.join(names) or 'nobody'}:")
    for line in notice.whole.splitlines():
        say(f"  {line}".rstrip())


def _summary(
    notice: notifications_notice.Notice,
    sent: list[str],
    unsent: list[dict[str, str]],
    params: dict[str, t.Any],
    *,
    check: bool,
) -> str:
    about = f"of {notice.document['incident']}, {notice.event}"
    if not params["enabled"]:
        return f"notified nobody {about}: notifications are disabled"
    if not sent and not unsent:
        return f"notified nobody {about}: no channel {'wants it' if params['channels'] else 'is set up'}"
    told = ("would notify" if check else "notified") + f" {', '.join(sent) or 'nobody'} {about}"
    return told + (f"; not {', '.join(u['channel'] for u in unsent)}" if unsent else "")


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = run(module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
