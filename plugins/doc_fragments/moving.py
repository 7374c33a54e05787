# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules that move data."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of MOVING_SPEC in module_utils/recovery/moves/engine/job.py."""

    DOCUMENTATION = r"""
options:
  max_rows:
    description: Refuse before the first write rather than move more events (or items of a run) than this.
    type: int
    default: 100000
  look:
    description: In check mode, only look whether there is anything to do.
    type: bool
    default: false
  stop_file:
    description: The task ends after the current batch when this file exists. Run again without the file, it continues.
    type: path
  target_seconds:
    description: How long a transaction should take, in seconds. One that takes half as long again is rolled back and made smaller.
    type: float
    default: 0.5
  max_replica_lag_seconds:
    description: Between two batches, wait while a standby is further behind than this, in seconds.
    type: float
    default: 30.0
  max_replica_wait_seconds:
    description: How long such a standby is waited for, in seconds, before the task fails and names it. Run again, it continues.
    type: float
    default: 300.0
  ignore_replicas:
    description:
      - Standbys that are not waited for, by the C(application_name) that C(pg_stat_replication) has; V(*) for all. A delayed standby
        is always behind.
    type: list
    elements: str
    default: []
  yield_to_waiters:
    description: Make batches smaller, and pause after them, when other sessions waited for one.
    type: bool
    default: true
  require_pause:
    description: Refuse to start unless ingestion is paused and nothing else loads silver.
    type: bool
    default: false
"""
