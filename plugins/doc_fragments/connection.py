# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by every module that talks to a Scout database."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of CONNECTION_SPEC in module_utils/recovery/invoke.py."""

    DOCUMENTATION = r"""
options:
  dsn:
    description:
      - Where the database is, as a libpq URI or keyword string; TLS options and service names pass through.
      - Without it E(SCOUT_DSN) is used, then E(PGURI), then libpq's own variables, service file and C(.pgpass).
    type: str
  cron_dsn:
    description:
      - The database of the same server that has pg_cron, where that is another one than that of O(dsn), as C(dbname=postgres) on RDS,
        Aurora and Cloud SQL. The jobs whose C(database) is that of O(dsn) are found and altered there.
      - Where it names no server, what it leaves open is as in O(dsn); the password too, unless it names a role. Another server
        is refused.
      - Without it E(SCOUT_CRON_DSN) is used.
    type: str
  login_host:
    description:
      - Host of the database, or the folder of its socket.
      - The login options take precedence over O(dsn). With any of them, E(SCOUT_DSN) and E(PGURI) are not read.
    type: str
    version_added: 2.0.0
  login_port:
    description: Port of the database.
    type: int
    version_added: 2.0.0
  login_user:
    description: Database role to work as.
    type: str
    version_added: 2.0.0
  login_db:
    description: Name of the database.
    type: str
    aliases: [db]
    version_added: 2.0.0
  password:
    description: Password of the database role, for example from a vault; overrides one in O(dsn).
    type: str
    aliases: [login_password]
  connect_timeout_seconds:
    description: How long to wait for each host of O(dsn), in seconds; one in O(dsn) itself takes precedence.
    type: int
    default: 10
  statement_timeout_seconds:
    description: How long a single statement may run, in seconds; long steps have options of their own.
    type: float
    default: 60.0
  lock_timeout_seconds:
    description: How long a statement may wait for a lock, in seconds.
    type: float
    default: 5.0
  incident:
    description: The incident this is done for; shown in the session's C(application_name) and in the ledger.
    type: str
    default: adhoc
  contract:
    description:
      - The names of the pipeline's schema, tables, views, functions and jobs, where they are not those of Scout v5.2.
      - C(docs/variables.md) lists every key with its default; what is left out has that. Tables, views and functions are
        named without their schema.
    type: dict
    default: {}
  jobs:
    description:
      - Names of the jobs that count as ingestion. By default these are the jobs of the database whose command writes C(scout.silver_*)
        or C(scout.gold_*), itself or through functions it calls, and those named C(bronze-to-silver-etl), C(product-linking) and
        C(smart-gold-refresh).
    type: list
    elements: str
  allow_superuser:
    description:
      - Work as a superuser all the same. What others wrote in the database would run with a superuser's rights, so one is refused,
        even to look. C(psql -X -f docs/operator_role.sql) makes the role that is needed. Without it E(SCOUT_ALLOW_SUPERUSER) is used.
    type: bool
    default: false
  allow_owner:
    description:
      - Operate the pipeline as its owner although he may make roles, replicate or bypass row security, as who deploys on a hosted
        service. Without it only looking is allowed to him; C(docs/pipeline_owner.sql) and C(docs/operator_role.sql) make roles with
        less. Without it E(SCOUT_ALLOW_OWNER) is used.
    type: bool
    default: false
  require_tls:
    description:
      - Refuse a session with another machine unless the server is verified, as with C(sslmode=verify-full) or C(verify-ca).
        Without this option such a session gives a warning. Without it E(SCOUT_REQUIRE_TLS) is used.
    type: bool
    default: false
requirements:
  - psycopg >= 3.2 on the host that runs the module (the controller for local connections)
notes:
  - A standby, a read-only database and a database without Scout's tables are refused.
  - Every transaction sets its own timeouts and C(TimeZone=UTC), so the modules also work through a transaction pooler,
    with a warning.
"""
