# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table of several databases says of each."""

from __future__ import annotations

import re

from tests.e2e.play import Played

#: Where no server listens.
NOWHERE = "postgresql://scout@127.0.0.1:1/scout"


ROW = re.compile(r"^(?: {8}| {4}msg: )(\S+) {2,}(\S.*?) {2,}exit (\d)$", re.MULTILINE)


def table(played: Played) -> dict[str, tuple[str, str]]:
    """The words and the exit code of each host that came to an end, in the order of the inventory."""
    return {host: (words, code) for host, words, code in ROW.findall(played.text)}
