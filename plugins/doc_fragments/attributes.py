# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes shared by the modules."""

from __future__ import annotations


class ModuleDocFragment:
    """What check mode, diff mode and a second run mean here."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Reads and plans in a READ ONLY transaction and returns what would be done; never executes and rolls back.
  diff_mode:
    support: full
    description: Returns what changed, or would change, as a pair of dictionaries.
  idempotent:
    support: full
    description: Compares what is with what is wanted; a second run reports C(changed=false).
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Only reads, in READ ONLY transactions.
  diff_mode:
    support: N/A
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
"""
