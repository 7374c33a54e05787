# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in place of the Supabase CLI that records its calls."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PROJECT = "abcdefghijklmnopqrst"
FUNCTION = "supabase/functions/ingest-transaction/index.ts"

#: Records arguments, environment, folder and files of a call, then runs the script it was given.
CLI = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path
home = Path(__file__).resolve().parent
files = {{str(path): path.read_text() for path in Path(".").rglob("*") if path.is_file()}}
call = {{"argv": sys.argv[1:], "environment": dict(os.environ), "files": files, "cwd": os.getcwd()}}
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
exec((home / "script").read_text())
print("Deployed Function")
"""


class Cli:
    """The fake CLI in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "supa base"
        self.path.write_text(CLI)
        self.path.chmod(0o755)
        self.tell("")

    def tell(self, script: str) -> None:
        """Let each further call run a script."""
        (self.path.parent / "script").write_text(script)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Each call so far."""
        path = self.path.parent / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
