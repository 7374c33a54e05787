# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented about results is what the code returns: RETURN of each module, and the schema of the result file."""

from __future__ import annotations

import ast
import json
import re
import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin, is_typeddict

import jsonschema
import pytest
import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import (
    gate,
    moves,
    render,
    rollback,
)
from tests import CHECKOUT, results
from tests.results import COMMON, Field, fields, merged

SCHEMA: dict[str, Any] = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
NOTHING = types.NoneType
JSON = {str: "string", int: "integer", float: "number", bool: "boolean", NOTHING: "null", list: "array", dict: "object"}
ANSIBLE = {str: "str", int: "int", float: "float", bool: "bool", list: "list", dict: "dict"}
MOVES = ("scout_quarantine", "scout_cleanup", "scout_redrive", "scout_undo", "scout_window_recovery")
#: What else one module returns is documented by another.
BORROWED = {"scout_undo": "scout_rollback"}
OUTCOMES_OF_FAILURES = {"failed", "left_paused", "not_passed", "still_failing", "cannot_tell"}
#: Parts of the result file that are made of results of modules: which, the keys, and whether one that failed is there.
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    "gate": (("scout_gate_info",), gate.WHICH, False),
    "release": (("scout_capture",), rollback.CAPTURED, False),
    "move": (MOVES, moves.WHICH, False),
    "rollback.schema": (("scout_rollback",), rollback.SCHEMA, True),
}
#: Keys of them that only the result of a failure has, or that have fewer values in the file.
OF_FAILURES = {"rollback.schema": {"failed_step", "differs"}}


def documented(name: str) -> dict[str, dict[str, Any]]:
    """Return what RETURN of a module says about each key."""
    file = results.FOLDERS[results.MODULES[name]] / f"{name}.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "RETURN":
            return yaml.safe_load(ast.literal_eval(node.value))
    return {}


def plain(hint: Any) -> Any:
    """Return `dict` for a TypedDict and for `dict[str, Any]`."""
    return dict if is_typeddict(hint) else get_origin(hint) or hint


def described(field: Field) -> dict[str, Any]:
    """Return a field as RETURN has to describe it."""
    [kind] = {plain(hint) for hint in field.hints if hint is not NOTHING}
    elements = {get_args(hint)[0] for hint in field.hints if plain(hint) is list}
    return {
        "type": ANSIBLE[kind],
        "null": NOTHING in field.hints,
        "always": field.required,
        "elements": {ANSIBLE[plain(of)] for of in elements if of is not Any},
    }


def as_documented(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what RETURN says about a field; a list may hold nulls without being null."""
    text = entry["description"] if isinstance(entry["description"], str) else " ".join(entry["description"])
    return {
        "type": entry["type"],
        "null": re.search(r"\b[Nn]ull\b", text) is not None,
        "always": str(entry["returned"]).startswith(("success", "always")),
        "elements": {entry["elements"]} - {"raw"} if "elements" in entry else set(),
    }


@pytest.mark.parametrize("name", results.MODULES)
def test_return_documents_exactly_what_a_module_returns(name: str) -> None:
    shapes = results.shapes(name)
    assert shapes
    assert all(is_typeddict(shape) and fields(shape)["changed"] == Field((bool,), required=True) for shape in shapes)
    found, told = merged(shapes), documented(name)
    borrowed = documented(BORROWED[name]).keys() if name in BORROWED else set[str]()
    assert told.keys() - found.keys() == set()
    assert found.keys() - told.keys() - COMMON - borrowed - {"failed", "msg", "ansible_stats"} == set()
    assert {key: as_documented(told[key]) for key in told} == {key: described(found[key]) for key in told}


@pytest.mark.parametrize("name", BORROWED)
def test_a_result_that_another_module_documents_is_the_same(name: str) -> None:
    mine, theirs = merged(results.shapes(name)[1:]), merged(results.shapes(BORROWED[name]))
    assert {key: mine.get(key) for key in theirs} == theirs


def allowed(entry: dict[str, Any]) -> Iterator[str]:
    """The types of a value that the schema allows."""
    if "$ref" in entry:
        yield from allowed(SCHEMA["$defs"][entry["$ref"].rpartition("/")[2]])
    elif "anyOf" in entry:
        for each in entry["anyOf"]:
            yield from allowed(each)
    elif "const" in entry or "enum" in entry:
        yield from (JSON[type(value)] for value in entry.get("enum", [entry.get("const")]))
    else:
        yield from [entry["type"]] if isinstance(entry["type"], str) else entry["type"]


@pytest.mark.parametrize("name", PARTS)
def test_the_schema_has_the_types_that_modules_return(name: str) -> None:
    made, keys, also_failed = PARTS[name]
    shapes = results.shapes(made[0]) if len(made) == 1 else tuple(results.shapes(each)[0] for each in made)
    found = merged(shapes)
    part = SCHEMA["$defs"]
    for each in name.split("."):
        part = (part.get("properties") or part)[each]
    known = part["properties"]
    assert known.keys() == {*keys, *(["steps"] if name == "rollback.schema" else [])}
    # A move leaves out what it does not know; a part of a failed run is null.
    dropped = {"null"} if name == "move" else set[str]()
    more = {"null"} if also_failed else set[str]()
    for key in known.keys() & set(keys) - OF_FAILURES.get(name, set()):
        # An enumeration says more than a text; the verdict of an assessment may be none.
        less = {"null"} if (name, key) == ("gate", "verdict") else set[str]()
        assert set(allowed(known[key])) - less == {JSON[plain(hint)] for hint in found[key].hints} - dropped | more, key


def test_the_schema_has_the_fields_of_the_document() -> None:
    found, result = fields(render.ResultDocument), SCHEMA["$defs"]["result"]
    assert result["properties"].keys() == found.keys() == set(result["required"])
    for name, entry in result["properties"].items():
        assert set(allowed(entry)) == {JSON[plain(hint)] for hint in found[name].hints}, name


def test_the_schema_knows_every_outcome_and_a_run_without_any_result() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    known = set(SCHEMA["$defs"]["result"]["properties"]["outcome"]["enum"])
    assert known == render.GOOD | OUTCOMES_OF_FAILURES
    assert SCHEMA["properties"]["format"]["const"] == render.FORMAT
    story = render.Story("emergency_reset", "local", "adhoc", False, True, {})
    made = {"format": render.FORMAT, "results": [render.document(story)]}
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(made)))
