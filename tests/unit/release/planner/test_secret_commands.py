# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a job whose command holds a secret, by what the capture knows of it and what there is."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import job_commands
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner import secret_commands

SECRET, RENEWED, OTHER = (
    "CALL send('a', 'Bearer abcdef123456')",
    "CALL send('a', 'Bearer 654321fedcba')",
    "CALL send('b', 'Bearer abcdef123456')",
)
PLAIN = "SELECT 1"


def job(command: str | None) -> dict[str, Entry]:
    """A catalog with this job, or without any."""
    if command is None:
        return {}
    facts = {"name": "j", "schedule": "* * * * *", "active": True, **job_commands.facts(command)}
    entry = Entry("cron_job", "j of loader", facts, "loader", address=("cron.job", 7, 0))
    return {entry.key: entry}


def test_a_command_without_a_secret_is_kept_as_it_is() -> None:
    assert job_commands.facts(PLAIN) == {"command": PLAIN}
    assert job_commands.facts(SECRET) == {
        "command": "CALL send('a', 'Bearer ***')",
        "command_digest": job_commands.digest(SECRET),
    }


@pytest.mark.parametrize(
    ("live", "wanted", "becomes", "impossible", "warned"),
    [
        (PLAIN, PLAIN, PLAIN, "", ""),
        (None, PLAIN, PLAIN, "", ""),
        (SECRET, SECRET, SECRET, "", ""),
        (RENEWED, SECRET, RENEWED, "", "keeps the secret that it has now"),
        (OTHER, SECRET, OTHER, "SELECT cron.alter_job(7, command => 'CALL send(''a'', ''Bearer ***'')')", ""),
        (PLAIN, SECRET, PLAIN, "SELECT cron.alter_job(7, ", ""),
        (None, SECRET, None, "SELECT cron.schedule('j', '* * * * *', 'CALL send(''a'', ''Bearer ***'')')", ""),
        (SECRET, PLAIN, PLAIN, "", "loses its command"),
        (SECRET, None, None, "", "loses its command"),
    ],
)
def test_no_hidden_text_is_ever_wanted(
    live: str | None, wanted: str | None, becomes: str | None, impossible: str, warned: str
) -> None:
    found = secret_commands.known(job(live), job(wanted))
    assert found.wanted == job(becomes)
    assert len(found.impossible) == bool(impossible)
    assert impossible in "".join(found.impossible)
    assert len(found.warnings) == bool(warned)
    assert warned in "".join(found.warnings)


def test_a_text_that_is_hidden_otherwise_by_now_is_known_by_its_digest() -> None:
    [(key, entry)] = job(SECRET).items()
    older = Entry(
        entry.kind, entry.name, {**entry.facts, "command": "CALL *** of before"}, "loader", address=entry.address
    )
    found = secret_commands.known(job(SECRET), {key: older})
    assert (found.wanted, found.impossible, found.warnings) == (job(SECRET), (), ())
