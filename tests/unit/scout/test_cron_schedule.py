# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The next start of a schedule, as pg_cron reads it."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.cron_schedule import longest_gap, next_run

UTC = datetime.UTC
#: A Wednesday.
NOW = datetime.datetime(2026, 11, 25, 22, 3, 22, tzinfo=UTC)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "2026-11-25 22:04"),
        ("*/5 * * * *", "2026-11-25 22:05"),
        ("3 * * * *", "2026-11-25 23:03"),
        ("1-59/20 * * * *", "2026-11-25 22:21"),
        ("0,30 6-8 * * *", "2026-11-26 06:00"),
        ("0 12 * * 0", "2026-11-29 12:00"),
        ("0 12 * * 7", "2026-11-29 12:00"),
        ("0 12 * * SUN", "2026-11-29 12:00"),
        ("0 12 * * mon-fri", "2026-11-26 12:00"),
        ("0 0 1 jan *", "2027-01-01 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 12 $ * *", "2026-11-30 12:00"),
        ("0 12 $ 2 *", "2027-02-28 12:00"),
        # Either day is enough where neither is a star, else both have to fit.
        ("0 0 1 * 5", "2026-11-27 00:00"),
        ("0 0 */2 * 5", "2026-11-27 00:00"),
        ("0 0 1 * *", "2026-12-01 00:00"),
        ("@hourly", "2026-11-25 23:00"),
        ("@daily", "2026-11-26 00:00"),
        ("@midnight", "2026-11-26 00:00"),
        ("@weekly", "2026-11-29 00:00"),
        ("@monthly", "2026-12-01 00:00"),
        ("  0  12  *  *  *  ", "2026-11-26 12:00"),
        ("30 seconds", "2026-11-25 22:03:52"),
        ("1 second", "2026-11-25 22:03:23"),
    ],
)
def test_next(schedule: str, expected: str) -> None:
    assert next_run(schedule, NOW, UTC) == at(expected)


@pytest.mark.parametrize(
    "schedule",
    [
        *("0 0 30 2 *", "@reboot", "@yearly", "@annually", "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *"),
        *("* * 0 * *", "* * * 13 *", "* * * * 8", "5/20 * * * *", "*/0 * * * *", "9-3 * * * *", "x * * * *"),
        *("60 seconds", "0 seconds", "* * $,1 * *", "1,,2 * * * *", "-1 * * * *"),
        # What only other schedulers know.
        *("0 0 L * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * MON#2", "0 0 1,L * *", "0 0 * jul#1 *"),
    ],
)
def test_what_never_comes(schedule: str) -> None:
    assert next_run(schedule, NOW, UTC) is None


def test_a_start_at_this_very_moment_is_over() -> None:
    assert next_run("* * * * *", at("2026-11-25 22:03"), UTC) == at("2026-11-25 22:04")


def test_it_comes_by_the_clock_of_the_scheduler() -> None:
    manila = zoneinfo.ZoneInfo("Asia/Manila")
    assert next_run("0 7 * * *", NOW, manila) == at("2026-11-25 23:00")


def test_a_time_that_the_clocks_skip_comes_a_day_later() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    assert next_run("30 2 * * *", at("2027-03-27 12:00"), berlin) == at("2027-03-29 00:30")


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("0 */6 * * *", 6),
        ("30 seconds", 30 / 3600),
        ("0 6-23 * * *", 7),
        ("0 0 1 1 *", 866),
        ("0 0 30 2 *", 24),
        ("@reboot", None),
    ],
)
def test_how_long_it_does_not_come(schedule: str, hours: float | None) -> None:
    """A schedule that never comes leaves a day at least; of one that is not by the clock nothing is known."""
    gap = longest_gap(schedule, NOW, UTC)
    assert (gap and (gap[1] - gap[0]).total_seconds() / 3600) == (hours and pytest.approx(hours, abs=0.1))
