# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down each module that a playbook runs, with the options it is given and what it returns."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import command

DOCUMENTATION = r"""
name: ran
type: aggregate
short_description: Write down what each module was given
description:
  - Appends a line of JSON with the name, the options and the result of each module to the file in E(SCOUT_RAN).
options: {}
"""


class CallbackModule(CallbackBase):
    """Listens before the first process is forked for a task, and before the front for the summary is loaded."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ran"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        invoked, summarized = invoke.invoke, command.summarize

        @functools.wraps(invoked)
        def invoke_aloud(run: Callable[..., Any], name: str, params: Any, **more: Any) -> Any:
            return _written(name, params, invoked(run, name, params, **more))

        @functools.wraps(summarized)
        def summarize_aloud(params: Any, **more: Any) -> Any:
            return _written("scout_summary", params, summarized(params, **more))

        invoke.invoke, command.summarize = invoke_aloud, summarize_aloud


def _written(name: str, params: Any, result: Any) -> Any:
    with Path(os.environ["SCOUT_RAN"]).open("a") as file:
        file.write(json.dumps([name, params, result]) + "\n")
    return result
