# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which actions of the ledger can be undone, and where what they moved is kept."""

from __future__ import annotations

import typing as t

#: Runs whose items are dead letters, and runs that keep a journal.
DEAD_LETTER_ACTIONS: t.Final = ("quarantine", "cleanup", "drain")
JOURNAL_ACTIONS: t.Final = ("redrive", "undo", "window")
