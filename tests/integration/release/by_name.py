# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a table that share a database, each judged under its own name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest


def judged[Row, Went](
    subtests: pytest.Subtests,
    rows: Mapping[str, Row],
    go: Callable[[list[Row]], Went],
    judge: Callable[[Row, Went], None],
) -> None:
    """All go together, and what came of it is judged for each; where they fail together, each goes alone, so that the guilty are
    named."""
    try:
        went = go([*rows.values()])
    except Exception:
        for name, row in rows.items() if len(rows) > 1 else ():
            with subtests.test(msg=name):
                judge(row, go([row]))
        raise
    for name, row in rows.items():
        with subtests.test(msg=name):
            judge(row, went)
