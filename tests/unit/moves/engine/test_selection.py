# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The times that an error suggests are times that are taken."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import selection
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import times


@pytest.mark.parametrize("text", ["2026-11-25", "2026-11-25 01:00", "2026-11-25T01:00:30", "2026-11-25T01", "20261125"])
def test_what_is_suggested_in_place_of_a_naive_time_can_be_typed(text: str) -> None:
    session: Any = None
    with pytest.raises(BadInput) as raised:
        times.moment(session, text, None, "window_start")
    suggested = re.findall(r"(?:write|or) (\d\S+?),?(?= |$)", raised.value.next_step)
    assert len(suggested) == 2
    for each in suggested:
        assert times.moment(session, each, None, "window_start").tzinfo is not None


AT = datetime.datetime(2026, 11, 25, 1, tzinfo=datetime.UTC)
EVENT = "5e6f9c1e-0000-4000-8000-000000000001"
ALL = selection.Selection(
    times.Window("event_ts", AT, AT + datetime.timedelta(hours=1)), ("pos",), ("transaction.v1",), ("S-1",), ("T-1", "T-2"),
    (EVENT,), "($.total_amount < 0)", "5:7:6,4294967301", ("a.zip/1.json",),
)  # fmt: skip


def test_a_selection_comes_back_as_it_was() -> None:
    assert selection.Selection.from_dict(ALL.as_dict()) == ALL
    nothing = selection.Selection(times.Window("ingested_at"))
    assert selection.Selection.from_dict(nothing.as_dict()) == nothing
    # As an earlier release wrote it.
    earlier = {key: value for key, value in nothing.as_dict().items() if key not in ("snapshot", "source_files")}
    assert selection.Selection.from_dict(earlier) == nothing


def test_what_narrows_it_besides_a_time_is_shown_with_the_first_twenty_of_many() -> None:
    many = tuple(f"T-{number}" for number in range(21))
    assert selection.Selection(ALL.window, transactions=many, payload_path="$.a").narrowed == {
        "transactions": list(many[:20]),
        "payload_path": "$.a",
    }
    assert selection.Selection(ALL.window, snapshot="1:1:").narrowed == {}


def test_all_of_its_conditions_must_hold() -> None:
    assert ALL.condition("e").as_string().split(" AND ") == [
        '"e"."event_ts" >= %(start)s',
        '"e"."event_ts" < %(end)s',
        '"e".source_system = ANY(%(source_systems)s)',
        '"e".source_file = ANY(%(source_files)s)',
        '"e".event_type = ANY(%(event_types)s)',
        """"e".event_data ->> 'store_id' = ANY(%(stores)s)""",
        """"e".event_data ->> 'transaction_id' = ANY(%(transactions)s)""",
        '"e".event_id = ANY(%(event_ids)s::uuid[])',
        """"pg_catalog"."jsonb_path_match"("e".event_data, %(payload_path)s::jsonpath, '{}', true)""",
        'age("e".xmin) > age(%(snapshot_xmax)s::xid)',
        '"e".xmin <> ALL (%(snapshot_xip)s::xid[])',
    ]
    assert selection.Selection(times.Window("ingested_at")).condition().as_string() == "true"


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("($.a < 0)", "match"),
        ("!($.a < 0)", "match"),
        ("exists ($.a)", "match"),
        ("strict ($.a < 0)", "match"),
        ("$.a?(@ < 0)", "exists"),
        ("strict $.a", "exists"),
    ],
)
def test_a_predicate_is_told_from_a_path(path: str, function: str) -> None:
    made = selection.Selection(times.Window("ingested_at"), payload_path=path).condition().as_string()
    assert made.startswith(f'"pg_catalog"."jsonb_path_{function}"')


def test_what_it_binds() -> None:
    assert ALL.values == {
        "start": AT, "end": AT + datetime.timedelta(hours=1), "source_systems": ["pos"], "event_types": ["transaction.v1"],
        "stores": ["S-1"], "transactions": ["T-1", "T-2"], "event_ids": [EVENT], "payload_path": "($.total_amount < 0)",
        "source_files": ["a.zip/1.json"], "snapshot_xmax": "7", "snapshot_xip": ["6", "5"],
    }  # fmt: skip
    assert selection.snapshot_values(None) == {"snapshot_xmax": "0", "snapshot_xip": []}
    assert selection.snapshot_values("1:4294967296:")["snapshot_xmax"] == "0"


def test_a_file_of_identifiers(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    file.write_text(f"# of yesterday\n\n  {EVENT.upper()}  \n  # {EVENT}\n")
    assert selection._from_file(str(file)) == [EVENT]
    for text, said in ((f"{EVENT}\nx", "'x' is not an event id"), ("# none\n\n", "names no event")):
        file.write_text(text)
        with pytest.raises(BadInput, match=said):
            selection._from_file(str(file))
    with pytest.raises(BadInput) as missing:
        selection._from_file(str(tmp_path / "none"))
    assert missing.value.said == "No such file or directory"
    file.write_bytes(b"\xff")
    with pytest.raises(BadInput) as unreadable:
        selection._from_file(str(file))
    assert "can't decode" in unreadable.value.said


def test_a_wrong_identifier_is_shown_in_part() -> None:
    with pytest.raises(BadInput) as raised:
        selection.identifiers([EVENT, "y" * 90], "event_ids")
    assert raised.value.attempted == f"event_ids: {'y' * 80!r} is not an event id"
    assert selection._texts(None) == ()
    assert selection._texts(["a"]) == ("a",)
