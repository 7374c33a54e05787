# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules that roll back to a release."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of GOING_SPEC in module_utils/recovery/release/restore/command.py."""

    DOCUMENTATION = r"""
options:
  column_order:
    description:
      - Where a column stands that comes back to a table that stays.
      - V(any) adds it as the last one. Nothing is copied; a different order of columns is no difference, and is reported.
      - V(exact) puts all columns in the order that was captured. Such a table is copied with all its rows, while nobody else can read
        or write it; the plan says how many rows that are, and about how long it lasts.
    type: str
    choices: [any, exact]
    default: any
  new_partitions:
    description:
      - What becomes of partitions that were made since the capture, by a scheduler or by the release, of a captured table.
      - V(keep) leaves those that are built like the captured ones where they are, with their rows. That is no difference, and is reported.
      - V(drop) drops them. Their rows move into the default partition where there is one that can take them. Otherwise the rows are
        saved and leave the table.
    type: str
    choices: [keep, drop]
    default: keep
  rehearse:
    description:
      - Whether the rollback to a release is rehearsed first on a copy of the schema without data, in a scratch database of the same
        server that is dropped afterwards. Unset, it is where that is possible, and the result says where it was not.
      - V(true) fails where it is not possible. Not in check mode, unless with O(look=true).
    type: bool
  rehearse_rows:
    description:
      - So many rows of each table, and all to which these refer, are copied for a second rehearsal, which finds what only rows
        show, such as a check that some of them violate. 0 to 10000. They are in the scratch database until it is dropped.
    type: int
    default: 0
  pg_dump:
    description:
      - The program that copies the schema; C(pg_restore) is taken from the same folder. It must be at least as new as the
        server. Unset, one is searched for.
    type: path
  patience_seconds:
    description:
      - How long the rollback to a release is retried while others hold locks, in seconds. One attempt waits no longer for a
        lock than C(lock_timeout_seconds), and yields after that, so that nobody queues up behind it.
    type: float
    default: 60.0
"""
