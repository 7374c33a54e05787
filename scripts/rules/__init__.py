# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts/check-docs looks for: each rule yields what is wrong with one thing that it looks at."""

from __future__ import annotations

from scripts.rules import code, english, generated, names, options, pages, plays, results, roles, words
from scripts.rules.tree import RULES

__all__ = ["RULES", "code", "english", "generated", "names", "options", "pages", "plays", "results", "roles", "words"]
