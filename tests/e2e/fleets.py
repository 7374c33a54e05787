# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the screen of many databases says of each."""

from __future__ import annotations

from tests.e2e.play import Played

#: Where no server listens.
NOWHERE = "postgresql://scout@127.0.0.1:1/scout"


def table(played: Played) -> dict[str, str]:
    """The lines of the table, by host, in their order."""
    _, _, below = played.text.partition("\n  database")
    rows = below.partition("\n\n")[0].splitlines()[1:]
    return {row.split()[0]: row for row in rows}
