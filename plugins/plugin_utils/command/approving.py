# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`scout approve PLAN`: shows a plan that somebody else made, and signs it with one's own key. It needs no database."""

from __future__ import annotations

import argparse
import sys
import typing as t

from ...module_utils.recovery.core.errors import RecoveryError
from ...module_utils.recovery.core.text import visible
from ...module_utils.recovery.ledger.controller import this_controller
from ...module_utils.recovery.moves.engine import approval, plan_file

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WORD: t.Final = "approve"
#: The exit codes: mistyped or refused, and shown but not wanted.
REFUSED: t.Final = 2
DECLINED: t.Final = 1


def reader() -> argparse.ArgumentParser:
    """Of the words after `scout approve`."""
    made = argparse.ArgumentParser(prog=f"scout {WORD}", description="Approve a plan that somebody else made.")
    made.add_argument("plan_file", metavar="PLAN", help="the file that --check --plan-file wrote")
    made.add_argument("--check", "-C", action="store_true", help="only say whether it can be approved, or is")
    made.add_argument("--yes", "-y", action="store_true", help="do not ask")
    return made


def main(typed: Sequence[str], ask: Callable[[str], bool] | None) -> int:
    """The exit code. `ask` asks somebody at a terminal; None where nobody sits there, which approves as `--yes` does."""
    given = reader().parse_args(list(typed))
    by = this_controller(None).actor
    try:
        found = plan_file.read(given.plan_file)
        sys.stdout.write("".join(f"{visible(each)}\n" for each in _shown(found)))
        new = approval.approve(given.plan_file, found, by, check=True)
        if new and not given.check:
            if ask and not given.yes and not ask(f"approve it as {by}"):
                return _said("nothing was changed", DECLINED)
            approval.approve(given.plan_file, found, by)
    except RecoveryError as e:
        return _said(str(e), REFUSED)
    told = f"would approve it as {by}" if given.check else f"approved by {by}"
    sys.stdout.write(f"{visible(told if new else 'it is approved already')}\n")
    return 0


def _shown(found: plan_file.Written) -> Iterator[str]:
    """What somebody is to look at before they approve it."""
    plan = found.plan
    yield f"{plan.action} in {plan.database}, planned by {found.by or 'nobody on record'} at {plan.made_at}"
    for name, value in plan.asked.items():
        if value not in (None, [], {}, "", False):
            yield f"  {name}: {value}"
    for table, rows in plan.counts.items():
        yield f"  {table}: {rows:,}"
    if found.approval:
        yield f"  approved by {found.approval.get('by')} at {found.approval.get('at')}"


def _said(text: str, code: int) -> int:
    sys.stderr.write(f"scout: {visible(text)}\n")
    return code
