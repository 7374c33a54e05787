# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All kinds of entries that can be written; pure."""

from __future__ import annotations

import typing as t

from . import constraints, database_level, operators, views
from . import tables as ddl_tables

if t.TYPE_CHECKING:
    from .common import Writer

WRITERS: t.Final[dict[str, Writer]] = {
    **ddl_tables.WRITERS,
    **constraints.WRITERS,
    **views.WRITERS,
    **operators.WRITERS,
    **database_level.WRITERS,
}
