# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented of results is what the code says: RETURN of each module, and the schema of the result file."""

from __future__ import annotations

import json
import re
import types
from typing import Any, get_args, get_origin, is_typeddict

import pytest
import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents import timeline
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import (
    gate,
    incident,
    moves,
    render,
    rollback,
    watch,
)
from tests import CHECKOUT
from tests.results import COMMON, MODULES, Field, fields, merged, misfits, module, shapes

SCHEMA = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text(encoding="utf-8"))["$defs"]
NOTHING = types.NoneType
JSON = {str: "string", int: "integer", float: "number", bool: "boolean", NOTHING: "null", list: "array", dict: "object"}
ANSIBLE = {str: "str", int: "int", float: "float", bool: "bool", list: "list", dict: "dict"}
MOVES = ("scout_quarantine", "scout_cleanup", "scout_redrive", "scout_undo", "scout_window_recovery")
#: What else one module returns is documented by another.
BORROWED = {"scout_undo": "scout_rollback"}

#: Parts of the result file that are made of results of modules: their types, the keys, and whether one that failed is there.
PARTS = {
    "gate": (shapes("scout_gate_info"), gate.WHICH, False),
    "release": (shapes("scout_capture"), rollback.CAPTURED, False),
    "watch": (shapes("scout_watch"), watch.WHICH, False),
    "record": ((timeline.Described,), incident.WHICH, False),
    "move": (tuple(shapes(name)[0] for name in MOVES), moves.WHICH, False),
    "rollback.schema": (shapes("scout_rollback"), rollback.SCHEMA, True),
}

#: Keys of them that only the result of a failure has, or that have fewer values in the file.
OF_FAILURES = {"rollback.schema": {"failed_step", "differs"}}


def documented(name: str) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(module(name).RETURN)


def words(entry: dict[str, Any]) -> str:
    text = entry["description"]
    return text if isinstance(text, str) else " ".join(text)


def plain(hint: Any) -> Any:
    """`dict` for a TypedDict and for `dict[str, Any]`."""
    return dict if is_typeddict(hint) else get_origin(hint) or hint


def elements(field: Field) -> set[str]:
    """What a list holds, as RETURN says it; nothing where that may be anything."""
    [of] = {get_args(hint)[0] for hint in field.hints if plain(hint) is list}
    return {ANSIBLE[plain(of)]} if of is not Any else set()


def described(field: Field) -> dict[str, Any]:
    """A field as RETURN has to say it."""
    [kind] = {plain(hint) for hint in field.hints if hint is not NOTHING}
    return {
        "type": ANSIBLE[kind],
        "null": NOTHING in field.hints,
        "always": field.required,
        "elements": elements(field) if kind is list else set(),
    }


def as_documented(entry: dict[str, Any]) -> dict[str, Any]:
    """What RETURN says of a field. A list may hold nulls without being one."""
    return {
        "type": entry["type"],
        "null": re.search(r"\b[Nn]ull\b", words(entry)) is not None,
        "always": str(entry["returned"]).startswith(("success", "always")),
        "elements": {entry["elements"]} - {"raw"} if "elements" in entry else set(),
    }


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_returns(name: str) -> None:
    assert shapes(name)
    assert all(is_typeddict(shape) for shape in shapes(name))
    assert all(fields(shape)["changed"] == Field((bool,), required=True) for shape in shapes(name))


@pytest.mark.parametrize("name", MODULES)
def test_return_documents_exactly_what_is_returned(name: str) -> None:
    found, told = merged(shapes(name)), documented(name)
    borrowed = documented(BORROWED[name]).keys() if name in BORROWED else set()
    assert told.keys() <= found.keys()
    assert found.keys() - told.keys() <= COMMON | borrowed | {"failed", "msg", "ansible_stats"}
    said = {key: as_documented(entry) for key, entry in told.items()}
    assert said == {key: described(found[key]) for key in told}


def test_what_one_module_borrows_is_what_the_other_returns() -> None:
    for name, other in BORROWED.items():
        mine, theirs = merged(shapes(name)[1:]), merged(shapes(other))
        assert {key: mine[key] for key in theirs} == theirs


def part(name: str) -> dict[str, Any]:
    made: dict[str, Any] = SCHEMA
    for each in name.split("."):
        made = (made.get("properties") or made)[each]
    return made["properties"]


def allowed(entry: dict[str, Any]) -> set[str]:
    """The types of a value that the schema allows."""
    if "$ref" in entry:
        entry = SCHEMA[entry["$ref"].rpartition("/")[2]]
    if "anyOf" in entry:
        return {kind for each in entry["anyOf"] for kind in allowed(each)}
    if "const" in entry:
        return {JSON[type(entry["const"])]}
    if "enum" in entry:
        return {JSON[type(value)] for value in entry["enum"]}
    given = entry["type"]
    return {given} if isinstance(given, str) else set(given)


@pytest.mark.parametrize("name", PARTS)
def test_schema_has_the_types_that_modules_return(name: str) -> None:
    found, (_, keys, also_failed) = merged(PARTS[name][0]), PARTS[name]
    properties = part(name)
    failures = OF_FAILURES.get(name, set())
    assert properties.keys() == {*keys, *(["steps"] if name == "rollback.schema" else [])}
    said = {key: allowed(properties[key]) for key in keys if key not in failures}
    # What a move does not say is left out; what one part does not know of a failure is null.
    dropped = {"null"} if name == "move" else set[str]()
    more = {"null"} if also_failed else set[str]()
    wanted = {key: {JSON[plain(hint)] for hint in found[key].hints} - dropped | more for key in said}
    if name in ("gate", "watch"):
        # An enumeration says more than a text; the verdict of an assessment may be none.
        said["verdict"] -= {"null"}
    assert said == wanted


def test_schema_has_the_fields_of_the_document() -> None:
    found, result = fields(render.ResultDocument), SCHEMA["result"]
    assert result["properties"].keys() == found.keys() == set(result["required"])
    said = {name: allowed(entry) for name, entry in result["properties"].items()}
    assert said == {name: {JSON[plain(hint)] for hint in field.hints} for name, field in found.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"runs": None}, ["runs of RunsResult is None"]),
        ({"more": 1}, ["RunsResult has no more"]),
        ({"runs": [1]}, ["runs of RunsResult is [1]"]),
        ({"summary": True}, ["summary of RunsResult is True"]),
        ({}, []),
    ],
)
def test_a_result_that_is_not_as_declared_is_found(change: dict[str, Any], said: list[str]) -> None:
    assert misfits("scout_runs_info", {"changed": False, "runs": [], "summary": "no runs", **change}) == said


def test_a_key_that_is_missing_is_found() -> None:
    assert misfits("scout_runs_info", {"changed": False, "runs": []}) == ["summary of RunsResult is missing"]
