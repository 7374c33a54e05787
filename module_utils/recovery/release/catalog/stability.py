# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether anybody has changed the schema between two moments, without reading what it consists of."""

from __future__ import annotations

import typing as t

from ...postgres.driver import sql

if t.TYPE_CHECKING:
    from ...postgres.session import Session

#: Whatever a definition is made of stands in one of these.
CATALOGS: t.Final = (
    *("pg_namespace", "pg_class", "pg_attribute", "pg_attrdef", "pg_type", "pg_enum", "pg_range", "pg_proc"),
    *("pg_aggregate", "pg_constraint", "pg_index", "pg_inherits", "pg_partitioned_table", "pg_sequence"),
    *("pg_trigger", "pg_rewrite", "pg_policy", "pg_statistic_ext", "pg_cast", "pg_transform", "pg_operator"),
    *("pg_opclass", "pg_opfamily", "pg_am", "pg_collation", "pg_conversion", "pg_language", "pg_ts_parser"),
    *("pg_ts_dict", "pg_ts_template", "pg_ts_config", "pg_foreign_table", "pg_foreign_server"),
    *("pg_foreign_data_wrapper", "pg_extension", "pg_default_acl", "pg_event_trigger", "pg_publication"),
    *("pg_publication_rel", "pg_depend", "pg_description", "pg_seclabel", "pg_tablespace"),
)
#: Since PostgreSQL 15.
PUBLISHED_SCHEMAS: t.Final = "pg_publication_namespace"

#: Every change but that of a statistic makes a row with a new xmin, or leaves one out.
OF_CATALOG: t.Final = (
    "SELECT {name} AS name, count(*) AS number, sum(hashtextextended(xmin::text, 0))::text AS rows FROM {catalog}"
)
#: The catalog of roles itself is closed to most.
OF_ROLES: t.Final = "SELECT 'pg_roles', count(*), sum(hashtextextended(rolname::text, oid::bigint))::text FROM pg_roles"

Fingerprint = tuple[tuple[str, int, str | None], ...]


def fingerprint(session: Session) -> Fingerprint:
    """What is another one as soon as something that was there is defined otherwise, is gone, or was changed and changed back; on
    the snapshot of the caller's transaction, or in one of its own. So a reading of the catalog in between mixes nothing.

    What comes and goes in between leaves no trace, nor is it spoken of by what was there: names are looked up in pg_catalog
    alone. Only a role that is renamed and gets its name back within one reading remains unseen. Temporary tables and a
    materialized view that is refreshed change it too.
    """
    newer = (PUBLISHED_SCHEMAS,) if session.facts.server_version >= 150000 else ()
    each = [
        sql.SQL(OF_CATALOG).format(name=sql.Literal(name), catalog=sql.Identifier("pg_catalog", name))
        for name in (*CATALOGS, *newer)
    ]
    found = session.rows(sql.SQL(" UNION ALL ").join([*each, sql.SQL(OF_ROLES)]))
    return tuple((row["name"], row["number"], row["rows"]) for row in found)
