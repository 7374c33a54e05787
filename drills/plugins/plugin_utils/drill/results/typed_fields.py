# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a document, each of its type or named by its path; texts of others act on no screen; pure."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Three hundred years; no figure that anybody measured.
ENDLESS: t.Final = 1e10
#: Colours of a terminal, and what moves a cursor or turns the writing around.
CONTROLS: t.Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]?|\r(?=\n)")


def shown(text: str) -> str:
    """A text of others without what would act on a screen; its lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in CONTROLS.sub("", text))


class Fields:
    """The values of one mapping of the document; what is wrong is named by its path."""

    def __init__(self, given: t.Any, path: str) -> None:
        if not isinstance(given, dict):
            raise _unusable(path or "the document", given, "a mapping")
        self.given: Mapping[str, t.Any] = t.cast("dict[str, t.Any]", given)
        self._path = path

    def _named(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _wrong(self, name: str, wanted: str) -> BadInput:
        return _unusable(self._named(name), self.given.get(name), wanted)

    def text(
        self,
        name: str,
        *,
        default: str | None = None,
        among: tuple[str, ...] = (),
        fits: re.Pattern[str] | None = None,
    ) -> str:
        value = self.given.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or (not value and default is None):
            raise self._wrong(name, "a text")
        if among and value not in among:
            raise self._wrong(name, f"one of {', '.join(among)}")
        if fits and not fits.fullmatch(value):
            raise self._wrong(name, "a time like 2026-11-25T210000Z")
        return shown(value)

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of texts")
        return tuple(shown(value) for value in values)

    def time(self, name: str, *, optional: bool = False) -> datetime.datetime | None:
        value = self.given.get(name)
        if value is None and optional:
            return None
        try:
            made = datetime.datetime.fromisoformat(value if isinstance(value, str) else "")
        except ValueError as e:
            raise self._wrong(name, "a time with its offset") from e
        if made.tzinfo is None:
            raise self._wrong(name, "a time with its offset")
        return made.astimezone(datetime.UTC)

    def seconds(self, name: str, *, default: float | None = None) -> float:
        value = self.maybe_seconds(name)
        value = default if value is None else value
        if value is None:
            raise self._wrong(name, "a number of seconds")
        return value

    def maybe_seconds(self, name: str) -> float | None:
        value = self.given.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < ENDLESS:
            raise self._wrong(name, "a number of seconds")
        return float(value)

    def whole(self, name: str) -> int:
        value = self.maybe_whole(name)
        if value is None or value < 0:
            raise self._wrong(name, "a number")
        return value

    def maybe_whole(self, name: str) -> int | None:
        value = self.given.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise self._wrong(name, "a whole number")
        return value

    def yes(self, name: str, *, default: bool | None = None) -> bool:
        value = self.given.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def inner(self, name: str) -> Fields | None:
        value = self.given.get(name)
        return None if value is None else Fields(value, self._named(name))

    def each(self, name: str) -> Iterator[Fields]:
        for number, value in enumerate(self._list(name)):
            yield Fields(value, f"{self._named(name)}[{number}]")

    def _list(self, name: str) -> list[t.Any]:
        value = self.given.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return t.cast("list[t.Any]", value)


def _unusable(name: str, value: t.Any, wanted: str) -> BadInput:
    said = "it is not there" if value is None else f"it is {str(value)[:80]!r}"
    return BadInput(f"{name} in the document of a drill is not usable", said=said, next_step=f"give {wanted}")
