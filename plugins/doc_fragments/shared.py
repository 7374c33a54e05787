# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that some modules share, a section for those that go together."""

from __future__ import annotations


class ModuleDocFragment:
    """Each as `scout.recovery.shared.stuck`."""

    STUCK = r"""
options:
  stuck_after_seconds:
    description: Age from which a session of the pipeline, or a blocker of one, counts as stuck, in seconds.
    type: float
    default: 600.0
"""

    ASSESSMENT = r"""
options:
  thresholds:
    description:
      - Figures in place of the runbook's, as C({indicator, {ok, fail}}). At or below C(ok) is ok and above C(fail) is a
        failure; for C(linking_coverage) it is the reverse.
    type: dict
    default: {}
  budget_seconds:
    description:
      - How long the assessment may take, in seconds; by default 5, and longer where PostgreSQL expects that much of a large pipeline.
    type: float
  alert_hours:
    description: How many hours of silver are searched for critical violations.
    type: int
    default: 1
"""

    FORESEEN = r"""
options:
  actions:
    description: What is going to be done.
    type: list
    elements: str
    choices:
      - assess
      - pause
      - terminate_sessions
      - drain
      - refresh_gold
      - quarantine
      - cleanup
      - redrive
      - undo
      - window_recovery
      - gate
      - smoke
      - rollback
    default: [assess, pause, terminate_sessions, drain, refresh_gold]
  max_poison:
    description: How many events may be moved.
    type: int
  stuck_after_seconds:
    description: Age from which a session will count as stuck, in seconds; checked before anything is done.
    type: float
  drain_timeout_seconds:
    description: How long work in flight will be waited for, in seconds; checked before anything is done.
    type: float
"""

    WINDOW = r"""
options:
  clock:
    description: Which time of an event the window is about.
    type: str
    choices: [ingested_at, event_ts]
    default: ingested_at
  window_start:
    description: The first moment of the window, with an offset, or a local time in O(time_zone).
    type: str
"""

    ZONE = r"""
options:
  time_zone:
    description: The zone of times without an offset, such as Asia/Manila. Without it they are refused.
    type: str
"""
