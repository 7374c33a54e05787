# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in the place of the Supabase CLI, which says afterwards how it was called and what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PROJECT = "abcdefghijklmnopqrst"
FUNCTION = "supabase/functions/ingest-transaction/index.ts"

#: A CLI that writes down how it was called and what it found, and then does as it is told.
CLI = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path
home = Path(__file__).parent
files = {{str(path.relative_to(".")): path.read_bytes().decode() for path in Path(".").rglob("*") if path.is_file()}}
call = {{"argv": sys.argv[1:], "environment": dict(os.environ), "files": files, "cwd": os.getcwd()}}
number = len(list(home.glob("call-*")))
(home / "part").write_text(json.dumps(call))
(home / "part").rename(home / f"call-{{number}}")
told = home / "told.py"
if told.exists():
    exec(told.read_text())
print("Deployed Function")
"""


class Cli:
    """The fake CLI in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "supa base"
        self.path.write_text(CLI)
        self.path.chmod(0o755)

    def tell(self, script: str) -> None:
        (self.path.parent / "told.py").write_text(script)

    @property
    def calls(self) -> list[dict[str, Any]]:
        paths = sorted(self.path.parent.glob("call-*"), key=lambda path: int(path.name[5:]))
        return [json.loads(path.read_text()) for path in paths]
