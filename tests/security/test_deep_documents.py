# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a capture or a value of -e is nested so deeply that whatever reads it breaks off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import values
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import document

READERS: dict[str, Callable[[Path], Any]] = {
    "capture": document.load,
}


def nested(levels: int, around: str = "[]") -> str:
    return around[0] * levels + around[1] * levels


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("levels", [200, 20_000, 1_000_000])
def test_a_document_that_is_too_deep_is_refused_in_a_sentence(reader: str, levels: int, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"format": ' + nested(levels) + "}")
    with pytest.raises(BadInput) as raised:
        READERS[reader](path)
    assert raised.value.next_step


def test_what_is_within_itself_or_there_many_times_is_refused_or_read_at_once() -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(ValueError, match="levels deep"):
        values.refuse_deep(knot)
    laughs: list[Any] = ["ha"]
    for _ in range(50):
        laughs = [laughs] * 9
    values.refuse_deep(laughs)
    assert values.loaded(nested(values.DEEPEST)) == json.loads(nested(values.DEEPEST))
