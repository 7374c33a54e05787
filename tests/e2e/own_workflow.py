# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Scout's own repository deploys with: a workflow that starts at a push to main, and what it runs and writes down."""

from __future__ import annotations

#: Which SQL files were applied, and what was done; they belong to whoever owns the pipeline.
TABLES = (
    "SET ROLE loader",
    """CREATE TABLE scout.migration_manifest (
        file varchar(255) PRIMARY KEY, applied_at timestamp DEFAULT now(), sha256 varchar(64) NOT NULL,
        applied_by varchar(255) DEFAULT current_user, status varchar(50) DEFAULT 'completed')""",
    "CREATE TABLE scout.deployment_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text)",
    "INSERT INTO scout.migration_manifest (file, sha256) VALUES ('0042_alerts.sql', 'aa')",
    "RESET ROLE",
)
APPLIED = "SELECT file, sha256, status FROM scout.migration_manifest ORDER BY 1"
LOG = "SELECT said FROM scout.deployment_log ORDER BY id"

#: `supabase db push`, then every SQL file of before that the manifest does not have, then the seeds, then a line in the log.
MIGRATE = """#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/.."
sql() { psql -XAtq -v ON_ERROR_STOP=1 -d "$SCOUT_DSN" "$@"; }
for file in supabase/migrations/*.sql; do
    version=$(basename "$file" .sql)
    if [ "$(sql -c "SELECT count(*) FROM supabase_migrations.schema_migrations WHERE version = '$version'")" = 0 ]; then
        sql -f "$file"
        sql -c "INSERT INTO supabase_migrations.schema_migrations VALUES ('$version', '{}', '$version')"
    fi
done
for file in sql/*.sql; do
    name=$(basename "$file")
    if [ "$(sql -c "SELECT count(*) FROM scout.migration_manifest WHERE file = '$name'")" = 0 ]; then
        echo "applying $name"
        sql -f "$file"
        sql -c "INSERT INTO scout.migration_manifest (file, sha256) VALUES ('$name', '$(sha256sum <"$file" | cut -c1-64)')"
    fi
done
sql -f supabase/seed.sql
sql -c "INSERT INTO scout.deployment_log (said) VALUES ('$DEPLOY_TO applied')"
"""

EXPORT = "supabase/functions/export-platinum/index.ts"
LEGACY = "sql/0043_loyalty.sql"
BEFORE: dict[str, str | None] = {
    "ops/migrate": MIGRATE,
    "sql/0042_alerts.sql": "SELECT 1;\n",
    "supabase/migrations/0001_first.sql": "SELECT 1;\n",
    "supabase/seed.sql": "SELECT 1;\n",
    EXPORT: "// one\n",
}
RELEASE: dict[str, str | None] = {
    "supabase/migrations/20250301000000_team.sql": "ALTER TABLE scout.alerts ADD COLUMN team text;\n",
    "supabase/functions/ingest-transaction/index.ts": "// two\n",
    EXPORT: "// two\n",
    "supabase/functions/only-new/index.ts": "// new\n",
    "app/main.py": "two\n",
}
