# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of one database, as a run has it: the session, and whether it is there."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from ..postgres.session import Session
    from .controller import Controller


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The ledger of one database, or its absence when `ledger: off` or it may not be created."""

    session: Session
    present: bool
    controller: Controller
    incident: str
    warnings: list[str] = dataclasses.field(default_factory=list[str])
    #: There is one, and nothing in it was believed or understood.
    unread: bool = False
