# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures on a throwaway server of this machine and prints tables: `make bench`, or `python -m benchmarks moves --rounds 5`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks import growth, moves, startup

MEASUREMENTS = ("startup", "moves", "growth")


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"among {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of startup and moves (default 5)")
    parser.add_argument("--events", type=int, help="events of moves, and the most sales of growth")
    given = parser.parse_args()
    if unknown := set(given.names) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name in given.names or MEASUREMENTS:
        settings = growth.SERVER if name == "growth" else None
        with Server(settings=settings) as server, tempfile.TemporaryDirectory() as folder:
            if name == "startup":
                made = startup.measure(server, Path(folder), given.rounds)
            elif name == "moves":
                made = moves.measure(server, Path(folder), given.rounds, given.events or moves.EVENTS)
            else:
                sizes = [size for size in growth.SIZES if size <= (given.events or size)] or [given.events]
                made = growth.measure(server, Path(folder), sizes)
        print(f"### {name}\n\n{made}\n", flush=True)


if __name__ == "__main__":
    main()
