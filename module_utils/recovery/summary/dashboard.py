# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers to the runbook's dashboard queries as one page of text; pure."""

from __future__ import annotations

import itertools
import json
import re
import textwrap
import typing as t

from ..core.text import count, cut, in_words, printable

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Result = dict[str, t.Any]

WIDTH: t.Final = 79
INDENT: t.Final = "    "
#: Narrower than this no column of texts is made, whatever stands in the others, and no text is longer than so many lines.
NARROWEST: t.Final = 10
TALLEST: t.Final = 4
#: So much is told of why a figure is bad.
REASON: t.Final = 120
#: And of the payload of a dead letter.
PAYLOAD: t.Final = 190
#: The beginning of a digest is enough to tell equal values on a page.
MASKED: t.Final = re.compile(r"(masked:[0-9a-f]{4})[0-9a-f]{16}")
#: How old dead letters are, in words.
AGES: t.Final = {
    "hour": "of the last hour",
    "day": "of the last day",
    "week": "of the last week",
    "older": "older",
}
#: Words up to this length, such as identifiers, are not broken while there is room elsewhere.
WORD: t.Final = 36
MOMENT: t.Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:\+00(?::00)?)?")
#: Where a column's name and a text may be broken.
HEAD: t.Final = re.compile(r"[^_]+|_")
TEXT: t.Final = re.compile(r"[^\s_]*_+|[^\s_]+|\s+")
SHORT: t.Final = re.compile(r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d")


def page(result: Mapping[str, t.Any]) -> list[str]:
    """The page of scout_dashboard_info's result; no line is wider than a terminal, and nothing in it controls one."""
    asked = _to_the_minute(str(result.get("asked_at", "")))
    head, tail = "dashboard of ", f", {asked} UTC, {result.get('verdict', '')}"
    lines = [head + cut(_printable(result.get("database", "")), WIDTH - len(head) - len(tail)) + tail]
    heading = ""
    queries: Sequence[Result] = result.get("queries") or ()
    for query in queries:
        if query["dashboard"] != heading:
            heading = query["dashboard"]
            lines += ["", heading.lower()]
        lines += ["", *_query(query, asked[:4])]
    return lines


def dead_letters(result: Mapping[str, t.Any]) -> list[str]:
    """The dead letter queue of scout_dead_letters_info's result: its ages, then each error and source with a sample; nothing where
    there is none. No line is wider than a terminal."""
    groups: Sequence[Result] = result.get("groups") or ()
    if not groups:
        return []
    ages: Result = result["ages"]
    told = ", ".join(f"{ages[name]:,} {words}" for name, words in AGES.items() if ages.get(name))
    lines = [f"dead letters by age: {told}"]
    for group in groups:
        lines += ["", *_entries(group), *_sample(group["sample"] or {})]
    if result["kinds"] > len(groups):
        lines += ["", f"  and {count(result['kinds'] - len(groups), 'more kind')}"]
    return lines


def _entries(group: Result) -> list[str]:
    """How many there are of an error and a source, and how old they are."""
    source = _printable(group["source_system"]) or "no source"
    state = f" ({_printable(group['sqlstate'])})" if group["sqlstate"] else ""
    head = f"  {cut(_printable(group['error_code']), 30)}{state} from {cut(source, 30)}"
    oldest, newest = group["oldest_seconds"], group["newest_seconds"]
    told = [count(group["entries"], "entry", "entries")]
    if oldest is not None:
        told.append(f"{' to '.join(dict.fromkeys(map(in_words, (oldest, newest))))} old")
    if group["retried"]:
        told.append(f"{group['retried']:,} retried")
    return [head, *_labelled("has", ", ".join(told))]


def _sample(sample: Result) -> list[str]:
    """One entry: what was wrong with it, what it is, and the beginning of its payload."""
    if not sample:
        return []
    kept = [name for name in ("event_id", "run_id", "incident") if sample[name]] or ["dlq_id"]
    whose = _printable("; ".join(f"{name.removesuffix('_id')} {sample[name]}" for name in kept))
    payload = _printable(sample["payload"] or f"{sample['bytes']:,} bytes")
    payload = cut(MASKED.sub(r"\1", payload), PAYLOAD)
    error = cut(_printable(sample["error_message"]), REASON)
    return [*_labelled("error", error), *_labelled("sample", whose), *_labelled("", payload)]


def _query(query: Result, year: str) -> list[str]:
    rows: list[Result] = query["rows"]
    told = f"{query['seconds']:.2f} s"
    if query["total"] and query["total"] > len(rows):
        told = f"{len(rows)} of {count(query['total'], 'row')}, {told}"
    lines = [f"  {query['name']}  ({told})"]
    if query["error"]:
        why = _printable(query["error"]) + (f". Next: {query['next_step']}" if query["next_step"] else "")
        lines += _labelled("failed", why)
    else:
        lines += table(rows, year) if rows else [f"{INDENT}no row"]
    lines += _labelled("ours", _figures(query["ours"]))
    return lines + _labelled("mind", query["caution"])


def _labelled(label: str, text: str) -> list[str]:
    head = f"{INDENT}{label:<8}"
    lines = textwrap.wrap(text, WIDTH - len(head), break_on_hyphens=False)
    return [f"{head if not place else ' ' * len(head)}{line}" for place, line in enumerate(lines)]


def _figures(figures: Sequence[Mapping[str, t.Any]]) -> str:
    """`bronze staleness 11 s, silver staleness 2 min (ok); critical alerts 3 (fail: NEGATIVE_TOTAL 3)`."""
    # Loaded where a dashboard was asked for.
    from ..health.assessment import shown

    parts: list[str] = []
    for remark, group in itertools.groupby(figures, _remark):
        names = [f"{str(f['name']).replace('_', ' ')} {shown(f['value'], f['unit']) or '?'}" for f in group]
        parts.append(", ".join(names) + (f" ({remark})" if remark else ""))
    return "; ".join(parts)


def _remark(figure: Mapping[str, t.Any]) -> str:
    """How a figure is judged, and why where that is not well."""
    status, reason = str(figure["status"]), cut(_printable(figure["reason"]), REASON)
    if status == "unknown":
        return reason or status
    if status == "unjudged":
        return reason
    return f"{status}: {reason}" if reason and status != "ok" else status


def table(rows: list[Result], year: str = "") -> list[str]:
    """Rows under their columns' names; names and texts are folded where they do not fit, numbers and moments never."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name), year) for name in names] for row in rows]
    right = [all(isinstance(row.get(name), (int, float, type(None))) for row in rows) for name in names]
    data = [max(len(row[place]) for row in cells) for place in range(len(names))]
    widths = [max(width, *map(len, _words(name))) for width, name in zip(data, names, strict=True)]
    firm = [
        to_right or all(SHORT.fullmatch(row[place]) or row[place] == "-" for row in cells)
        for place, to_right in enumerate(right)
    ]
    for breaking in (False, True):
        least = [
            width if fixed else min(width, NARROWEST if breaking else _longest_word([row[place] for row in cells]))
            for place, (width, fixed) in enumerate(zip(data, firm, strict=True))
        ]
        _narrow(widths, least, WIDTH - len(INDENT) - 2 * (len(widths) - 1))
    heads = [
        _folded([cut(word, width) for word in HEAD.findall(_printable(name))], width, "_")
        for name, width in zip(names, widths, strict=True)
    ]
    height = max(map(len, heads))
    lines = [
        [head[place] for head in ([""] * (height - len(head)) + head for head in heads)] for place in range(height)
    ]
    for row in cells:
        folded = [_fitted(text, width) for text, width in zip(row, widths, strict=True)]
        lines += [
            [text[place] if place < len(text) else "" for text in folded] for place in range(max(map(len, folded)))
        ]
    return [_line(line, widths, right) for line in lines]


def _narrow(widths: list[int], least: list[int], room: int) -> None:
    """Takes from the widest column until all have room, and from none more than it can give."""
    while sum(widths) > room:
        loose = [place for place, width in enumerate(widths) if width > least[place]]
        if not loose:
            return
        widths[max(loose, key=lambda place: widths[place])] -= 1


def _fitted(text: str, width: int) -> list[str]:
    lines = _folded(TEXT.findall(text), width, " ")
    return lines if len(lines) <= TALLEST else [*lines[: TALLEST - 1], cut(f"{lines[TALLEST - 1]} …", width)]


def _longest_word(texts: list[str]) -> int:
    """The width at which no text of a column breaks a word; NARROWEST at least."""
    return max([NARROWEST, *(len(word) for text in texts for word in TEXT.findall(text) if len(word) <= WORD)])


def _line(texts: list[str], widths: list[int], right: list[bool]) -> str:
    parts = (
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(texts, widths, right, strict=True)
    )
    return cut(f"{INDENT}{'  '.join(parts)}".rstrip(), WIDTH)


def _words(name: str) -> list[str]:
    return [word for word in _printable(name).split("_") if word] or [""]


def _folded(pieces: list[str], width: int, glue: str = "") -> list[str]:
    """Pieces put together again on lines of this width, without the glue where a line ends; one that is longer is broken."""
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece.rstrip()) <= width:
            lines[-1] += piece
            continue
        rest = piece.lstrip(glue)
        while rest:
            lines.append(rest[:width])
            rest = rest[width:]
    return [line.strip(glue) for line in lines if line.strip(glue)] or [""]


def _cell(value: t.Any, year: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, str):
        return _to_the_minute(_printable(value), year)
    if isinstance(value, dict):
        entries = t.cast("dict[str, t.Any]", value)
        return ", ".join(f"{_printable(name)} {_cell(inner, year)}" for name, inner in entries.items()) or "-"
    return _printable(json.dumps(value, ensure_ascii=False))


def _to_the_minute(text: str, year: str = "") -> str:
    """To the minute, which is enough for a page that is in UTC, and without the year where it is this one."""
    found = MOMENT.fullmatch(text)
    return text if found is None else f"{found[1].removeprefix(year)} {found[2]}".lstrip("-")


def _printable(text: t.Any) -> str:
    return printable(text)
