# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a game day on the controller, which has the playbooks, whatever the connection."""

from __future__ import annotations

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count

from ..modules import scout_gameday
from . import scout_drill

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

    from ..modules.scout_drill import DrillResult
    from ..plugin_utils.drill.execution.drill_run import Done


class ActionModule(scout_drill.ActionModule):
    """Runs scout_gameday in process."""

    MODULE: t.ClassVar[t.Any] = scout_gameday

    def prepared(
        self, params: dict[str, t.Any], variables: dict[str, t.Any]
    ) -> tuple[DrillResult, list[str], Callable[[Progress], Done]]:
        """What is known before it begins, what a check says, and how it is begun."""
        from ..plugin_utils.drill.gameday import game

        for name, least in (("rounds", 1), ("seed", 0), ("seconds", 1)):
            if params[name] is not None and params[name] < least:
                raise BadInput(
                    f"{name} {params[name]} is less than {least}", next_step=f"give -e {name}={least} or more"
                )
        wanted = game.Game(
            seed=params["seed"],
            rounds=params["rounds"],
            seconds=params["seconds"],
            script=params["script"] or None,
            shrink=params["shrink"],
        )
        request = self.request(params, variables)
        game.require()
        named = game.named(wanted.script) if wanted.script else {}
        what = f"{count(wanted.rounds, 'round')} of seed {wanted.seed}"
        about = scout_drill.planned(
            f"would play {', '.join(named) or what} ({request.sandbox})", list(named) or [what], []
        )
        lines = [f"would play {name}: {script}" for name, script in named.items()] or [f"would play {what}"]
        return about, lines, lambda progress: game.run(wanted, request, progress)
