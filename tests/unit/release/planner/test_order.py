# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a difference in their order, with what is filled."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.statement import say
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.changes import Diff
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.fill import Fills
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.order import order
from tests.unit.release.planner.entries import by_key, column, entry, table, view

ID, A = column("w.t.id"), column("w.t.a", not_null=True)
TABLE = table("w.t", ID, A)
INDEX = entry("index", "w.i", "column:w.t.a", table="w.t", definition="CREATE INDEX i ON w.t USING btree (a)")
VIEW, ON_VIEW = view("w.v", "column:w.t.a"), view("w.u", "view:w.v")
VIEWS = frozenset({"view:w.u", "view:w.v"})
FILL, COUNT, CLOSE = say("-- fill"), say("-- count"), "ALTER TABLE w.t ALTER COLUMN a SET NOT NULL"
ADD, MAKE = "ALTER TABLE w.t ADD COLUMN a integer", "CREATE TABLE w.t (id integer, a integer NOT NULL)"


def test_a_circle_is_an_error() -> None:
    one, two = view("w.u", "view:w.v"), view("w.v", "view:w.u")
    with pytest.raises(errors.NotConverged, match=r"in a circle: create view:w\.u, create view:w\.v"):
        order(Diff({}, by_key(one, two), created=VIEWS), Fills())
