# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture as a document: digests, differences, the file; what belongs to what; and what a summary says of it."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    capture as captures_capture,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    checkout,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import dependencies
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import query as catalog_query
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render

Document = dict[str, Any]


def entry(kind: str, name: str, **fields: Any) -> Entry:
    facts = fields.pop("facts", {})
    return Entry(kind, name, facts, **fields)


TABLE = entry("table", "scout.t", facts={"column_order": ["a"]}, owner="loader", address=("pg_class", 1, 0))
COLUMN = entry("column", "scout.t.a", facts={"type": "text"}, needs=("table:scout.t",), address=("pg_class", 1, 1))
VIEW = entry("view", "scout.v", facts={"definition": "SELECT 1"}, owner="loader", address=("pg_class", 2, 0))
ABOUT: Document = {
    "release": "v1", "capture_id": "c0ffee00-1", "captured_at": "2026-11-25T10:00:00+00:00", "git_commit": None, "database": "scout",
    "protect": [], "protected": [],
}  # fmt: skip


def made(*entries: Entry, **about: Any) -> Document:
    return captures_document.document(entries, {**ABOUT, **about})


def by_key(*entries: Entry) -> dict[str, Entry]:
    return {each.key: each for each in entries}


def test_the_digest_is_of_the_definitions_alone() -> None:
    same = made(VIEW, COLUMN, TABLE)
    moved = dataclasses.replace(
        TABLE, address=("pg_class", 99, 0), needs=("schema:scout",), facts={"column_order": ["b", "a"]}
    )
    assert made(moved, COLUMN, VIEW, release="v2")["digest"] == same["digest"]
    digests = {same["digest"]}
    for other in (
        dataclasses.replace(TABLE, facts={"unlogged": True}),
        dataclasses.replace(TABLE, owner="other"),
        dataclasses.replace(TABLE, comment=""),
        dataclasses.replace(TABLE, grants=(("PUBLIC", "SELECT", False, "loader"),)),
        dataclasses.replace(TABLE, labels={"selinux": "x"}),
        dataclasses.replace(TABLE, kind="view"),
    ):
        digests.add(made(other, COLUMN, VIEW)["digest"])
    digests.add(made(TABLE, COLUMN)["digest"])
    assert len(digests) == 8


def test_a_document_gives_its_entries_back() -> None:
    whole = dataclasses.replace(
        TABLE, grants=(("PUBLIC", "SELECT", True, "ä"),), comment="a\nb", labels={"x": "y"}, needs=("schema:s",)
    )
    text = json.dumps(made(whole, COLUMN))
    assert captures_document.entries_of(json.loads(text)) == by_key(COLUMN, whole)


def test_differences_have_names() -> None:
    changed = dataclasses.replace(TABLE, facts={"column_order": ["b"]}, owner="me", comment="x")
    renamed = dataclasses.replace(COLUMN, name="scout.t.b")
    added = entry("index", "scout.i")
    before, after = by_key(TABLE, COLUMN, VIEW), by_key(changed, renamed, added)
    here = captures_document.compare(before, after, same_database=True)
    assert here == captures_document.Changes(
        added=("index:scout.i",),
        dropped=("view:scout.v",),
        renamed=(("column:scout.t.a", "column:scout.t.b"),),
        changed={"table:scout.t": ("owner", "comment")},
    )
    assert (here.number, here.counted()) == (4, "1 added, 1 dropped, 1 renamed, 1 changed")
    in_order = captures_document.compare(before, after, same_database=True, column_order=True)
    assert in_order.changed == {"table:scout.t": ("column_order", "owner", "comment")}
    elsewhere = captures_document.compare(before, after, same_database=False)
    assert (elsewhere.renamed, elsewhere.dropped) == ((), ("column:scout.t.a", "view:scout.v"))
    assert here.first(2) == ("table scout.t (owner, comment) changed; index scout.i added; and 2 more")
    retyped = dataclasses.replace(renamed, facts={"type": "int"})
    both = captures_document.compare(by_key(TABLE, COLUMN), by_key(TABLE, retyped), same_database=True)
    assert (both.changed, both.number) == ({"column:scout.t.b": ("type",)}, 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: d["entries"][0]["facts"].update(type="int"), "digests differ: column scout.t.a"),
        (lambda d: d["entries"].pop(), "digests differ: view scout.v"),
        (lambda d: d.update(digest="0" * 64), "digests differ: that of the whole"),
        (lambda d: d["digests"].update({"view:scout.w": "0"}), "digests differ: view scout.w"),
        (lambda d: d.pop("entries"), "it has no 'entries'"),
        (lambda d: d["entries"].append({}), "it has no 'address'"),
        (lambda d: d["entries"][0].update(needs=[]), "digests differ: that of the whole"),
        (lambda d: d.update(git_commit="a" * 40), "digests differ: that of the whole"),
        (lambda d: d.update(format="scout-release/9"), "not scout-release/2"),
    ],
)
def test_a_capture_that_was_altered_is_refused(damage: Any, said: str) -> None:
    # The entries of other tests are not to be damaged with it.
    document = copy.deepcopy(made(TABLE, COLUMN, VIEW))
    captures_document.verify(document, "it")
    damage(document)
    with pytest.raises(errors.BadInput, match=said):
        captures_document.verify(document, "it")


def old(document: Document) -> Document:
    """The same as it was stored when the order of columns counted."""
    entries = captures_document.entries_of(document).values()
    by_key = captures_document.digests(entries, column_order=True)
    digests = {"digest": captures_document.digest(by_key), "digests": by_key}
    return captures_document.sealed({**document, "format": "scout-release/1", **digests})


def test_a_capture_of_before_stays_usable() -> None:
    now = made(TABLE, COLUMN, VIEW)
    before = old(now)
    assert before["digest"] != now["digest"]
    assert captures_document.opened(before, "it") == now
    assert captures_document.opened(now, "it") is now
    for pinned, has in ((before["digest"].upper(), True), (now["digest"], True), ("0" * 64, False)):
        assert captures_document.has_digest(captures_document.opened(before, "it"), pinned) is has
    before["entries"][1]["facts"]["column_order"] = ["b"]
    with pytest.raises(errors.BadInput, match="digests differ: table scout"):
        captures_document.opened(before, "it")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    document = made(TABLE)
    captures_document.save(path, document)
    assert (captures_document.load(path), path.stat().st_mode & 0o777) == (document, 0o600)
    with pytest.raises(TypeError):
        captures_document.save(path, {**document, "bad": object()})
    assert captures_document.load(path) == document
    assert [each.name for each in path.parent.iterdir()] == ["b.json"]
    with pytest.raises(errors.BadInput, match="could not write release_file"):
        captures_document.save(path / "below", document)


def test_numbers_are_words() -> None:
    assert (
        captures_document.counted({"index": 2, "policy": 1, "materialized_view": 3})
        == "3 materialized views, 2 indexes, 1 policy"
    )


def graph(*depends: tuple[Any, ...], parts: Any = None, objects: Any = None) -> dependencies.Graph:
    return dependencies.Graph(
        objects or {}, parts or {}, [dependencies.Dependency(a, s, b, t, how) for a, s, b, t, how in depends]
    )


def test_a_part_falls_with_its_owner() -> None:
    index, constraint, table = ("pg_class", 3), ("pg_constraint", 2), ("pg_class", 1)
    found = graph((index, 0, constraint, 0, "i"), parts={constraint: (table, 0)})
    assert (found.whole(index), found.whole(table)) == (table, table)
    circle = graph((("a", 1), 0, ("b", 2), 0, "i"), (("b", 2), 0, ("a", 1), 0, "i"))
    assert circle.whole(("a", 1)) == ("b", 2)


def test_what_is_needed_elsewhere_is_reached_step_by_step() -> None:
    table, kind, function, foreign, member = (
        ("pg_class", 1),
        ("pg_type", 2),
        ("pg_proc", 3),
        ("pg_class", 4),
        ("pg_type", 5),
    )
    objects = {table: "scout", kind: "other", function: "other", foreign: "other", member: "other"}
    found = graph(
        (table, 1, kind, 0, "n"), (("pg_attrdef", 9), 0, function, 0, "n"), (foreign, 0, table, 0, "n"), (table, 2, member, 0, "n"),
        (member, 0, ("pg_extension", 6), 0, "e"), (function, 0, ("pg_proc", 77), 0, "n"),
        parts={("pg_attrdef", 9): (table, 1)}, objects=objects,
    )  # fmt: skip
    assert found.members(["scout"]) == ({table}, {kind, function})


def test_needs_leave_out_what_runs_in_a_circle() -> None:
    table, sequence, default = ("pg_class", 1), ("pg_class", 2), ("pg_attrdef", 3)
    found = graph(
        (sequence, 0, table, 1, "a"), (default, 0, sequence, 0, "n"), (table, 0, table, 1, "i"),
        parts={default: (table, 1)},
    )  # fmt: skip
    keys = {(table, 0): "table:t", (table, 1): "column:t.a", (sequence, 0): "sequence:s"}
    assert found.needs(keys) == {"column:t.a": {"sequence:s"}}


def test_fragments_are_written_out_to_the_last() -> None:
    text = catalog_query.expanded("SELECT @view(), @sorted(x.y), @granted(a.b)")
    assert "@" not in text
    assert "unnest(x.y)" in text
    assert "aclexplode(a.b)" in text


def seen(existing: Document | None, now: Document, **fields: Any) -> captures_capture.CaptureState:
    changes = None
    if existing:
        changes = captures_document.compare(
            captures_document.entries_of(existing), captures_document.entries_of(now), same_database=False
        )
    values = {"previous": existing, "on_file": None, "changes": changes, "tables": (), "data": None} | fields
    return captures_capture.CaptureState(made=now, existing=existing, **values)


def wanted(**fields: Any) -> captures_capture.CaptureRequest:
    scope = captures_capture.catalog_reader.Scope(("scout",))
    values = {"file": None, "recapture": False, "commit": None, "protect": ()} | fields
    return captures_capture.CaptureRequest(release="v1", scope=scope, max_rows=1, application={}, **values)


OTHER = dataclasses.replace(VIEW, comment="x")
DATA = [{"relation": "scout.t", "rows": 1, "digest": "5"}]
FILE = Path("/tmp/never-written.json")


@pytest.mark.parametrize(
    ("existing", "entries", "fields", "want", "capture", "write"),
    [
        (None, (TABLE,), {}, {}, True, False),
        (None, (TABLE,), {}, {"file": FILE}, True, True),
        (made(TABLE), (TABLE,), {}, {}, False, False),
        (made(TABLE), (TABLE,), {}, {"file": FILE}, False, True),
        (made(TABLE), (TABLE,), {"on_file": made(TABLE)}, {"file": FILE}, False, False),
        (made(TABLE), (TABLE,), {"on_file": made(TABLE, capture_id="old")}, {"file": FILE}, False, True),
        (made(TABLE), (VIEW,), {}, {"recapture": True}, True, False),
        (made(TABLE, git_commit="a" * 40), (TABLE,), {}, {}, False, False),
        (made(TABLE, git_commit="a" * 40), (TABLE,), {}, {"commit": "b" * 40, "recapture": True}, True, False),
        (made(TABLE, protected=DATA), (TABLE,), {"data": DATA}, {"recapture": True}, False, False),
        (made(TABLE, protected=DATA), (TABLE,), {"data": []}, {"recapture": True}, True, False),
    ],
)
def test_what_is_to_be_done(
    existing: Document | None, entries: Any, fields: Any, want: Any, capture: bool, write: bool
) -> None:
    plan = captures_capture.plan(seen(existing, made(*entries, capture_id="new"), **fields), wanted(**want), "scout")
    assert (plan.capture, plan.write) == (capture, write)


@pytest.mark.parametrize(
    ("entries", "want", "said"),
    [
        ((OTHER,), {}, "view scout.v \\(comment\\) changed"),
        ((VIEW,), {"protect": ("scout.t",)}, "data protected: none"),
        ((VIEW,), {"commit": "b" * 40}, "git_commit none, not bbbbbbbbbbbb"),
    ],
)
def test_another_state_takes_no_place_unasked(entries: Any, want: Any, said: str) -> None:
    with pytest.raises(errors.NotConverged, match=said) as raised:
        captures_capture.plan(seen(made(VIEW), made(*entries)), wanted(**want), "scout")
    assert "recapture=true" in raised.value.next_step


@pytest.mark.parametrize("commit", ["v5.2.1", "abc", "g" * 40, "a" * 41, ""])
def test_a_commit_is_a_whole_id(commit: str) -> None:
    with pytest.raises(errors.BadInput, match="is not usable"):
        checkout.checked(commit)


def captured(**fields: Any) -> Document:
    document = made(TABLE, COLUMN, VIEW, capture_id="new")
    here = seen(made(TABLE, OTHER, release="v0"), document)
    result = captures_capture.described(here, wanted(), document)
    return {
        **result, "changed": True, "run_id": "75fac115-3c73-473a-8942-05dc6dcdc27e", "effects": {}, "database": "scout on db1:5432",
        "summary": captures_capture.summary(here, wanted(), captures_capture.Plan(True, False), document, check=False), **fields,
    }  # fmt: skip


def told(check: bool, **fields: Any) -> tuple[str, Document]:
    story = render.Story("capture_release", "db1", "adhoc", check, True, {"capture": captured(**fields)})
    lines = render.lines(story)
    assert max(map(len, lines)) <= 79
    return " ".join(" ".join(lines).split()), render.document(story)


def test_a_summary_says_what_is_held_what_differs_and_what_next() -> None:
    text, document = told(check=False)
    assert "holds 1 column, 1 table, 1 view" in text
    assert "since v0 of 2026-11-25 10:00 UTC: view scout.v (comment) changed; column scout.t.a added" in text
    assert "now pipeline unchanged" in text
    assert "next deploy, then ansible-playbook playbooks/acceptance_gate.yml" in text
    assert (document["outcome"], document["release"]["differing"]) == ("done", 2)
    text, document = told(check=True)
    assert "now nothing was written next run it without --check" in text
    assert document["outcome"] == "planned"
    text, document = told(check=False, changed=False)
    assert document["outcome"] == "unchanged"


def test_a_refusal_says_why_and_what_then() -> None:
    error = errors.NotConverged(
        "v1 is captured already", on="scout", said="view scout.v (comment) changed", next_step="recapture"
    )
    text, document = told(check=False, changed=False, failed=True, msg="x", error=error.as_dict())
    assert "failed v1 is captured already on scout: view scout.v (comment) changed" in text
    assert (document["outcome"], document["ok"]) == ("failed", False)
