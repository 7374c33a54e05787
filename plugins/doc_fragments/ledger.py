# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by every module, so that a play sets them once for all."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of LEDGER_SPEC in module_utils/recovery/invoke.py."""

    DOCUMENTATION = r"""
options:
  ledger:
    description:
      - Whether runs, pauses and the lease are kept in schema C(scout_ops) of the database.
      - V(auto) uses it where it exists or may be created and warns otherwise; V(required) fails otherwise; V(off) does without.
    type: str
    choices: [required, auto, 'off']
    default: auto
  lease_token:
    description:
      - The token a M(scout.recovery.scout_lease) task returned; the task runs under that lease, and renews it.
      - Without it the task takes the lease for itself for as long as it lasts. A module that only reads needs none.
    type: int
  takeover:
    description:
      - Take the lease even when someone else holds it; their next write is refused.
      - Load, refresh, move or resume in a pause that someone else made for another incident, which is refused without it.
    type: bool
    default: false
  actor:
    description:
      - Who this is done for, as a controller of automation tells it. It stands beside the login of the database, marked as told.
      - By default E(SCOUT_ACTOR), which comes first, else C(awx_user_name) or C(tower_user_name), which AWX gives every job;
        without any of them it is the account and the host that this runs on, or in a container the login of the database.
    type: str
"""
