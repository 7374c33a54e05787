# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks before the first step: which privileges are missing, with the GRANT that fixes each, and what else would
surprise."""

from __future__ import annotations

import dataclasses
import importlib.util
import shlex
import sys
import typing as t
from pathlib import Path

from ..core.errors import BadInput, MissingPrivilege, RecoveryError
from ..core.text import count
from ..ledger import bootstrap
from ..ledger.actions import LOOKS, MOVES, RESET, ROLLBACK, WRITES_ROWS
from ..postgres import privileges
from ..postgres.driver import psycopg, sql
from ..postgres.privileges import Need
from ..postgres.session import POOLED
from ..scout import contract, cron_jobs, cron_runs, row_hazards
from ..scout.judging import event_triggers, foreign_code, roles
from . import refresh_gold
from .proof import job_rights

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..invoke import Call, Params
    from ..postgres.session import Row, Session
    from .results import PreflightResult

#: What judges, and the synthetic sale that may go with it.
GATE: t.Final = ("gate", "smoke")
ACTIONS: t.Final = (*RESET, *MOVES, *GATE, *ROLLBACK)
#: Options that say what is going to be done, and how.
FORESEEN_SPEC: dict[str, dict[str, t.Any]] = {
    "actions": {"type": "list", "elements": "str", "choices": list(ACTIONS), "default": list(RESET)},
    "max_poison": {"type": "int"},
    "stuck_after_seconds": {"type": "float"},
    "drain_timeout_seconds": {"type": "float"},
}

#: More missing privileges than these are counted instead of named in one line.
FEW: t.Final = 3

#: How it is told that nobody can operate the pipeline before it has another owner.
OWNED: t.Final = "the pipeline is owned by "
#: How it is told that he who owns it has not said that he means to operate it himself.
OWNER: t.Final = "a role that does not own the pipeline, or the owner's word"

#: Where the migration history is unless somebody keeps it elsewhere.
HISTORY: t.Final = contract.HISTORY

#: Privileges on tables, by their keys in the contract, and the actions that need them. FOR UPDATE needs UPDATE, the drain
#: masks events within a batch, and a move locks the ETL's ledger in SHARE ROW EXCLUSIVE MODE, which DELETE permits.
#: Whatever undo puts back, an undo of that undo removes again.
NEEDS: t.Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("bronze", "UPDATE", ("drain", "redrive", "window_recovery")),
    ("bronze", "DELETE", WRITES_ROWS),
    ("bronze", "INSERT", ("redrive", "undo", "smoke")),
    ("dead_letters", "INSERT", WRITES_ROWS),
    ("dead_letters", "UPDATE", ("redrive", "undo")),
    ("dead_letters", "DELETE", ("redrive", "undo")),
    ("etl_ledger", "INSERT", ("drain", "redrive", "undo", "window_recovery", "smoke")),
    ("etl_ledger", "DELETE", (*WRITES_ROWS, "smoke")),
    ("transactions", "INSERT", ("undo",)),
    ("transactions", "DELETE", MOVES),
    ("line_items", "INSERT", ("undo",)),
    ("line_items", "DELETE", MOVES),
    ("alerts", "SELECT", ("gate",)),
)

#: What calls code of others, and needs a temporary function for it.
CALLS: t.Final = (*WRITES_ROWS, *ROLLBACK)

#: The ETL as it is called; anybody who may create in the schema can overload it.
FUNCTIONS = """
SELECT n.nspname::text AS schema, p.proname::text AS name, pg_catalog.oidvectortypes(p.proargtypes) AS arguments,
       pg_catalog.pg_get_userbyid(p.proowner)::text AS owner
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s AND p.proargtypes = '23'::pg_catalog.oidvector
"""

ROLES = """
SELECT name FROM unnest(ARRAY['pg_read_all_stats', 'pg_signal_backend', 'pg_read_all_settings']) AS name
WHERE NOT pg_catalog.pg_has_role(name, 'USAGE')
  AND (name <> 'pg_read_all_settings' OR %(scheduled)s)
"""

#: Whether this role gets one of the connections that are kept back for operators, and how many those are; NULL before PostgreSQL 16.
RESERVED = """
SELECT pg_catalog.pg_has_role(r.oid, 'USAGE') AS may,
       (SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'reserved_connections') AS kept
FROM pg_catalog.pg_roles AS r WHERE r.rolname = 'pg_use_reserved_connections'
"""

#: What the views read besides silver; a view's contents are compared with what its query gives.
READ_BY_GOLD = """
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%(oids)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
ORDER BY 1, 2
"""


@dataclasses.dataclass(frozen=True)
class Missing:
    """A privilege the role lacks, and the first of the wanted actions that needs it."""

    action: str
    what: str
    grant: str

    def as_dict(self) -> dict[str, str]:
        """For results."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Preflight:
    """What was found before the first step."""

    missing: tuple[Missing, ...]
    warnings: tuple[str, ...]
    #: The hosted service that it seems to be on.
    service: str | None = None


def check(call: Call, params: Params) -> PreflightResult:
    """What the role lacks for the wanted actions, each with its GRANT; who it is, on which version, and what would surprise.

    Raises MissingPrivilege where anything is missing and `required` is set, and BadInput for a job that is not there.
    """
    if params["max_poison"] is not None and params["max_poison"] < 0:
        raise BadInput(f"max_poison {params['max_poison']} is not usable", next_step="give max_poison as 0 or more")
    found = read(
        call.session,
        actions=params["actions"],
        ledger_mode=params["ledger"],
        allow_owner=call.allow_owner,
    )
    if found.missing and params["required"]:
        raise _refusal(call, found.missing)
    if params["jobs"]:
        with call.session.read():
            cron_jobs.require(call.session)
            cron_jobs.ingestion_jobs(call.session, params["jobs"])
    hindered = _hindered(call.session) if params["job_rights"] else []
    reserved = _reserved(call.session) if params["job_rights"] else []
    facts = call.session.facts
    with call.session.read():
        unseen = cron_jobs.explain_hidden(call.session) if params["job_rights"] else []
    of_service = f" of {found.service}, it seems" if found.service else ""
    lacking = f"; {count(len(found.missing), 'privilege')} missing" if found.missing else ""
    return {
        "changed": False,
        "missing": [entry.as_dict() for entry in found.missing],
        "role": facts.role,
        "superuser": facts.superuser,
        "server_version": facts.server_version,
        "service": found.service,
        "pooled": facts.pooled,
        "hindered": [obstacle.as_dict() for obstacle in hindered],
        "warnings": [
            *found.warnings,
            *reserved,
            *unseen,
        ],
        "summary": f"role {facts.role} on PostgreSQL {facts.server_version // 10000}{of_service}{lacking}",
    }


def _refusal(call: Call, missing: Sequence[Missing]) -> MissingPrivilege:
    facts = call.session.facts
    what = [entry.what for entry in missing]
    if what[0] == OWNER:
        refusal = roles.owner_himself(call.session, roles.itself(call.session))
        refusal.result = {"missing": [entry.as_dict() for entry in missing]}
        return refusal
    if what[0].startswith(OWNED):
        return MissingPrivilege(
            what[0],
            on=call.session.where,
            said=f"who operates it has to become its owner, and role {facts.role} may become no such role",
            next_step=f"{roles.who_runs(call.session)} {missing[0].grant}, then {roles.operator_of_its_own(call.session)}",
            result={"missing": [entry.as_dict() for entry in missing]},
        )
    more = [f"and {len(what) - FEW} more"] if len(what) > FEW else []
    return MissingPrivilege(
        f"role {facts.role} is missing {count(len(missing), 'privilege')}",
        on=call.session.where,
        said=", ".join([*what[:FEW], *more]),
        next_step=_grants(call.session, missing),
        result={"missing": [entry.as_dict() for entry in missing]},
    )


def _grants(session: Session, missing: Sequence[Missing]) -> str:
    """Return all grants; where there are many, after the script that makes them, if the pipeline has the names it knows."""
    grants = "; ".join(dict.fromkeys(entry.grant for entry in missing))
    if len(missing) <= FEW or contract.names() != contract.DEFAULT:
        return grants
    more = " -v rollback=on" if any(entry.action in ROLLBACK for entry in missing) else ""
    role = shlex.quote(session.facts.role)
    script = f"psql -X -d {roles.reached(session)} -v role={role}{more} -f docs/operator_role.sql"
    return f"{roles.who_runs(session)} {script}, or these statements: {grants}"


def read(session: Session, *, actions: list[str], ledger_mode: str, allow_owner: bool = False) -> Preflight:
    """Everything these actions need that the role lacks, by name; reads only."""
    missing: list[Missing] = []
    wanted = ("assess", *actions)
    warnings = [text for text in (POOLED if session.facts.pooled else None, bytecode_warning()) if text]
    with session.read():
        warnings += roles.needless(session)
        if he := roles.itself(session):
            alone = roles.owner_himself(session, he)
            acting = [action for action in actions if action not in LOOKS]
            if acting and not allow_owner:
                missing.append(Missing(acting[0], OWNER, alone.next_step))
            warnings.insert(0, f"works as the pipeline's owner, {he}: {alone.said}")
        if owners := roles.mighty_owners(session):
            owned, own = f"{OWNED}{' and '.join(owners)}", roles.owner_of_its_own(session)
            needing = [action for action in actions if action in ("pause", "rollback")]
            if needing and not session.facts.superuser:
                missing.append(Missing(needing[0], owned, own))
            else:
                warnings.insert(0, f"{owned}, whom no operator may become: {roles.who_runs(session)} {own}")
        if not session.facts.superuser:
            missing += [*_objects(session, wanted), *_gold(session), *_scheduler(session), *_roles(session)]
            missing += [
                Missing("assess", f"right to see every row of {table}", row_hazards.grant_sight(session, table))
                for table in row_hazards.hidden(session, writing=bool({*WRITES_ROWS} & set(actions)))
            ]
            missing += _writable(session, actions)
            if "rollback" in actions:
                missing += _ownership(session)
                warnings += _without_schemas(session)
        warnings += roles.left_alone(session)
        if {*WRITES_ROWS, "smoke"} & set(actions):
            warnings += [f"{one.describe()}: no row is written before {one.fix}" for one in foreign_code.read(session)]
        warnings += _without_jobs(session, missing) if "pause" in actions else []
        problem = bootstrap.problem(session) if ledger_mode != "off" else None
        if problem and ledger_mode == "required":
            missing.append(Missing("assess", "the ledger scout_ops", problem.next_step))
        elif problem:
            warnings.append(f"no ledger: {problem.said}. {problem.next_step}")
        known = roles.service(session)
        fired = bool(event_triggers.fired(session))
    missing += _frozen(session, actions, fired=fired)
    return Preflight(tuple(_told_once(m for m in missing if m.action in wanted)), tuple(warnings), known)


def _writable(session: Session, actions: Sequence[str]) -> list[Missing]:
    """Triggers by which every write fails, which is to be known before anything is paused."""
    writing = [action for action in actions if action in WRITES_ROWS]
    found = row_hazards.failing(session) if writing else []
    return [Missing(writing[0], f"tables that can be written: {row['what']} only fails", row["fix"]) for row in found]


def _frozen(session: Session, actions: Sequence[str], *, fired: bool) -> list[Missing]:
    """What keeps us from calling code of others at all, which is to be known before anything is paused."""
    calling = [action for action in actions if action in CALLS]
    if not calling or not fired:
        return []
    with session.write():
        refusal = event_triggers.refusal(session)
    return [Missing(calling[0], str(refusal), refusal.fix)] if refusal else []


def _told_once(missing: Iterable[Missing]) -> Iterator[Missing]:
    """Of those that the same command fixes the first; GRANTs are told apart."""
    done: set[str] = set()
    for entry in missing:
        if entry.grant.startswith(("GRANT ", "ALTER ")) or entry.grant not in done:
            yield entry
        done.add(entry.grant)


def bytecode_warning() -> str | None:
    """Warns that Python compiles everything anew at every start, which makes every playbook slower; None where it
    does not."""
    for name in ("ansible", "psycopg"):
        module = sys.modules.get(name)
        if module is not None and module.__file__ is not None:
            compiled = importlib.util.cache_from_source(module.__file__)
            if not Path(compiled).exists():
                return f"package {name} has no compiled bytecode, so every start is slow: make setup, or python -m compileall"
    return None


def _table_needs() -> list[tuple[str, str, tuple[str, ...]]]:
    """Each table of this database, a privilege on it, and the actions that need that."""
    return [
        *((table, "SELECT", ("assess",)) for table in contract.names().required_tables),
        *((contract.names()[key], privilege, actions) for key, privilege, actions in NEEDS),
        *((HISTORY, privilege, ROLLBACK) for privilege in ("SELECT", "INSERT", "DELETE")),
        *((contract.names().manifest, privilege, ROLLBACK) for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    ]


def _objects(session: Session, wanted: Sequence[str]) -> list[Missing]:
    """Privileges on what the pipeline consists of, and on where the migration history of a rollback is."""
    needs = {Need("SCHEMA", contract.names().schema, "USAGE"): "assess"}
    for relation, privilege, actions in _table_needs():
        if needed := [action for action in wanted if action in actions]:
            needs.setdefault(Need("TABLE", relation, privilege), needed[0])
    if loading := [action for action in wanted if action in ("drain", "redrive", "smoke")]:
        for row in _load_function(session):
            function = f"{sql.Identifier(row['schema'], row['name']).as_string()}({row['arguments']})"
            needs[Need("FUNCTION", function, "EXECUTE")] = loading[0]
    if "rollback" in wanted:
        needs[Need("SCHEMA", HISTORY.partition(".")[0], "USAGE")] = "rollback"
    lacked = privileges.lacked(session, needs)
    # What strangers made in our own schema is not the pipeline's.
    strangers = roles.strangers(session) if lacked else set[str]()
    ours = f"{contract.names().schema}."
    return [
        _missing(session, action, need)
        for need, action in needs.items()
        if need in lacked and not (need.object.startswith(ours) and lacked[need] in strangers)
    ]


def _missing(session: Session, action: str, need: Need) -> Missing:
    return Missing(action, str(need), need.grant(session))


def _load_function(session: Session) -> list[Row]:
    names = contract.names()
    return session.rows(FUNCTIONS, schema=names.schema, name=contract.bare(names.load_function))


def _ownership(session: Session) -> list[Missing]:
    """What it takes to alter, drop and make whatever a release may have in the schema, as if its owners had done it."""
    missing: list[Missing] = []
    for row in roles.of_everything(session):
        create = Need("SCHEMA", contract.names().schema, "CREATE", row["owner"])
        if not (row["acts"] and row["becomes"]):
            grant = roles.membership(session, row["owner"])
            missing.append(Missing("rollback", f"the rights of owner {row['owner']}", grant))
        if not row["creates"]:
            missing.append(Missing("rollback", f"{create} for owner {row['owner']}", create.grant(session)))
        if row["of_schema"] and row["acts"] and not row["we_create"]:
            missing.append(_missing(session, "rollback", dataclasses.replace(create, role=None)))
    return missing


def _without_schemas(session: Session) -> list[str]:
    """Warns of what only some rollbacks need."""
    create = Need("DATABASE", sql.Identifier(session.facts.database).as_string(), "CREATE")
    if not privileges.lacked(session, [create]):
        return []
    return [f"a schema or extension that the release dropped could not be recreated: {create.grant(session)}"]


def _gold(session: Session) -> list[Missing]:
    """Reading and refreshing each view, and reading what it is made of."""
    missing: list[Missing] = []
    views = refresh_gold.views(session)
    known = {name for name, privilege, _ in _table_needs() if privilege == "SELECT"}
    oids = [view.oid for view in views] + [oid for view in views for oid in view.needs]
    for row in session.rows(READ_BY_GOLD, oids=oids):
        if f"{row['schema']}.{row['name']}" not in known:
            name = sql.Identifier(row["schema"], row["name"]).as_string()
            missing.append(_missing(session, "assess", Need("TABLE", name, "SELECT")))
    for view in views:
        if not view.refreshable:
            name = sql.Identifier(contract.names().schema, view.name).as_string()
            need = Need("TABLE", name, "MAINTAIN")
            # PostgreSQL 17 has a privilege for REFRESH; before, only the owner may.
            modern = session.facts.server_version >= 170000
            grant = need.grant(session) if modern else roles.membership(session, view.owner)
            missing.append(Missing("refresh_gold", str(need), grant))
    return missing


def _scheduler(session: Session) -> list[Missing]:
    """What it takes to see and alter the jobs as their owners; the ETL's owner stands for the jobs one cannot see."""
    if not cron_jobs.present(session):
        return []
    owners = _owners(session) or {row["owner"] for row in _load_function(session)}
    missing: list[Missing] = []
    for grant in (grant for owner in sorted(owners) for grant in cron_jobs.missing_grants(session, owner)):
        if not grant.startswith("GRANT "):
            what = "cron.alter_job" if "cron.alter_job" in grant else "an owner of its jobs whom it may become"
            missing.append(Missing("pause", what, grant))
            continue
        what = grant.removeprefix("GRANT ").partition(" TO ")[0]
        there = f" in database {beside.facts.database}" if (beside := session.beside()) else ""
        missing.append(Missing("pause", f"{what}{there}" if " ON " in what else f"membership in {what}", grant))
    return missing


def _owners(session: Session) -> set[str]:
    try:
        with session.savepoint():
            return {job.owner for job in cron_jobs.ingestion_jobs(session)}
    except (RecoveryError, psycopg.Error):
        return set()


def _hindered(session: Session) -> list[job_rights.Obstacle]:
    """What keeps the pipeline's own jobs from their work; nothing where they cannot be seen, which is told elsewhere."""
    try:
        with session.read():
            jobs = cron_jobs.ingestion_jobs(session) if cron_jobs.present(session) else []
            return job_rights.read(session, jobs)
    except (RecoveryError, psycopg.Error):
        return []


def _reserved(session: Session) -> list[str]:
    """Warns where this role finds no connection once others have taken all: from PostgreSQL 16 on some can be kept back for it, but
    on a hosted service nobody may do that."""
    rows = [] if session.facts.superuser or roles.service(session) else session.rows(RESERVED)
    for row in rows:
        full = "no connection is kept back for operators"
        if not row["may"]:
            return [f"{full}: {roles.membership(session, 'pg_use_reserved_connections')}"]
        if not row["kept"]:
            return [f"{full}: ALTER SYSTEM SET reserved_connections = 5, then a restart"]
    return []


def _roles(session: Session) -> list[Missing]:
    needs = {"pg_read_all_stats": "assess", "pg_read_all_settings": "assess", "pg_signal_backend": "terminate_sessions"}
    names = [row["name"] for row in session.rows(ROLES, scheduled=cron_runs.scheduler(session).installed)]
    return [Missing(needs[name], f"membership in {name}", roles.membership(session, name)) for name in names]


def _without_jobs(session: Session, missing: Sequence[Missing]) -> list[str]:
    """Warns that nothing can be paused here, for another reason than what is missing."""
    if problem := cron_jobs.foreign(session):
        return [f"nothing can be paused: {problem.said}. {problem.next_step}"]
    if missing:
        return []
    if not cron_jobs.present(session):
        return [f"pg_cron is not installed in this database: nothing can be paused; {cron_jobs.elsewhere(session)}"]
    try:
        with session.savepoint():
            cron_jobs.ingestion_jobs(session)
    except (RecoveryError, psycopg.Error) as e:
        return [f"nothing can be paused: {e}"]
    return []
