# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All kinds of entries that can be written; pure."""

from __future__ import annotations

import typing as t

from . import written_beside, written_casts, written_code, written_keys, written_tables

if t.TYPE_CHECKING:
    from .written import Writer

WRITERS: t.Final[dict[str, Writer]] = {
    **written_tables.WRITERS,
    **written_keys.WRITERS,
    **written_code.WRITERS,
    **written_casts.WRITERS,
    **written_beside.WRITERS,
}
