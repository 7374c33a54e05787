# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of time as results have them and as a person reads them; always in UTC."""

from __future__ import annotations

import datetime
import typing as t


def aware(value: t.Any) -> datetime.datetime | None:
    """A time that carries an offset, given as such or in ISO 8601; None for anything else."""
    try:
        moment = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def to_the_minute(at: datetime.datetime) -> str:
    """`2026-11-25 01:00 UTC`, of a time in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def to_the_second(at: datetime.datetime) -> str:
    """`2026-11-25 01:00:59 UTC`, of a time in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def readable(text: t.Any) -> str:
    """`2026-11-25 01:00:59`, of a time that a result has in ISO 8601 in UTC; empty for none."""
    return str(text or "").replace("T", " ").removesuffix("+00:00").removesuffix("Z").partition(".")[0]
