# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalog holds: every object of a scope as one entry."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Scope:
    """What a release is about: schemas and what they depend on, and the table with the migration history, if any."""

    schemas: tuple[str, ...]
    migrations_table: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One object. `facts` are its definition in parts; an absent one is at its default."""

    kind: str
    name: str
    facts: dict[str, t.Any]
    owner: str | None = None
    #: [grantee, privilege, with grant option, grantor], those that hold by default too.
    grants: tuple[tuple[str, str, bool, str], ...] = ()
    comment: str | None = None
    #: Security labels by provider.
    labels: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    #: Keys of entries that have to be there first.
    needs: tuple[str, ...] = ()
    #: Where it is in this database, which tells a renamed object from another one.
    address: tuple[str, int, int] | None = None
    #: How lists stand whose order means nothing, but shows in a dump: [grantee, grantor] of `grants` and of those of the columns
    #: of a view by their name, and of the sequence of a column; `options`. No part of the definition.
    order: dict[str, list[t.Any]] = dataclasses.field(default_factory=dict[str, list[t.Any]], compare=False)

    @property
    def key(self) -> str:
        """Its name among all kinds."""
        return f"{self.kind}:{self.name}"


@dataclasses.dataclass(frozen=True)
class Catalog:
    """All entries of a scope by key, and which of them are there only because others need them."""

    entries: dict[str, Entry]
    beyond: tuple[str, ...]
