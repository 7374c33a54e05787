# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the pictures of docs/images: `python -m tests.e2e.scorecards [scorecard.json [history folder]]`.

Without a drill of one's own, of a made-up one in which something went wrong.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from PIL import Image

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import history, scorecard
from tests import CHECKOUT
from tests.e2e import stamped
from tests.e2e.browser import open_browser
from tests.unit.drills.results import documents as drills

IMAGES = CHECKOUT / "docs" / "images"
PICTURES = {"drill-scorecard": False, "drill-scorecard-dark": True}
WIDTH = 1280
#: What a reader of the page meets first; all of it would be too tall for a document.
SHOWN = 2030


def page(drill: Path | None = None, kept: Path | None = None) -> str:
    """The page of a drill, or of the made-up one."""
    if drill is None:
        return scorecard.html(drills.realistic(drills.TROUBLE), drills.past())
    return scorecard.html(json.loads(drill.read_text(encoding="utf-8")), history.read(kept) if kept else None)


def main(*words: str) -> None:
    """Takes them all, and says what is wrong with the page."""
    text = page(*map(Path, words))
    with open_browser() as browser:
        for name, dark in PICTURES.items():
            seen = browser.look(text, width=WIDTH, dark=dark)
            picture = Image.open(io.BytesIO(seen.picture)).convert("RGB")
            picture = picture.crop((0, 0, WIDTH, min(SHOWN, picture.height))).quantize(method=Image.Quantize.FASTOCTREE)
            path = IMAGES / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            stamped.save(picture, path, stamped.digest([text]))
            print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path, *seen.flaws(), sep="\n  ")


if __name__ == "__main__":
    main(*sys.argv[1:])
