# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the results of modules have in common. Each is a TypedDict beside what builds it; tests hold RETURN and schema to it."""

from __future__ import annotations

import typing as t


class ModuleResult(t.TypedDict):
    """Whether anything was changed, or would be in check mode, and one line for a person."""

    changed: bool
    summary: str
