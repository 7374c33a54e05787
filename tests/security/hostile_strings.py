# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All regular expressions of both collections, and texts made from each that keep a careless one busy."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

#: The library's own reading of a pattern.
op: Any = importlib.import_module("re._constants")
parser: Any = importlib.import_module("re._parser")

PACKAGES: Final = (
    *(
        f"ansible_collections.scout.recovery.plugins.{name}"
        for name in ("module_utils.recovery", "modules", "plugin_utils")
    ),
    *(f"ansible_collections.scout.recovery.plugins.{name}" for name in ("action", "filter")),
    *(f"ansible_collections.scout.drills.plugins.{name}" for name in ("action", "modules", "plugin_utils")),
)
SEARCHING: Final = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
ANCHORED: Final = frozenset({"match", "fullmatch"})
#: Without one of these in its text a module neither uses a pattern nor has one where it is used.
USES: Final = re.compile(rf"\.\s*(?:{'|'.join(sorted(SEARCHING | ANCHORED))})\b")
#: What a class of characters is tried with, each that fits, up to so many.
CHARACTERS: Final = "a A1_-.\t\n'\"\\:/@=,;($*é"
CHOICES: Final = 5
#: So many texts of a pattern are made.
FEW: Final = 50


class Found(NamedTuple):
    """A pattern, where it stands, and whether it only ever meets the beginning of a text."""

    where: str
    pattern: re.Pattern[Any]
    anchored: bool


def patterns() -> list[Found]:
    """Every pattern that a module, a class or a function of either collection holds, each once."""
    modules = [*_modules()]
    nodes = {module.__name__: [*_nodes(inspect.getsource(module))] for module in modules}
    uses = defaultdict[tuple[str, str], set[str]](set)
    for name, own_nodes in nodes.items():
        for node in own_nodes:
            match node:
                case ast.Attribute(value=ast.Name(id=own), attr=how):
                    uses[name.rpartition(".")[2], own].add(how)
                case ast.Attribute(value=ast.Attribute(value=ast.Name(id=other), attr=own), attr=how):
                    uses[other, own].add(how)
                case _:
                    pass
    found: dict[tuple[Any, int], Found] = {}
    for module in modules:
        where = module.__name__.partition(".scout.")[2].replace(".plugins.", ".").replace("module_utils.recovery.", "")
        held = [(name, each) for name, value in vars(module).items() for each in _held(value)]
        hows = {name: uses[module.__name__.rpartition(".")[2], name] & (SEARCHING | ANCHORED) for name, _ in held}
        each = [(name, pattern, bool(hows[name]) and hows[name] <= ANCHORED) for name, pattern in held]
        for name, pattern, anchored in (*each, *_inline(nodes[module.__name__])):
            before = found.setdefault((pattern.pattern, pattern.flags), Found(f"{where}.{name}", pattern, anchored))
            found[pattern.pattern, pattern.flags] = before._replace(anchored=before.anchored and anchored)
    return list(found.values())


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        root = importlib.import_module(package)
        yield from (importlib.import_module(i.name) for i in pkgutil.walk_packages(root.__path__, f"{package}."))


def _held(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from _held(list(cast("dict[Any, Any]", value).values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (made for inner in cast("list[Any]", value) for made in _held(inner))
    elif isinstance(value, type) and value.__module__.startswith("ansible_collections.scout."):
        yield from (made for inner in vars(value).values() for made in _held(inner))


def _nodes(text: str) -> Iterator[ast.expr]:
    """Where a module's text may use a pattern."""
    if USES.search(text):
        yield from (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute | ast.Call))


def _inline(nodes: Iterable[ast.expr]) -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Those written where they are used: `re.sub(r"…", …)`."""
    for node in nodes:
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=how),
                args=[ast.Constant(value=text), *_],
                keywords=words,
            ) if how in SEARCHING | ANCHORED and isinstance(text, str | bytes):
                flags = next((ast.unparse(word.value) for word in words if word.arg == "flags"), "")
                flags = flags or next((ast.unparse(a) for a in node.args if ast.unparse(a).startswith("re.")), "0")
                yield f"line {node.lineno}", re.compile(text, eval(flags, {"re": re})), how in ANCHORED
            case _:
                pass


def pumps(pattern: re.Pattern[Any]) -> list[tuple[str, str, str]]:
    """Beginning, what is repeated, and end, of texts that a pattern matches for long and then does not."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = parser.parse(text, pattern.flags & ~re.UNICODE & ~re.DEBUG)
    made: dict[tuple[str, str, str], None] = {}
    for before, body in _repeated(tree, ""):
        for end in ("", "\0"):
            made[before, body, end] = None
    for sample in _samples(tree):
        for at in range(1, len(sample) + 1):
            made["", sample[:at], "\0"] = None
    entries = [entry for entry in made if entry[1]]
    # Of too many, some of each kind.
    return entries[:: -(-len(entries) // FEW) or 1]


def _samples(nodes: Any, depth: int = 0) -> list[str]:
    """Texts that a sequence of nodes matches, few of many."""
    found = [""]
    for node in nodes:
        each = _sample(node, depth)
        found = (
            [f"{before}{after}" for before in found for after in each][:CHOICES]
            if len(each) * len(found) <= 40
            else [f"{before}{each[nth % len(each)]}" for nth, before in enumerate(found * CHOICES)][:CHOICES]
        )
    return list(dict.fromkeys(found))


def _sample(node: Any, depth: int) -> list[str]:
    kind, value = node
    if kind is op.LITERAL:
        return [chr(value)]
    if kind is op.NOT_LITERAL:
        return [c for c in CHARACTERS if ord(c) != value][:CHOICES]
    if kind is op.ANY:
        return ["a"]
    if kind is op.IN:
        return _of_class(value)
    if kind is op.BRANCH:
        return [text for branch in value[1] for text in _samples(branch, depth + 1)[:2]]
    if kind is op.SUBPATTERN:
        return _samples(value[3], depth)
    if kind is op.ATOMIC_GROUP:
        return _samples(value, depth)
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least, _, body = value
        return [text * max(least, 1) for text in _samples(body, depth + 1)]
    return [""]


def _of_class(value: Any) -> list[str]:
    kinds = {op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D", op.CATEGORY_SPACE: r"\s", op.CATEGORY_NOT_SPACE: r"\S",
             op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W"}  # fmt: skip
    negated, parts, named = False, "", list[str]()
    for kind, what in value:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.LITERAL:
            parts += re.escape(chr(what))
            named.append(chr(what))
        elif kind is op.RANGE:
            parts += f"{re.escape(chr(what[0]))}-{re.escape(chr(what[1]))}"
            named.append(chr(what[0]))
        elif kind is op.CATEGORY:
            parts += kinds[what]
    fitting = re.compile(f"[{'^' if negated else ''}{parts}]")
    candidates: dict[str, None] = dict.fromkeys([*CHARACTERS, *([] if negated else named)])
    chosen = [c for c in candidates if fitting.match(c)]
    # Of the words' characters one is as good as another.
    return chosen[: CHOICES * 2] or named[:1] or [""]


def _repeated(nodes: Any, before: str) -> Iterator[tuple[str, str]]:
    """Each repetition in a tree: what leads to it, and what it repeats."""
    for node in nodes:
        kind, value = node
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            _, most, body = value
            if most > 1:
                yield from ((before, text) for text in _samples(body))
            yield from _repeated(body, before)
        elif kind is op.BRANCH:
            for branch in value[1]:
                yield from _repeated(branch, before)
        elif kind is op.SUBPATTERN:
            yield from _repeated(value[3], before)
        elif kind is op.ATOMIC_GROUP:
            yield from _repeated(value, before)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            yield from _repeated(value[1], before)
        before += _sample(node, 0)[0]
