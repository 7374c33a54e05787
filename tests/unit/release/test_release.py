# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture as a document: digests, differences, the file; what belongs to what; and what a summary says of it."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    checkout,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry

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


@pytest.mark.parametrize("commit", ["v5.2.1", "abc", "g" * 40, "a" * 41, ""])
def test_a_commit_is_a_whole_id(commit: str) -> None:
    with pytest.raises(errors.BadInput, match="is not usable"):
        checkout.checked(commit)
