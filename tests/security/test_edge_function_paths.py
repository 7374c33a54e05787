# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a commit of the application names files of the operator's machine, in its configuration or in an import, and the CLI sends
them with the edge function."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import (
    FUNCTION,
    PROJECT,
    Cli,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.git_checkout import Clone
from tests.integration.clones import Result, quiet_git, run

__all__ = ["quiet_git"]

FOLDER = "supabase/functions/ingest-transaction"
CONFIG, DENO = "supabase/config.toml", f"{FOLDER}/deno.json"
#: Up to the folder of the clone, whose copy is three folders below that of the secret; more is as good.
UP = "../" * 12
TABLE = "[functions.ingest-transaction]\n"


class Attack:
    """A clone whose last commit names a file outside."""

    def __init__(self, home: Path) -> None:
        self.home, folder = home, home / "app"
        folder.mkdir()
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        self.clone, self.cli = Clone(folder), Cli(home / "bin")
        self.secret = home / "secret.ts"
        self.secret.write_text("the operator's key")

    def deploy(self, files: dict[str, str], links: dict[str, str] | None = None, *, check: bool = False) -> Result:
        for name, target in (links or {}).items():
            link = self.clone.path / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        commit = self.clone.commit("Paths", {FUNCTION: "// good\n", "supabase/shared.ts": "// shared\n", **files})
        return run(
            "scout_edge_function",
            check=check,
            repository=str(self.clone.path),
            project_ref=PROJECT,
            cli=str(self.cli.path),
            commit=commit,
            function="ingest-transaction",
            state_file=str(self.home / "state.json"),
        )


@pytest.fixture
def attack(tmp_path: Path, quiet_git: None) -> Attack:
    return Attack(tmp_path)


#: SECRET is the path of a file of the operator's.
OUT = {
    "static files": {CONFIG: f'{TABLE}static_files = ["./functions/*.html", "{UP}SECRET"]\n'},
    "static files, absolute": {CONFIG: f'{TABLE}static_files = ["/SECRET"]\n'},
    "static files, behind a pattern": {CONFIG: f'{TABLE}static_files = ["functions/*/{UP}SECRET"]\n'},
    "static files of the home": {CONFIG: f'{TABLE}static_files = ["~/.ssh/*"]\n'},
    "entrypoint": {CONFIG: f'{TABLE}entrypoint = "{UP}SECRET"\n'},
    "entrypoint by the environment": {CONFIG: f'{TABLE}entrypoint = "env(SSH_KEY_FILE)"\n'},
    "import map": {CONFIG: f'{TABLE}import_map = "/SECRET"\n'},
    "of another function": {CONFIG: f'[functions.other]\nstatic_files = ["{UP}SECRET"]\n'},
    "a configuration that only the CLI can read": {CONFIG: f'{TABLE}static_files = ["{UP}SECRET"\n'},
    "deno.json": {DENO: f'{{"imports": {{"key": "{UP}SECRET"}}}}'},
    "deno.jsonc behind a comment": {f"{FOLDER}/deno.jsonc": f'{{"imports": {{ // it is "odd\n"key": "{UP}SECRET"}}}}'},
    "a folder of a map": {DENO: '{"imports": {"etc/": "/etc/"}}', FUNCTION: 'import "etc/passwd";\n'},
    "a file address": {DENO: '{"imports": {"key": "file:///SECRET"}}'},
    "a scope": {"supabase/functions/import_map.json": f'{{"scopes": {{"./": {{"key": "{UP}SECRET"}}}}}}'},
    "a map that deno.json names": {DENO: f'{{"importMap": "{UP}SECRET"}}'},
    "import": {FUNCTION: f'import key from "{UP}SECRET";\n'},
    "import without a name": {FUNCTION: f"import '{UP}SECRET'\n"},
    "import, absolute": {FUNCTION: 'export * from "/SECRET";\n'},
    "import of an address": {FUNCTION: 'import "file:///SECRET";\n'},
    "dynamic import": {FUNCTION: f"await import(`{UP}SECRET`);\n"},
    "import in other spellings": {FUNCTION: f'import "{r"\x2e\u002e/" * 12}SECRET";\n'},
    "import by per cent": {FUNCTION: f'import "{"%2e%2e/" * 12}SECRET";\n'},
    "import behind a name of a map": {DENO: '{"imports": {"x/": "./"}}', FUNCTION: f'import "x/{UP}SECRET";\n'},
    "import behind a name of a map that looks like code": {
        DENO: '{"imports": {"; x/": "./"}}',
        FUNCTION: f'import "; x/{UP}SECRET";\n',
    },
    "import of a name with blanks": {FUNCTION: f'import "{UP}SECRET/../my key.ts";\n'},
    "import of a long name": {FUNCTION: f'import "{"./" * 5000}{UP}SECRET";\n'},
    "import of what is imported": {FUNCTION: 'import "../../a.sql";\n', "supabase/a.sql": f'import "{UP}SECRET"\n'},
    "import behind an odd quote": {FUNCTION: f'// it\'s\nimport "{UP}SECRET";\n'},
}


@pytest.mark.parametrize("how", OUT)
def test_a_path_that_leads_out_is_refused(how: str, attack: Attack) -> None:
    secret = str(attack.secret).lstrip("/")
    result = attack.deploy({name: text.replace("SECRET", secret) for name, text in OUT[how].items()})
    assert result.get("failed"), result
    assert "leads out of supabase" in result["msg"] or "nobody can tell which files" in result["msg"], result["msg"]
    assert attack.cli.calls == []


@pytest.mark.parametrize("how", ["static files", "import"])
def test_a_dry_run_refuses_it_too(how: str, attack: Attack) -> None:
    secret = str(attack.secret).lstrip("/")
    result = attack.deploy({name: text.replace("SECRET", secret) for name, text in OUT[how].items()}, check=True)
    assert result.get("failed"), result
    assert "leads out of supabase" in result["msg"], result["msg"]


def test_a_path_through_a_link_is_where_that_leads(attack: Attack) -> None:
    """By its letters it stays inside."""
    links = {f"{FOLDER}/a/b/c/up": "../../../../.."}
    result = attack.deploy({FUNCTION: 'import "./a/b/c/up/../../secret.ts";\n'}, links)
    assert result.get("failed"), result
    assert "leads out of supabase" in result["msg"]


def test_what_stays_within_is_deployed(attack: Attack) -> None:
    files = {
        CONFIG: f'project_id = "scout"\n[auth.email.template.invite]\ncontent_path = "./templates/invite.html"\n{TABLE}'
        'enabled = true\nverify_jwt = true\nimport_map = "./functions/ingest-transaction/deno.json"\n'
        'entrypoint = "./functions/ingest-transaction/index.ts"\nstatic_files = ["./functions/ingest-transaction/*.html"]\n',
        DENO: '{"imports": {"@supabase/supabase-js": "jsr:@supabase/supabase-js@2", "zod": "npm:zod@3", "/": "./",\n'
        '"~/": "./", "shared/": "../../", "std/": "https://deno.land/std@0.224.0/"}, "lock": false,\n'
        '"tasks": {"up": "cd ../../../../.. && ls", "serve": "deno serve ./index.ts"}, "exclude": ["../other/"]}',
        FUNCTION: "import { x } from '../../shared.ts';\nimport z from \"https://deno.land/../x.ts\";\n"
        'if (url.pathname === "/health") { throw new Error("not found: ../.. and /etc"); }\n'
        "const route = `/api/${id}/../x`, split = 'a'.split('/'), here = './';\n"
        'import y from "../../shared.ts"; // as ../../../../../README says, it\'s "shared"\n',
        "supabase/functions/ingest-transaction/README.md": 'See [the other](../other/index.ts), it\'s "../".\n',
        "supabase/seed.sql": "INSERT INTO t VALUES ('/', '..', 'a/b');\n",
    }
    for check in (True, False):
        result = attack.deploy(files, check=check)
        assert not result.get("failed"), result["msg"]
        assert result["changed"]
