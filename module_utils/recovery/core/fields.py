# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of fields: one spelling for all ways in which somebody writes them, and paths that mean some of them; pure."""

from __future__ import annotations

import functools
import re
import typing as t
import unicodedata

from .errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Collection

PATH: t.Final = re.compile(r"(?P<root>\$\.)?(?P<steps>[^\W\d][\w-]*(?:\[\*\])?(?:\.[^\W\d][\w-]*(?:\[\*\])?)*)")
#: Letters of other scripts that look like Latin ones, and those.
LOOKALIKES: t.Final = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеорсухіјѕһԁԛԝкмтгпвьΑΒΕΖΗΙΚΜΝΟΡΤΥΧαεικνορτυχⅼıɡʟ",
    "ABESIJKMHOPCTYXaeopcyxijshdqwkmtrnbbABEZHIKMNOPTYXaeiknoptuxligl",
)


@functools.lru_cache(4096)
def _plain(character: str) -> str:
    """A character as ASCII has it, where it is only another form of that; nothing where nobody sees it."""
    if unicodedata.category(character) == "Cf":
        return ""
    if unicodedata.category(character) == "Zs":
        return " "
    if unicodedata.category(character) == "Pd":
        return "-"
    if unicodedata.category(character) == "Nd":
        return str(unicodedata.digit(character))
    made = unicodedata.normalize("NFKC", character).translate(LOOKALIKES)
    return made if len(made) == 1 and made.isascii() else character


def folded(text: str) -> str:
    """A text with characters, digits, blanks and dashes that look like those of ASCII as these, and without what nobody sees."""
    return text if text.isascii() else "".join([each if each < "\x80" else _plain(each) for each in text])


@functools.lru_cache(8192)
def spelling(name: str) -> str:
    """What a name is known by: what is of an alphabet in it, in lower case. Customer-ID, customerId and
    `customer. id` are one."""
    if not name.isascii():
        name = "".join(each for each in unicodedata.normalize("NFKD", folded(name)) if not unicodedata.combining(each))
    made = "".join(filter(str.isalpha, name.lower()))
    return made or name.lower()


def parsed(entry: str, option: str = "mask") -> tuple[bool, tuple[str, ...]]:
    """Whether a field is meant from the root of a row on, and its steps by their spelling; positions in arrays do not count.
    Raises BadInput for what is no name."""
    found = PATH.fullmatch(entry.strip())
    if found is None:
        raise BadInput(
            f"{option}: {entry[:80]!r} is not the name of a field",
            next_step="give column names or keys (customer_id) or paths (event_data.customer.id, $.event_data.items[*].note)",
        )
    return bool(found["root"]), tuple(spelling(step) for step in found["steps"].replace("[*]", "").split("."))


class Fields:
    """Fields that are meant, by their names at any depth or by their paths."""

    def __init__(self, entries: Collection[str], option: str = "mask") -> None:
        self.paths = [parsed(entry, option) for entry in entries]
        self.last: dict[str, list[tuple[bool, tuple[str, ...]]]] = {}
        for path in self.paths:
            self.last.setdefault(path[1][-1], []).append(path)

    def mean(self, path: tuple[str, ...]) -> bool:
        """Whether a field is one of them; `path` are its steps by their spelling."""
        meant = self.last.get(path[-1], ()) if path else ()
        return any((path == steps) if rooted else path[-len(steps) :] == steps for rooted, steps in meant)
