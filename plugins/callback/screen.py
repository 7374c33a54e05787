# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own screen, on which a step of ours that fails takes two lines and not thirty."""

from __future__ import annotations

import textwrap
import typing as t

from ansible.plugins.callback.default import CallbackModule as Default

if t.TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

DOCUMENTATION = r"""
name: screen
type: stdout
short_description: Ansible's screen with failures in a sentence
version_added: 0.1.0
description:
  - Shows what P(ansible.builtin.default#callback) shows, with the same options.
  - Where a step of this collection refuses or fails, it shows the sentence for a person, and neither the place in the role nor
    the whole result, which says the same three times. With C(-v) they are shown.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - enable it as C(stdout_callback = scout.recovery.screen)
author:
  - Scout Recovery contributors (@scout-recovery)
"""

WIDTH = 79


class CallbackModule(Default):
    """Says a refusal once."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "scout.recovery.screen"

    def _handle_exception(self, result: MutableMapping[str, t.Any], use_stderr: bool = False) -> None:
        if self._is_told(result):
            result.pop("exception", None)
        super()._handle_exception(result, use_stderr=use_stderr)

    def _dump_results(self, result: Mapping[str, t.Any], *args: t.Any, **kwargs: t.Any) -> str:
        if not self._is_told(result):
            return super()._dump_results(result, *args, **kwargs)
        text = " ".join(str(result["msg"]).split())
        return "\n" + textwrap.fill(
            text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
        )

    def _is_told(self, result: Mapping[str, t.Any]) -> bool:
        """Whether a failure says in its sentence, or in the summary below, what is to be done, and nobody asked for more."""
        if self._display.verbosity or not result.get("msg"):
            return False
        error = result.get("error")
        ours = (
            isinstance(error, dict) and {"kind", "attempted", "next_step"} <= t.cast("dict[str, t.Any]", error).keys()
        )
        return bool(ours or result.get("_ansible_scout_lines"))
