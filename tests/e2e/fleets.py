# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table of several databases says of each."""

from __future__ import annotations

import re

from tests.e2e.play import Played

#: Where no server listens.
NOWHERE = "postgresql://scout@127.0.0.1:1/scout"


def table(played: Played) -> dict[str, tuple[str, str]]:
    """The verdict and the exit code of each host in the last table, in the order of the inventory."""
    _, _, below = played.text.rpartition("\ndatabase ")
    rows = [re.split(r" {2,}", line.rstrip()) for line in below.partition("\n\n")[0].splitlines()[1:]]
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}
