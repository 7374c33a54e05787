# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of time as results have them and as a person reads them, always in UTC; and durations as a person gives them."""

from __future__ import annotations

import datetime
import re
import typing as t

from .errors import BadInput

#: A plain number is seconds.
DURATION: t.Final = re.compile(
    r"(?=\S)(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?",
    re.ASCII,
)
UNITS: t.Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def to_the_minute(at: datetime.datetime) -> str:
    """`2026-11-25 01:00 UTC`, of a time in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def to_the_second(at: datetime.datetime) -> str:
    """`2026-11-25 01:00:59 UTC`, of a time in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def readable(text: t.Any) -> str:
    """`2026-11-25 01:00:59`, of a time that a result has in ISO 8601 in UTC; empty for none."""
    return str(text or "").replace("T", " ").removesuffix("+00:00").removesuffix("Z").partition(".")[0]


def seconds_of(text: str, option: str) -> float:
    """Seconds: of a plain number, or of numbers with d, h, m and s, such as 30m or 1h30m. Raises BadInput,
    by the name of the option, for anything else."""
    found = DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise BadInput(
            f"{option} {text[:80]!r} is not usable",
            next_step="give seconds, or numbers with d, h, m or s: 1800, 30m, 1h, 1h30m",
        )
    return sum(float(found[unit]) * seconds for unit, seconds in UNITS.items() if found[unit])
