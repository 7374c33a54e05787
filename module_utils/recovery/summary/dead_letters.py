# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead letter queue as a page of text; pure."""

from __future__ import annotations

import textwrap
import typing as t

from ..core.text import count, cut, in_words, printable

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Result = dict[str, t.Any]

WIDTH: t.Final = 79
INDENT: t.Final = "    "
#: Characters of an error that are shown.
REASON: t.Final = 120
#: How old dead letters are, in words.
AGES: t.Final = {
    "hour": "of the last hour",
    "day": "of the last day",
    "week": "of the last week",
    "older": "older",
}


def page(result: Mapping[str, t.Any]) -> list[str]:
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
    source = printable(group["source_system"]) or "no source"
    state = f" ({printable(group['sqlstate'])})" if group["sqlstate"] else ""
    head = f"  {cut(printable(group['error_code']), 30)}{state} from {cut(source, 30)}"
    oldest, newest = group["oldest_seconds"], group["newest_seconds"]
    told = [count(group["entries"], "entry", "entries")]
    if oldest is not None:
        told.append(f"{' to '.join(dict.fromkeys(map(in_words, (oldest, newest))))} old")
    if group["retried"]:
        told.append(f"{group['retried']:,} retried")
    return [head, *_labelled("has", ", ".join(told))]


def _sample(sample: Result) -> list[str]:
    """One entry: what was wrong with it, and what it is."""
    if not sample:
        return []
    kept = [name for name in ("event_id", "run_id", "incident") if sample[name]] or ["dlq_id"]
    whose = printable("; ".join(f"{name.removesuffix('_id')} {sample[name]}" for name in kept))
    size = f"{sample['bytes']:,} bytes" + (f", amount {printable(sample['amount'])}" if sample["amount"] else "")
    error = cut(printable(sample["error_message"]), REASON)
    return [
        *_labelled("error", error),
        *_labelled("sample", whose),
        *_labelled("", size),
        *_labelled("payload", printable(sample["look"])),
    ]


def _labelled(label: str, text: str) -> list[str]:
    head = f"{INDENT}{label:<8}"
    lines = textwrap.wrap(text, WIDTH - len(head), break_on_hyphens=False)
    return [f"{head if not place else ' ' * len(head)}{line}" for place, line in enumerate(lines)]
