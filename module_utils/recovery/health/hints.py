# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hint that a pipeline fails, on a channel of its database, for an ansible-rulebook that listens there."""

from __future__ import annotations

import json
import typing as t

from ..core.errors import BadInput, RecoveryError
from ..postgres.failures import attempting

if t.TYPE_CHECKING:
    from ..invoke import Call, Params
    from ..postgres.session import Session

#: Options that say where a failing pipeline is reported, and by which name; documented in plugins/doc_fragments/shared.py.
NOTIFICATION_SPEC: dict[str, dict[str, t.Any]] = {"channel": {"type": "str"}, "pipeline": {"type": "str"}}
#: PostgreSQL takes no longer name.
LONGEST_CHANNEL: t.Final = 63
TELL: t.Final = "SELECT pg_catalog.pg_notify(%(channel)s, %(hint)s)"


def check(params: Params) -> None:
    """Raises BadInput for a channel that PostgreSQL would not take."""
    if len((params.get("channel") or "").encode()) > LONGEST_CHANNEL:
        raise BadInput(
            f"channel has more than {LONGEST_CHANNEL} bytes",
            next_step="give a shorter name of a channel, the same to the listener",
        )


def tell(call: Call, session: Session, params: Params, verdict: str) -> list[str]:
    """Sends the name of the pipeline and the verdict, where it fails and a channel is named; not in check mode. Nothing else is in
    it: everybody who may log in can listen, and send the same. Gives a warning where it cannot be sent."""
    if call.check or verdict != "failing" or not params.get("channel"):
        return []
    hint = json.dumps({"pipeline": params["pipeline"] or session.facts.database, "verdict": verdict})
    try:
        with attempting("could not send a hint", on=session.where), session.read():
            session.row(TELL, channel=params["channel"], hint=hint)
    except RecoveryError as e:
        return [str(e)]
    return []
