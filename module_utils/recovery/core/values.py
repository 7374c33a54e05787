# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of which nothing is known yet, taken for what they are hoped to be."""

from __future__ import annotations

import ipaddress
import typing as t


def as_list(value: t.Any) -> list[t.Any]:
    """The list, or an empty one for anything else."""
    return t.cast("list[t.Any]", value) if isinstance(value, list) else []


def is_loopback(host: str) -> bool:
    """Whether an address, or the name that is kept for it, is this machine itself; any other name may lead anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
