# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of Scout's objects; the only place that knows them. The defaults are Scout v5.2's, measured on deployed
schemas; a database whose names differ gives its own (option `contract`)."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import re
import string
import typing as t

from ..core.errors import BadInput
from ..postgres.driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping


#: Where Supabase keeps the migration history.
HISTORY: t.Final = "supabase_migrations.schema_migrations"


@dataclasses.dataclass(frozen=True)
class Contract:
    """Every name that a deployment may have chosen otherwise; tables, views and functions with their schema."""

    schema: str = "scout"

    bronze: str = "scout.bronze_events"
    dead_letters: str = "scout.bronze_events_dlq"
    etl_ledger: str = "scout.etl_processed"
    transactions: str = "scout.silver_transactions"
    line_items: str = "scout.silver_line_items"
    alerts: str = "scout.alerts"
    products: str = "scout.dim_product"

    ingest_freshness_view: str = "scout.v_ingest_freshness"
    quality_alerts_view: str = "scout.v_quality_alerts"
    throughput_view: str = "scout.v_pipeline_throughput"
    etl_performance_view: str = "scout.v_etl_performance"
    linking_view: str = "scout.v_product_linking_stats"
    gold_freshness_view: str = "scout.v_gold_freshness"

    load_function: str = "scout.load_silver_from_bronze"
    reprocess_function: str = "scout.reprocess_bronze_window"
    link_function: str = "scout.link_products_to_catalog"
    refresh_function: str = "scout.refresh_gold_platinum"
    maybe_refresh_function: str = "scout.maybe_refresh_gold"
    control_function: str = "scout.control_ingestion"
    quality_report_function: str = "scout.data_quality_report"
    event_hash_function: str = "scout.canonical_event_hash"

    load_job: str = "bronze-to-silver-etl"
    link_job: str = "product-linking"
    refresh_job: str = "smart-gold-refresh"

    #: Tables and materialized views that begin so are silver and gold, those of a deployment's own as well.
    silver_prefix: str = "silver_"
    gold_prefix: str = "gold_"

    transaction_event: str = "transaction.v1"
    #: The refresh function's session lock, a single-bigint key (pg_locks: high half classid, low half objid, objsubid 1).
    gold_lock: int = 94752052
    #: Roles that send events into bronze, with commas between them, so that one that may no longer insert is told from any other.
    writers: str = ""

    def __getitem__(self, key: str) -> str:
        """The name with this key."""
        return getattr(self, key)

    @property
    def required_tables(self) -> tuple[str, ...]:
        """Without these a database is not Scout; they are those whose rows a move touches."""
        return self.bronze, self.dead_letters, self.etl_ledger, self.transactions, self.line_items

    @property
    def writing_roles(self) -> list[str]:
        """The roles that send events into bronze, as far as they are named."""
        return [name.strip() for name in self.writers.split(",") if name.strip()]

    @property
    def manifest(self) -> str:
        """Where Scout's own deployments keep which files they have applied; a deployment may have none."""
        return f"{self.schema}.migration_manifest"

    @property
    def deployment_log(self) -> str:
        """Where they keep what they have done."""
        return f"{self.schema}.deployment_log"

    @property
    def etl(self) -> str:
        """The ETL with its signature, as to_regprocedure and people write it."""
        return f"{self.load_function}(integer)"

    @property
    def event_hash(self) -> str:
        """What hashes an event's payload, with its signature: deployments have other functions of the same name."""
        return f"{self.event_hash_function}(jsonb)"

    @property
    def switch(self) -> str:
        """The pipeline's own switch of ingestion with its signature."""
        return f"{self.control_function}(text)"

    @property
    def etl_functions(self) -> tuple[str, ...]:
        """Bare names of the functions that write silver; calls of them in a statement mark a session as the pipeline's."""
        return bare(self.load_function), bare(self.reprocess_function), bare(self.link_function)

    @property
    def gold_functions(self) -> tuple[str, ...]:
        """Bare names of the functions that write gold."""
        return bare(self.refresh_function), bare(self.maybe_refresh_function)

    @property
    def purposes(self) -> dict[str, tuple[str, ...]]:
        """The jobs counted as ingestion whatever their command says, and what each is for: a job by any name that calls
        one of these functions does it as well."""
        return {
            self.load_job: (bare(self.load_function),),
            self.link_job: (bare(self.link_function),),
            self.refresh_job: self.gold_functions,
        }

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Columns that the pipeline, its jobs and this toolkit rely on, by table; a deployment may have more."""
        return {self[table]: names for table, names in COLUMNS.items()}

    @property
    def unique(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """What keeps one event, one sale and one line from being there twice, by table."""
        return {self[table]: keys for table, keys in UNIQUE.items()}

    @property
    def signatures(self) -> tuple[str, ...]:
        """What the jobs and the runbook call, and what its dashboards show: bare names with their signatures."""
        return (
            f"{bare(self.load_function)}(integer)",
            f"{bare(self.link_function)}(integer)",
            f"{bare(self.refresh_function)}()",
            f"{bare(self.maybe_refresh_function)}()",
            f"{bare(self.control_function)}(text)",
            f"{bare(self.quality_report_function)}(integer)",
        )

    @property
    def dashboard_views(self) -> tuple[str, ...]:
        """The views of its dashboards, which differ in their columns between deployments."""
        return (
            self.ingest_freshness_view,
            self.quality_alerts_view,
            self.throughput_view,
            self.etl_performance_view,
            self.linking_view,
        )

    @property
    def views(self) -> tuple[str, ...]:
        """All of its views that something reads."""
        return (*self.dashboard_views, self.gold_freshness_view)


DEFAULT: t.Final = Contract()

#: The kinds of names, by the end of their keys; what is no other kind is a table.
FUNCTION, VIEW, JOB, PREFIX = "_function", "_view", "_job", "_prefix"
OTHERS: t.Final = ("schema", "transaction_event", "gold_lock", "writers")
KEYS: t.Final = tuple(field.name for field in dataclasses.fields(Contract))
TABLES: t.Final = tuple(key for key in KEYS if key not in OTHERS and not key.endswith((FUNCTION, VIEW, JOB, PREFIX)))
#: What is in the schema.
OBJECTS: t.Final = (*TABLES, *(key for key in KEYS if key.endswith((FUNCTION, VIEW))))

COLUMNS: t.Final = {
    "bronze": ("event_id", "event_type", "event_ts", "source_system", "event_data", "event_hash", "ingested_at"),
    "dead_letters": (
        "dlq_id", "original_payload", "error_code", "error_message", "error_details", "failed_at", "resolved_at",
    ),
    "etl_ledger": ("event_id", "processed_at"),
    "transactions": (
        "transaction_id", "store_id", "ts", "date_key", "total_amount", "net_amount", "item_count", "processed_at", "updated_at",
        "source_event_id",
    ),
    "line_items": (
        "transaction_id", "product_id", "line_sequence", "quantity", "unit_price", "line_amount", "product_key", "updated_at",
    ),
    "alerts": ("alert_type", "severity", "created_at", "resolved_at"),
}  # fmt: skip

UNIQUE: t.Final = {
    "bronze": (("event_id",), ("event_hash",)),
    "etl_ledger": (("event_id",),),
    "transactions": (("transaction_id",),),
    "line_items": (("transaction_id", "product_id", "line_sequence"),),
}

#: Who nobody may cancel or terminate, whatever it holds.
PROTECTED_ROLES: t.Final = ("replicator", "supabase_admin", "rdsadmin", "cloudsqladmin", "azuresu")

#: What PostgreSQL gives back as it was written without quotes.
PLAIN: t.Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
EVENT_TYPE: t.Final = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
ROLE_NAMES: t.Final = re.compile(r"(?:[^\x00-\x1f\x7f,]{1,63}(?:,[^\x00-\x1f\x7f,]{1,63})*)?")
JOB_NAME: t.Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
NOT_OURS: t.Final = re.compile(r"pg_.*|information_schema|cron|scout_ops")
#: The key whose value is a number, and the variable of an inventory that gives all of them.
LOCK: t.Final = "gold_lock"
OPTION: t.Final = "scout_contract"


def bare(name: str) -> str:
    """A name without its schema."""
    return name.rpartition(".")[2]


class _InForce:
    """A contract, and the statements that were composed with it."""

    def __init__(self, names: Contract) -> None:
        self.names = names
        self.composed: dict[str, sql.Composed] = {}
        self._filled: dict[str, sql.SQL] = {}

    @functools.cached_property
    def identifiers(self) -> dict[str, sql.Composable]:
        """What stands for each `{name}` in a statement: an identifier, of what is no object a constant."""
        given = vars(self.names)
        objects = {name: sql.Identifier(*given[name].split(".")) for name in (*OBJECTS, "schema")}
        constants = {name: sql.Literal(given[name]) for name in ("transaction_event", "gold_lock")}
        return {**objects, **constants}

    def filled(self, statement: t.LiteralString) -> sql.SQL:
        """The statement with the names in it, and its own parts still open; made once, for many pieces cost each time it is sent."""
        if statement not in self._filled:
            pieces: list[str] = []
            for text, field, form, conversion in string.Formatter().parse(statement):
                pieces.append(_doubled(text))
                if field in self.identifiers:
                    pieces.append(_doubled(self.identifiers[field].as_string()))
                elif field is not None:
                    pieces.append(
                        f"{{{field}{'!' if conversion else ''}{conversion or ''}{':' if form else ''}{form}}}"
                    )
            self._filled[statement] = sql.SQL(t.cast("t.LiteralString", "".join(pieces)))
        return self._filled[statement]


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@functools.lru_cache(maxsize=8)
def _in_force(names: Contract) -> _InForce:
    return _InForce(names)


class _Process:
    """What one process works with: a task works on one database."""

    now = _in_force(DEFAULT)


def names() -> Contract:
    """The names that are in force in this process."""
    return _Process.now.names


@contextlib.contextmanager
def using(contract: Contract) -> Generator[None]:
    """Within it, and in all threads of the process, these names are in force."""
    before, _Process.now = _Process.now, _in_force(contract)
    try:
        yield
    finally:
        _Process.now = before


def compose(statement: t.LiteralString, *parts: sql.Composable, **named: sql.Composable) -> sql.Composed:
    """A statement with the names in force where it says `{bronze}`, and its own parts where it says `{}` or `{part}`, as
    psycopg's `SQL.format`; raises KeyError for any other, ValueError where a part has the key of a name."""
    now = _Process.now
    if not parts and not named:
        if statement not in now.composed:
            now.composed[statement] = now.filled(statement).format()
        return now.composed[statement]
    if twice := now.identifiers.keys() & named.keys():
        raise ValueError(f"a part has the key of a name: {', '.join(sorted(twice))}")
    return now.filled(statement).format(*parts, **named)


def words(text: str) -> str:
    """A text for people with the names in force where it says `{bronze}`."""
    return text.format_map(vars(_Process.now.names))


def of(given: Mapping[str, t.Any] | None) -> Contract:
    """The contract with these names instead of v5.2's, each without its schema; raises BadInput where one cannot be used."""
    if not given:
        return DEFAULT
    for key, value in given.items():
        _check(key, value)
    schema = given.get("schema", DEFAULT.schema)
    found: dict[str, t.Any] = vars(DEFAULT) | dict(given)
    _check_distinct(found)
    found.update((name, f"{schema}.{bare(found[name])}") for name in OBJECTS)
    return Contract(**found)


def defaults() -> dict[str, str | int]:
    """Every key with its default, as a mapping gives them: names without their schema."""
    found: dict[str, t.Any] = vars(DEFAULT)
    return found | {name: bare(found[name]) for name in OBJECTS}


def _check(key: str, value: t.Any) -> None:
    """Refuses a key that is none, and a name that is none of its kind."""
    if key not in KEYS:
        likely = difflib.get_close_matches(str(key), KEYS, n=1, cutoff=0.5)
        raise BadInput(
            f"{OPTION} has no key {str(key)[:80]!r}",
            next_step=f"write {likely[0]}" if likely else f"its keys are {', '.join(KEYS)}",
        )
    if key == LOCK:
        _check_lock(value)
        return
    pattern, rule = JOB_NAME, "give the name of a job: 1 to 200 characters in one line"
    if key == "transaction_event":
        pattern, rule = EVENT_TYPE, "give a type of events: letters, digits and _ . : / -"
    elif key == "writers":
        pattern, rule = ROLE_NAMES, "give names of roles with commas between them"
    elif not key.endswith(JOB):
        pattern, rule = PLAIN, "give lower-case letters, digits and _ (at most 63), without a schema or quotes"
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadInput(f"{OPTION}: {key} {str(value)[:80]!r} is not usable", next_step=rule)
    if key == "schema" and NOT_OURS.fullmatch(value):
        raise BadInput(
            f"{OPTION}: schema {value!r} is not the pipeline's", next_step="give the schema that holds its tables"
        )


def _check_lock(value: t.Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise BadInput(
            f"{OPTION}: {LOCK} {str(value)[:80]!r} is not usable",
            next_step="give the key of the refresh function's advisory lock: a whole number of 64 bits",
        )


def _check_distinct(found: Mapping[str, t.Any]) -> None:
    """Refuses one name for two things of a kind; tables and views are of one kind in PostgreSQL."""
    relations = [key for key in KEYS if key in TABLES or key.endswith(VIEW)]
    for kind in (relations, *([key for key in KEYS if key.endswith(end)] for end in (FUNCTION, JOB, PREFIX))):
        if twice := _twice({key: bare(found[key]) if key in OBJECTS else found[key] for key in kind}):
            raise BadInput(
                f"{OPTION}: {' and '.join(twice)} have the same name, {found[twice[0]]!r}",
                next_step="give each its own; a key that is left out has the name of Scout v5.2",
            )


def _twice(given: Mapping[str, str]) -> list[str]:
    """The keys of the first name that is a duplicate."""
    for name in given.values():
        same = [key for key, value in given.items() if value == name]
        if len(same) > 1:
            return same
    return []
