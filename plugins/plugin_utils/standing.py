# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a pipeline stands after a run was broken off: looked up, because nobody is left who could say it."""

from __future__ import annotations

import os
import shlex
import sys
import typing as t
from pathlib import Path

from ansible.parsing.dataloader import DataLoader

from ..module_utils.recovery import invoke
from ..module_utils.recovery.ledger import actions
from ..module_utils.recovery.pipeline import command
from ..modules import scout_ingestion
from . import command_line, settings

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: Nobody waits longer for an answer after Ctrl-C.
SECONDS: t.Final = 5
UNFINISHED = """
SELECT run_id::text AS run_id FROM scout_ops.runs
WHERE action = ANY(%(moves)s) AND status IN ('stopped', 'running', 'failed') AND effects <> '{}' AND undone_by IS NULL
ORDER BY started_at DESC LIMIT 1
"""


def of(variables: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """`state` of ingestion (unknown where it cannot be told), and `run_id` of a move that did not come to its end. Where the
    host's database is named by a template, none is looked at: the environment's is another one."""
    if variables.get("scout_dsn") and _plain(variables["scout_dsn"]) is None:
        return {"state": "unknown", "run_id": None}
    made: dict[str, t.Any] = {name: option.get("default") for name, option in scout_ingestion.SPEC.items()}
    made |= params(variables) | {"statement_timeout_seconds": float(SECONDS), "state": "paused"}
    found = invoke.invoke(_look, "scout_ingestion", made, check=True)
    return {"state": found.get("state") or "unknown", "run_id": found.get("run_id")}


def params(variables: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """How the database that a host names is reached from the controller, by its variables."""
    made: dict[str, t.Any] = {name: option.get("default") for name, option in invoke.CONNECTION_SPEC.items()}
    made |= {name: option.get("default") for name, option in invoke.LEDGER_SPEC.items()}
    made |= {"cron_dsn": _plain(variables.get("scout_cron_dsn"))}
    made |= {"dsn": _plain(variables.get("scout_dsn")), "password": _plain(variables.get("scout_password"))}
    contract = variables.get("scout_contract")
    made |= {"contract": contract if isinstance(contract, dict) else {}, "connect_timeout_seconds": SECONDS}
    for name in ("allow_superuser", "allow_owner", "require_tls"):
        made[name] = yes(variables.get(settings.find(name, variables, DataLoader()) or ""))
    return made


def _look(call: invoke.Call, params: invoke.Params) -> invoke.Result:
    ledger = call.look("auto")
    rows = []
    if ledger.present:
        with call.session.read():
            rows = call.session.rows(UNFINISHED, moves=[*actions.MOVES, *actions.ROLLBACK])
    return {**command.set_ingestion(call, params), "run_id": rows[0]["run_id"] if rows else None}


def yes(value: t.Any) -> bool:
    """Whether a switch is on."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("1", "true", "yes", "on"))


def _plain(value: t.Any) -> str | None:
    """A text that is no template."""
    value = settings.decrypted(value)
    return str(value) if isinstance(value, str) and value and "{{" not in value else None


def same_command() -> str:
    """What was typed, for a shell in the same folder, without secrets."""
    program, *words = sys.argv
    here = f"{Path.cwd()}{os.sep}"
    kept: list[str] = []
    for option in command_line.options(words):
        if option.name == command_line.EXTRA_VARS:
            shown = command_line.without_secrets((option.value or "").removeprefix(here))
            kept += [command_line.EXTRA_VARS, shown] if shown else []
        else:
            kept += [word.removeprefix(here) for word in option.words]
    return shlex.join([Path(program).name, *kept])
