# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of the gate: earlier sales loaded again, judged."""

from __future__ import annotations

import contextlib
import typing as t

from ...core.errors import NotConverged
from ...core.text import in_words
from ...pipeline.replay.changes import Change
from ...pipeline.trial_sale import OTHERS, PREPARING, SLOW, TooLate, Trial, Unlike, source
from ...postgres import lock_holders
from ...postgres.driver import psycopg
from ...postgres.failures import words_of
from ...scout import contract
from ...scout.judging import event_triggers
from .checks import SMOKE
from .verdict import CheckResult

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session

#: How many changes are named.
NAMED_CHANGES: t.Final = 5
#: Why a check leaves it out.
NOT_IN_CHECK: t.Final = "not run: check mode executes nothing"


def test(session: Session, *, seconds: float, owner: str, meant: Sequence[str]) -> tuple[CheckResult, dict[str, t.Any]]:
    """Whether earlier sales go through the pipeline as before, but for columns that are `meant` to change, with each step; never longer
    than so many seconds."""
    trial = Trial(session, seconds, owner, meant)
    status, reason, changes = "pass", "", list[Change]()
    try:
        changes = trial.run()
    except NotConverged as e:
        return skipped(f"not run: {e}")
    except Unlike as e:
        status, reason = "fail", f"could not {trial.doing}: {e}"
    except TooLate:
        status, reason = "inconclusive", f"could not {trial.doing} within {in_words(seconds)}; {SLOW}"
    except psycopg.Error as e:
        if session.connection.closed:
            raise
        status, reason = _refusal(session, trial, e)
    if changes:
        status, reason = "fail", f"what the pipeline writes has changed: {'; '.join(map(str, changes[:NAMED_CHANGES]))}"
        if release := trial.release:
            reason += f"; release {release} was captured last"
    if reason:
        trial.steps.append({"step": trial.doing, "result": reason})
    else:
        reason = f"{trial.compared}; rolled back, and nothing remains"
    judged = CheckResult(SMOKE, trial.seconds, "seconds", status, source(), reason)
    return judged, {
        **_told(judged),
        "transaction_id": trial.sale.transaction_id,
        "store_id": trial.sale.store_id,
        "steps": trial.steps,
    }


def skipped(why: str) -> tuple[CheckResult, dict[str, t.Any]]:
    """A smoke test that was not run did not pass."""
    judged = CheckResult(SMOKE, None, "seconds", "inconclusive", source(), why)
    return judged, {**_told(judged), "transaction_id": None, "store_id": None, "steps": []}


def _told(judged: CheckResult) -> dict[str, t.Any]:
    seconds = round(judged.value, 3) if isinstance(judged.value, float) else None
    return {"status": judged.status, "reason": judged.reason, "seconds": seconds}


def _refusal(session: Session, trial: Trial, error: psycopg.Error) -> tuple[str, str]:
    """What an error of PostgreSQL says of the pipeline, if anything."""
    said = words_of(error)
    text = f"could not {trial.doing}: {said} (SQLSTATE {error.sqlstate})"
    # A privilege that the ETL's owner lacks is not one that we lack.
    inside = error.sqlstate == "42501" and contract.bare(contract.names().load_function) in (error.diag.context or "")
    if inside or (error.sqlstate not in OTHERS and trial.doing != PREPARING):
        with session.write():
            frozen = event_triggers.refusal(session)
        return ("inconclusive", f"not run: {frozen}") if frozen else ("fail", text)
    if error.sqlstate == "55P03":
        with contextlib.suppress(psycopg.Error), session.read():
            if who := lock_holders.describe(lock_holders.in_the_way(session, contract.names().required_tables)):
                text += f"; locks are held by {who}"
    if error.sqlstate == "57014":
        text += f"; {SLOW}"
    if error.sqlstate == "42501":
        text += "; preflight.yml names each missing GRANT"
    return "inconclusive", text
