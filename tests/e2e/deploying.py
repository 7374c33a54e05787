# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A team with a repository, migrations and programs of its own, whose pipeline deploys a Scout."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString, Self

import jsonschema
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import (
    FUNCTION,
    PROJECT,
    Cli,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.git_checkout import Clone
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests.door import Door
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, environment, listed

SCRIPT = CHECKOUT / "scripts" / "ci" / "deploy_release.sh"
SCHEMA = json.loads((CHECKOUT / "docs" / "deploy-result.schema.json").read_text())

HISTORY = (
    "CREATE SCHEMA supabase_migrations",
    "CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text)",
    "INSERT INTO supabase_migrations.schema_migrations VALUES ('0001_first', '{}', 'first')",
)

#: Each migration that is not in the history yet, statement by statement, as psql does it: one can fail half way.
MIGRATE = """#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/.."
sql() { psql -XAtq -v ON_ERROR_STOP=1 -d "${MIGRATE_DSN:-$SCOUT_DSN}" "$@"; }
for file in migrations/*.sql; do
    version=$(basename "$file" .sql)
    if [ "$(sql -c "SELECT count(*) FROM supabase_migrations.schema_migrations WHERE version = '$version'")" = 0 ]; then
        echo "migrating $version"
        sql -f "$file"
        sql -c "INSERT INTO supabase_migrations.schema_migrations VALUES ('$version', '{}', '$version')"
    fi
done
"""

DEPLOY = """#!/usr/bin/env bash
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git -C "$(dirname "$0")/.." archive --output "$work/supabase.tar" HEAD:supabase
mkdir "$work/supabase"
tar -x -f "$work/supabase.tar" -C "$work/supabase"
rm "$work/supabase.tar"
cd "$work"
"$SUPABASE_CLI" functions deploy ingest-transaction --project-ref "$1"
"""

NOTIFY = """#!/usr/bin/env bash
printf '%s %s %s %s %s\\n' "$DEPLOY_OUTCOME" "$DEPLOY_EXIT_CODE" "$DEPLOY_FROM" "$DEPLOY_TO" "$(basename "$DEPLOY_RESULT")" \\
    >>"$NOTIFIED"
test -s "$DEPLOY_RESULT"
"""

GOOD = """
ALTER TABLE scout.alerts ADD COLUMN team text NOT NULL DEFAULT 'on call';
CREATE VIEW scout.v_alerts_by_team AS SELECT team, count(*) AS alerts FROM scout.alerts GROUP BY team;
GRANT SELECT ON scout.v_alerts_by_team TO dashboard_reader;
"""

#: Breaks the loader, takes a grant and a view away, replaces another, adds a column and switches a job off.
BAD = """
ALTER TABLE scout.silver_transactions ADD COLUMN loyalty_tier text;
CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit integer DEFAULT 2000)
    RETURNS TABLE (events_processed integer, transactions_created integer, line_items_created integer,
                   processing_duration_ms integer)
    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RAISE EXCEPTION 'the new loader is not finished'; END $$;
REVOKE SELECT ON scout.silver_transactions FROM dashboard_reader;
DROP VIEW scout.v_product_linking_stats;
SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'product-linking';
"""

#: Everything it creates belongs to the role that migrates, and each sale is doubled.
DOUBLED = """
CREATE TABLE scout.promotions (id int PRIMARY KEY);
CREATE FUNCTION scout.double_total() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.total_amount := NEW.total_amount * 2;
    RETURN NEW;
END $$;
CREATE TRIGGER doubled BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.double_total();
"""

#: Each sale gets the region of its store.
REGIONS = """
CREATE FUNCTION scout.fill_region() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.region := 'Region of ' || NEW.store_id;
    RETURN NEW;
END $$;
CREATE TRIGGER region BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.fill_region();
"""

HALF = """
ALTER TABLE scout.alerts ADD COLUMN half text;
DROP VIEW scout.v_product_linking_stats;
ALTER TABLE scout.no_such_table ADD COLUMN other text;
ALTER TABLE scout.alerts ADD COLUMN never text;
"""


def script_behind(door: Door, folder: Path) -> Path:
    """The script of a checkout that is ours, but for its tools: ansible-playbook is that of the door."""
    for path in CHECKOUT.iterdir():
        if path.name not in (".venv", ".git", "scripts"):
            (folder / path.name).symlink_to(path)
    shutil.copytree(SCRIPT.parent, folder / "scripts" / "ci")
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "ansible-playbook").symlink_to(door.folder / "ansible-playbook")
    (tools / "python3").symlink_to(sys.executable)
    return folder / "scripts" / "ci" / SCRIPT.name


def differing(before: str, after: str) -> list[str]:
    """The lines of a dump that went and came."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@dataclass(frozen=True)
class Deployed:
    """What came of a deployment."""

    rc: int
    text: str
    artifacts: Path

    @property
    def result(self) -> dict[str, Any]:
        """deploy-result.json, which fits its schema."""
        found = json.loads((self.artifacts / "deploy-result.json").read_text())
        jsonschema.validate(found, SCHEMA)
        return found

    @property
    def codes(self) -> dict[str, int | None]:
        """The exit code of each step, in order."""
        return {step["name"]: step["exit_code"] for step in self.result["steps"]}

    def of(self, step: str) -> dict[str, Any]:
        """The result of one playbook for the only database."""
        [made] = json.loads((self.artifacts / f"{step}.json").read_text())["results"]
        return made


class Team:
    """A bare repository, the checkout of a pipeline, and a database with its history of migrations."""

    def __init__(
        self,
        home: Path,
        pipeline: Pipeline,
        script: Path = SCRIPT,
        *,
        history: Sequence[LiteralString] = HISTORY,
        **variables: Any,
    ) -> None:
        self.home, self.pipeline, self.script, self.variables = home, pipeline, script, variables
        self.remote = Clone(home / "remote of the team.git")
        subprocess.run(["git", "init", "--quiet", "--bare", str(self.remote.path)], check=True)
        self.desk = self.clone("desk")
        self.cli = Cli(home / "bin")
        self.notified = home / "notified"
        pipeline.execute(*history)
        self.running = self.commit("v5.2.1", {"app/main.py": "one\n", FUNCTION: "// one\n", **self._programs()})
        self.desk.git("push", "--quiet", "origin", "main:production")

    def _programs(self) -> dict[str, str | None]:
        variables = {
            "application_push": True,
            "edge_function_project": PROJECT,
            "edge_function_cli": str(self.cli.path),
            # Nothing comes to it, however long several deployments take.
            "thresholds": {name: {"ok": 60, "fail": 90} for name in ("bronze_staleness", "silver_staleness")},
            **self.variables,
        }
        return {
            "ops/migrate": MIGRATE,
            "ops/deploy": DEPLOY.replace("$1", PROJECT),
            "ops/notify": NOTIFY,
            "ops/scout.yml": yaml.safe_dump(listed(variables)),
            "migrations/0001_first.sql": "SELECT 1;\n",
        }

    def clone(self, name: str) -> Clone:
        """Another checkout of the repository, at the tip of main or of a tag."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["git", "clone", "--quiet", str(self.remote.path), str(path)], check=True, stderr=subprocess.DEVNULL
        )
        return Clone(path)

    def commit(self, tag: str, files: dict[str, str | None]) -> str:
        """A release: a commit on main with a tag, pushed."""
        self.desk.write(**files)
        for path in (self.desk.path / "ops").glob("[dmn]*"):
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.desk.git("add", "--all")
        self.desk.git("commit", "--quiet", "-m", f"Release {tag}")
        self.desk.git("tag", tag)
        self.desk.push("main", tag)
        return self.desk.git("rev-parse", "HEAD")

    def release(self, tag: str, sql: str) -> Clone:
        """A release with a migration and a new function; returns the pipeline's checkout of it."""
        name = f"migrations/{tag}.sql"
        self.commit(tag, {name: sql, FUNCTION: f"// {tag}\n", "app/main.py": f"{tag}\n", f"app/{tag}.py": "new\n"})
        checkout = self.clone(f"jobs/{tag}/application")
        checkout.git("checkout", "--quiet", "--detach", tag)
        return checkout

    @property
    def tree(self) -> str:
        """The tree of the remote's branch."""
        return self.remote.tree("main")

    def dump(self) -> str:
        """The schema, by pg_dump."""
        return dump(self.pipeline.dsn, "--schema-only", "--exclude-schema=scout_ops")

    def jobs(self) -> list[tuple[Any, ...]]:
        """The jobs with what pg_cron keeps of them."""
        return self.pipeline.rows("SELECT jobname, schedule, command, active FROM cron.job ORDER BY 1")

    def history(self) -> list[str]:
        """The versions of the migration history."""
        return [
            row[0] for row in self.pipeline.rows("SELECT version FROM supabase_migrations.schema_migrations ORDER BY 1")
        ]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """That of a pipeline: the database and the tools."""
        path = os.pathsep.join([str(Path(psql()).parent), os.environ["PATH"]])
        own = {
            "SCOUT_DSN": self.pipeline.dsn,
            "SUPABASE_ACCESS_TOKEN": "sbp_00000000000000000000",
            "SUPABASE_CLI": str(self.cli.path),
            "NOTIFIED": str(self.notified),
        }
        made = environment(self.home, own) | {"PATH": path} | dict(more or {})
        # A pipeline has the folder for evidence from the script.
        made.pop("SCOUT_EVIDENCE")
        return made

    def command(self, checkout: Clone, tag: str, *words: str) -> list[str]:
        """The script, with all that a pipeline gives it."""
        ops = checkout.path / "ops"
        return [
            str(self.script), "--from", "v5.2.1", "--to", tag, "--commit", self.running, "--application", str(checkout.path),
            "--variables", str(ops / "scout.yml"), "--migrate", f"{ops}/migrate", "--deploy", f"{ops}/deploy",
            "--notify", f"{ops}/notify", *words,
        ]  # fmt: skip

    def deploy(self, checkout: Clone, tag: str, *words: str, env: Mapping[str, str] | None = None) -> Deployed:
        """Deploys a release to its end."""
        return self.run(self.command(checkout, tag, *words), checkout.path.parent, env)

    def go_back(self, checkout: Clone, *words: str) -> Deployed:
        """The script's rollback alone."""
        ops = checkout.path / "ops"
        command = [
            str(self.script), "--rollback", "--from", "v5.2.1", "--application", str(checkout.path),
            "--variables", str(ops / "scout.yml"), "--notify", f"{ops}/notify", *words,
        ]  # fmt: skip
        return self.run(command, checkout.path.parent)

    def run(self, command: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> Deployed:
        """A command as a pipeline runs it, with nobody at the keyboard."""
        done = subprocess.run(
            command, cwd=cwd, env=self.environment(env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=900,
        )  # fmt: skip
        return Deployed(done.returncode, done.stdout + done.stderr, cwd / "deploy-artifacts")

    def start(self, command: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> Deploying:
        """The same on its way."""
        return Deploying(command, cwd, self.environment(env))


class Deploying:
    """A command on its way; a context manager that leaves none of its processes behind."""

    def __init__(self, command: list[str], cwd: Path, env: Mapping[str, str]) -> None:
        self.artifacts = cwd / "deploy-artifacts"
        self._screen = (cwd / "screen").open("w+")
        self.process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=self._screen, stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 no thread is running yet
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A step has a process group of its own, in the same session.
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if path.read_text().rpartition(")")[2].split()[3] == str(self.process.pid):
                    os.kill(int(path.parent.name), signal.SIGKILL)
        self.process.wait()
        self._screen.close()

    @property
    def text(self) -> str:
        """The screen so far."""
        return (self.artifacts.parent / "screen").read_text()

    def begun(self, step: str) -> bool:
        """Whether it has come to a step."""
        steps = self.artifacts / "steps.tsv"
        return steps.exists() and any(line.startswith(f"{step}\tbegun") for line in steps.read_text().splitlines())

    def wait(self) -> Deployed:
        """Waits for its end."""
        self.process.wait(timeout=900)
        return Deployed(self.process.returncode, self.text, self.artifacts)
