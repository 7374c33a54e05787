# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented of results is what the code says: RETURN of each module, and the schema of the result file."""

from __future__ import annotations

import ast
import json
import re
import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin, is_typeddict

import jsonschema
import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import (
    gate,
    moves,
    render,
    rollback,
)
from scripts.rules.tree import Finding, Tree, one, rule
from tests import results
from tests.results import COMMON, Field, fields, merged

PAGE = "docs/result.schema.json"
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


def modules(_: Tree) -> list[str]:
    """The names of all modules."""
    return list(results.MODULES)


def _file(name: str) -> str:
    return f"drills/plugins/modules/{name}.py" if results.MODULES[name] == results.DRILLS else f"library/{name}.py"


def documented(tree: Tree, name: str) -> dict[str, dict[str, Any]]:
    """What RETURN of a module says of each key."""
    for node in tree.python(_file(name)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "RETURN":
            return yaml.safe_load(ast.literal_eval(node.value))
    return {}


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
    text = entry["description"] if isinstance(entry["description"], str) else " ".join(entry["description"])
    return {
        "type": entry["type"],
        "null": re.search(r"\b[Nn]ull\b", text) is not None,
        "always": str(entry["returned"]).startswith(("success", "always")),
        "elements": {entry["elements"]} - {"raw"} if "elements" in entry else set(),
    }


@rule(modules, least=20)
def every_module_says_what_it_returns(tree: Tree, name: str) -> Iterator[Finding]:
    """Dictionaries with typed keys, of which one says whether something was changed."""
    found = results.shapes(name)
    typed = found and all(is_typeddict(shape) for shape in found)
    if not typed or any(fields(shape).get("changed") != Field((bool,), required=True) for shape in found):
        path = _file(name)
        yield Finding(path, tree.line(path, "def run("), f"run of {name} returns no TypedDict with `changed: bool`")


@rule(modules, least=20)
def return_documents_exactly_what_is_returned(tree: Tree, name: str) -> Iterator[Finding]:
    """Each key with its type, whether it may be null, and whether it is always there."""
    found, told, path = merged(results.shapes(name)), documented(tree, name), _file(name)
    borrowed = documented(tree, BORROWED[name]).keys() if name in BORROWED else set[str]()
    start = tree.text(path).find("RETURN = ")
    line = tree.line(path, "RETURN = ")
    yield from (
        Finding(path, line, f"RETURN has {key}, which is not returned") for key in sorted(told.keys() - found.keys())
    )
    left_out = found.keys() - told.keys() - COMMON - borrowed - {"failed", "msg", "ansible_stats"}
    yield from (Finding(path, line, f"RETURN lacks {key}") for key in sorted(left_out))
    for key in told.keys() & found.keys():
        said, is_so = as_documented(told[key]), described(found[key])
        if said != is_so:
            at = tree.text(path).find(f"\n{key}:", start)
            yield Finding(
                path, tree.text(path).count("\n", 0, at) + 2, f"RETURN says {said} of {key}, which is {is_so}"
            )


@rule(lambda _: BORROWED)
def what_one_module_borrows_is_what_the_other_returns(_: Tree, name: str) -> Iterator[Finding]:
    """So that the one documentation is true of both."""
    mine, theirs = merged(results.shapes(name)[1:]), merged(results.shapes(BORROWED[name]))
    if wrong := sorted(key for key in theirs if mine.get(key) != theirs[key]):
        yield Finding(_file(name), 1, f"returns {', '.join(wrong)} otherwise than {BORROWED[name]}")


def _definitions(tree: Tree) -> dict[str, Any]:
    return tree.json(PAGE)["$defs"]


def _part(tree: Tree, name: str) -> dict[str, Any]:
    made = _definitions(tree)
    for each in name.split("."):
        made = (made.get("properties") or made)[each]
    return made["properties"]


def allowed(tree: Tree, entry: dict[str, Any]) -> set[str]:
    """The types of a value that the schema allows."""
    if "$ref" in entry:
        entry = _definitions(tree)[entry["$ref"].rpartition("/")[2]]
    if "anyOf" in entry:
        return {kind for each in entry["anyOf"] for kind in allowed(tree, each)}
    if "const" in entry:
        return {JSON[type(entry["const"])]}
    if "enum" in entry:
        return {JSON[type(value)] for value in entry["enum"]}
    given = entry["type"]
    return {given} if isinstance(given, str) else set(given)


def _shapes(name: str) -> tuple[Any, ...]:
    made, _, _ = PARTS[name]
    return results.shapes(made[0]) if len(made) == 1 else tuple(results.shapes(each)[0] for each in made)


@rule(lambda _: PARTS)
def schema_has_the_types_that_modules_return(tree: Tree, name: str) -> Iterator[Finding]:
    """Of every part of the result file that comes from a module."""
    found, (_, keys, also_failed) = merged(_shapes(name)), PARTS[name]
    properties = _part(tree, name)
    line = tree.line(PAGE, f'"{name.rpartition(".")[2]}": {{\n')
    for key in sorted(properties.keys() ^ {*keys, *(["steps"] if name == "rollback.schema" else [])}):
        yield Finding(PAGE, line, f"{key} is not in both the schema of {name} and its summary")
    # What a move does not say is left out; what one part does not know of a failure is null.
    dropped = {"null"} if name == "move" else set[str]()
    more = {"null"} if also_failed else set[str]()
    for key in sorted(properties.keys() & set(keys) - OF_FAILURES.get(name, set())):
        said = allowed(tree, properties[key])
        if name == "gate" and key == "verdict":
            # An enumeration says more than a text; the verdict of an assessment may be none.
            said -= {"null"}
        wanted = {JSON[plain(hint)] for hint in found[key].hints} - dropped | more
        if said != wanted:
            yield Finding(PAGE, line, f"{key} of {name} is {sorted(said)}, and modules return {sorted(wanted)}")


@rule(one(PAGE))
def schema_has_the_fields_of_the_document(tree: Tree, page: str) -> Iterator[Finding]:
    """All of them required, with their types."""
    found, result = fields(render.ResultDocument), _definitions(tree)["result"]
    known, line = result["properties"], tree.line(page, '"result": {\n')
    for name in sorted(known.keys() ^ found.keys() | found.keys() ^ set(result["required"])):
        yield Finding(page, line, f"{name} is not in all of the document, the schema and what it requires")
    for name in sorted(known.keys() & found.keys()):
        said, wanted = allowed(tree, known[name]), {JSON[plain(hint)] for hint in found[name].hints}
        if said != wanted:
            yield Finding(page, line, f"{name} is {sorted(said)}, and {sorted(wanted)} in the document")


@rule(one(PAGE))
def result_schema_knows_every_outcome(tree: Tree, page: str) -> Iterator[Finding]:
    """And is a schema, of the present format."""
    schema = tree.json(page)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        yield Finding(page, 1, f"is no schema: {error.message}")
    known = set(schema["$defs"]["result"]["properties"]["outcome"]["enum"])
    for outcome in sorted(known ^ (render.GOOD | OUTCOMES_OF_FAILURES)):
        yield Finding(
            page, tree.line(page, '"outcome"'), f"the outcome {outcome} is not in both the schema and the summary"
        )
    if (said := schema["properties"]["format"].get("const")) != render.FORMAT:
        yield Finding(page, tree.line(page, '"format"'), f"says format {said}, which is {render.FORMAT}")


@rule(one(PAGE))
def result_schema_fits_a_run_without_any_result(tree: Tree, page: str) -> Iterator[Finding]:
    """As of a run that failed before it began."""
    story = render.Story("emergency_reset", "local", "adhoc", False, True, {})
    made = json.loads(json.dumps({"format": render.FORMAT, "run_key": "x", "results": [render.document(story)]}))
    for error in jsonschema.Draft202012Validator(tree.json(page)).iter_errors(made):
        yield Finding(page, 1, f"refuses {error.json_path} of a run without any result: {error.message}")
