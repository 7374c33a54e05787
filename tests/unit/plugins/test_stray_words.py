# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A word of -e that Ansible would drop is refused with what was understood, and with the command that means it."""

from __future__ import annotations

import shlex

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils import stray_words

STRAY = {
    "window_start=2026-11-25 22:00": (
        "the words '22:00' are outside the quotes and would be lost",
        "understands is window_start='2026-11-25'",
        '{"window_start": "2026-11-25 22:00+00:00"}',
    ),
    "window_start=2026-11-25 22:00+01:00 window_end=2026-11-25 23:00+01:00": (
        "the words '22:00+01:00 23:00+01:00'",
        "window_start='2026-11-25', window_end='2026-11-25'",
        '{"window_start": "2026-11-25 22:00+01:00", "window_end": "2026-11-25 23:00+01:00"}',
    ),
    "source_systems=edge, pos-sync": (
        "the words 'pos-sync'",
        "source_systems='edge,'",
        '{"source_systems": "edge, pos-sync"}',
    ),
    "title=it went wrong": ("the words 'went wrong'", "title='it'", '{"title": "it went wrong"}'),
    "resume": ("the words 'resume'", "understands is nothing", '{"name": "resume"}'),
}


@pytest.mark.parametrize("typed", STRAY)
def test_a_stray_word_is_refused(typed: str) -> None:
    words, understood, meant = STRAY[typed]
    with pytest.raises(BadInput) as raised:
        stray_words.refuse(["incident=INC-1", typed])
    assert words in raised.value.attempted
    assert understood in raised.value.said
    assert shlex.split(raised.value.next_step)[-2:] == ["-e", meant]


def test_a_secret_beside_a_stray_word_is_not_shown() -> None:
    with pytest.raises(BadInput) as raised:
        stray_words.refuse(["scout_password=hunter2 is secret"])
    for word in ("hunter2", "secret'", "is secret"):
        assert word not in str(raised.value)
    assert "scout_password" in str(raised.value)


@pytest.mark.parametrize(
    "typed",
    [
        "window_start='2026-11-25 22:00+00:00'",
        '{"window_start": "2026-11-25 22:00"}',
        "@a file.yml",
        "stores=S-1,S-2 mode=all",
        'text="a = b" x={{ 1 + 1 }}',
        "",
    ],
)
def test_what_is_quoted_is_not_refused(typed: str) -> None:
    assert typed[:1] in ("", "@", "{") or "_raw_params" not in stray_words.parse_kv(typed)
    stray_words.refuse([typed])
