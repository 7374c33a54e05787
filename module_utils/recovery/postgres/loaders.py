# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that PostgreSQL holds and Python cannot: read as the text that PostgreSQL writes, instead of not at all."""

from __future__ import annotations

import functools
import typing as t

from .driver import adapt, psycopg

if t.TYPE_CHECKING:
    from psycopg.abc import AdaptContext, Buffer, Loader

#: Their values may lie before the year 1, after 9999, or nowhere; a day may have 24:00.
TYPES: t.Final = ("timestamptz", "timestamp", "date", "interval", "time", "timetz")


def read_all(connection: psycopg.Connection[t.Any]) -> None:
    """From now on no value of a time makes a query of this connection fail: what Python cannot hold is text."""
    adapters = connection.adapters
    for name in TYPES:
        oid = adapters.types[name].oid
        usual = adapters.get_loader(oid, psycopg.pq.Format.TEXT)
        if usual is not None:
            adapters.register_loader(oid, _or_text(usual))


@functools.cache
def _or_text(usual: type[Loader]) -> type[Loader]:
    class OrText(adapt.Loader):
        """The usual value, or what PostgreSQL wrote."""

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            # Without the connection, whose settings are those of its next transaction: in ours times are written as ISO, in UTC.
            self.usual = usual(oid, None)

        def load(self, data: Buffer) -> t.Any:
            try:
                return self.usual.load(data)
            except (psycopg.DataError, OverflowError, ValueError):
                return bytes(data).decode()

    return OrText
