# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way from options to a result: `invoke` for the action plugin, `execute` for a module that Ansible executes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import tempfile
import traceback
import typing as t
import urllib.parse
from pathlib import Path

from .core.errors import BadInput, RecoveryError, Unexpected, WrongDatabase
from .core.progress import Progress
from .core.text import visible_in
from .ledger import actions, bootstrap, ledger, pauses, renewal
from .ledger.controller import Controller, this_controller
from .ledger.trust import known_sessions
from .postgres import dsn as dsns
from .postgres.driver import conninfo, psycopg, require
from .postgres.dsn import choose_dsn, parse_dsn, to_set
from .postgres.failures import translate
from .postgres.session import ADHOC, POOLED, Settings, check_incident, open_session, require_right_host
from .scout import contract, row_hazards
from .scout.judging import roles

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from .postgres.session import Row, Session

Params = dict[str, t.Any]
Result = dict[str, t.Any]

#: Options every module that talks to a database has; documented in plugins/doc_fragments/connection.py.
CONNECTION_SPEC: dict[str, dict[str, t.Any]] = {
    "dsn": {"type": "str", "no_log": True},
    "cron_dsn": {"type": "str", "no_log": True},
    "login_host": {"type": "str"},
    "login_port": {"type": "int"},
    "login_user": {"type": "str"},
    "login_db": {"type": "str", "aliases": ["db"]},
    "password": {"type": "str", "no_log": True, "aliases": ["login_password"]},
    "connect_timeout_seconds": {"type": "int", "default": 10},
    "statement_timeout_seconds": {"type": "float", "default": 60.0},
    "lock_timeout_seconds": {"type": "float", "default": 5.0},
    "incident": {"type": "str", "default": ADHOC},
    "contract": {"type": "dict", "default": {}},
    "jobs": {"type": "list", "elements": "str"},
    "allow_superuser": {"type": "bool", "default": False},
    "allow_owner": {"type": "bool", "default": False},
    "require_tls": {"type": "bool", "default": False},
}

#: Options every module has besides, so that a play sets them once for all; documented in plugins/doc_fragments/ledger.py.
LEDGER_SPEC: dict[str, dict[str, t.Any]] = {
    "ledger": {"type": "str", "default": "auto", "choices": ["required", "auto", "off"]},
    "lease_token": {"type": "int", "no_log": False},
    "takeover": {"type": "bool", "default": False},
    "actor": {"type": "str"},
}

#: The environment's words for the options of those names.
ALLOW_SUPERUSER: t.Final = "SCOUT_ALLOW_SUPERUSER"
ALLOW_OWNER: t.Final = "SCOUT_ALLOW_OWNER"

#: Ellipses, which no text consists of.
PLACEHOLDERS: t.Final = frozenset({"…", "..."})
#: Options whose values stand in no message.
SECRET: t.Final = ("dsn", "cron_dsn", "password", "token")

#: What an operation says of a database without a pipeline.
NOT_SCOUT: t.Final = "refused: this is not a Scout database"
REQUIRE_SCOUT = """
SELECT string_agg(name, ', ' ORDER BY name) AS missing,
       (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'scout_ops' AND c.relname = 'runs') AS ledger
FROM unnest(%(tables)s::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                  WHERE n.nspname || '.' || c.relname = name)
"""

#: What is to be run where pg_cron is.
COMMANDS_OF_CRON: t.Final = re.compile(
    r"\bcron\.(?:alter_job|schedule|unschedule|job_run_details TO)\b|ON SCHEMA cron\b"
)
#: What does not look at ingestion itself, and may be all that an operation does.
SAYS_HOW_INGESTION_IS: t.Final = ("lease", "refresh_gold", "terminate_sessions")
#: What takes the lease for others, extends or frees it.
HOLDS_THE_LEASE: t.Final = ("lease", "begin")


@dataclasses.dataclass(frozen=True)
class Call:
    """What a module's `run` gets besides its options: the session, the mode, progress, and who is calling."""

    session: Session
    check: bool
    progress: Progress
    controller: Controller
    incident: str
    #: Whether the module never writes anything.
    only_reads: bool = False
    #: Whether the pipeline's owner may operate it himself, although he may more than an operator should.
    allow_owner: bool = False

    def look(self, mode: str = "auto") -> ledger.Ledger:
        """The ledger for reading."""
        upgrade = not (self.check or self.only_reads)
        return bootstrap.look(
            self.session, incident=self.incident, controller=self.controller, mode=mode, upgrade=upgrade
        )

    def ingestion(self, params: Params) -> pauses.Ingestion:
        """How ingestion is now, whatever became of the call."""
        try:
            return pauses.ingestion(self.look("off" if params.get("ledger") == "off" else "auto"), params.get("jobs"))
        except (RecoveryError, psycopg.Error):
            return pauses.UNSEEN.copy()

    def ensure(self, mode: str) -> ledger.Ledger:
        """The ledger for writing."""
        return bootstrap.ensure(self.session, incident=self.incident, controller=self.controller, mode=mode)


@dataclasses.dataclass(frozen=True)
class WithoutSession:
    """What the `run` of a module gets that needs no database."""

    check: bool
    progress: Progress
    controller: Controller


def execute(
    spec: dict[str, dict[str, t.Any]], run: Callable[[t.Any, Params], Mapping[str, t.Any]], **rules: t.Any
) -> None:
    """A module's `main()`: Ansible validates its options by the spec and the rules, and prints what `invoke` returns.

    The module's name is that of the file that defines `run`. Ends the process: with 0, or with 1 where the result failed.
    """
    # Ansible's front for an executed module, which nothing else here may know; a module in process does without.
    from ansible.module_utils.basic import AnsibleModule

    module: t.Any = AnsibleModule(argument_spec=spec, supports_check_mode=True, **rules)
    # Executed, the file's own name is __main__; what it was found by still has the other.
    found = sys.modules[run.__module__].__spec__
    name = found.name.rpartition(".")[2] if found else run.__module__
    result = invoke(run, name, module.params, check=module.check_mode)
    for warning in result.pop("warnings", None) or ():
        module.warn(warning)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


def invoke(
    run: Callable[[t.Any, Params], Mapping[str, t.Any]],
    name: str,
    params: Params,
    *,
    check: bool,
    progress: Progress | None = None,
    controller_pid: int | None = None,
) -> Result:
    """Runs a module with its validated options: on a guarded session on a Scout database, as a `Call`, unless it needs none.

    Returns its result, or the failure of what raised a RecoveryError, an error of PostgreSQL or any other; raises none.
    """
    voice, controller = progress or Progress(), this_controller(controller_pid, params.get("actor"))
    about: Result = {}
    try:
        require()
    except BadInput as e:
        return failure(e)
    try:
        if "dsn" not in params:
            with voice.never_silent():
                return _told({"operation": _action(name), **run(WithoutSession(check, voice, controller), params)})
        check_options(params)
        with voice.never_silent(), _session(_action(name), params) as (session, there):
            controller = controller.logged_in(session.facts.login)
            about = {"incident": params["incident"]}
            only_reads = name.endswith("_info")
            call = Call(session, check, voice, controller, params["incident"], only_reads, _allows_owner(params))
            try:
                with _renewing(call, name, params, there):
                    result = run(call, params)
            except (RecoveryError, psycopg.Error) as e:
                if isinstance(e, RecoveryError) and (there := _of_cron(session, e.next_step)):
                    e.next_step = f"in database {there}: {e.next_step}"
                if about and (not isinstance(e, RecoveryError) or "ingestion" not in e.result):
                    about["ingestion"] = call.ingestion(params)
                raise
            if _action(name) in SAYS_HOW_INGESTION_IS and params.get("state") != "released":
                about["ingestion"] = call.ingestion(params)
            return _told(_completed({**about, **result}, name, session, there["hosts"]))
    except RecoveryError as e:
        return about | failure(e)
    except psycopg.Error as e:
        error = translate(e, f"{name} failed")
        error.next_step = error.next_step or "unexpected error: please report it"
        return about | failure(error)
    except Exception as e:  # noqa: BLE001  # a fault of ours ends as any failure does: paused, in words, with what to do
        return about | failure(_unexpected(e, name, params))


def _renewing(call: Call, name: str, params: Params, there: Row) -> contextlib.AbstractContextManager[None]:
    """A block that renews the lease of the play, if there is one; what takes, extends or frees it does so itself."""
    token: int | None = params.get("lease_token")
    call.session.lease = token
    if (
        token is None
        or call.check
        or _action(name) in HOLDS_THE_LEASE
        or not there["ledger"]
        or params["ledger"] == "off"
    ):
        return contextlib.nullcontext()
    return renewal.during(call.session, token)


def _unexpected(error: Exception, name: str, params: Params) -> Unexpected:
    """The fault with the line it happened in; its traceback is kept in a file that only its owner reads, without secrets."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = next((frame for frame in reversed(frames) if "recovery" in frame.filename), frames[-1])
    place = f"{'/'.join(Path(ours.filename).parts[-3:])} line {ours.lineno}, in {ours.name}"
    said, told = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
    for secret in sorted(secrets(params), key=len, reverse=True):
        said, told = said.replace(secret, "***"), told.replace(secret, "***")
    kept = f"with what stands here, from {os.uname().nodename}"
    with contextlib.suppress(OSError):
        number, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".traceback")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(told)
        kept = f"with its traceback, {path} on {os.uname().nodename}"
    return Unexpected(
        f"{name} broke off because of a fault in it, at {place}",
        said=said,
        next_step=f"`assess.yml` shows how the pipeline is now; please report this {kept}",
    )


def _told(result: Result) -> Result:
    """Ansible shows warnings as they are."""
    if result.get("warnings"):
        result["warnings"] = visible_in(result["warnings"])
    return result


def settings_of(action: str, params: Params) -> tuple[Settings, str]:
    """How to reach the database that these options name, without the one beside it, and which of them, or which variable of the
    environment, names it. Raises BadInput where that is no connection string, or would lead to an unverified server."""
    dsn, source = dsns.with_login(params, os.environ)
    verified = params["require_tls"] or _is_on(os.environ, dsns.REQUIRE_TLS)
    if verified:
        dsns.require_verified(parse_dsn(dsn, source), source, os.environ)
    settings = Settings(
        dsn=dsn,
        password=params["password"],
        incident=params["incident"],
        action=action,
        connect_timeout_seconds=params["connect_timeout_seconds"],
        statement_timeout_seconds=params["statement_timeout_seconds"],
        lock_timeout_seconds=params["lock_timeout_seconds"],
        verified=verified,
    )
    return settings, source


@contextlib.contextmanager
def _session(action: str, params: Params) -> Generator[tuple[Session, Row]]:
    """A guarded session on a Scout database that shows all its rows, and what is there of the ledger."""
    settings, source = settings_of(action, params)
    settings = with_cron(settings, source, params["cron_dsn"])
    with contract.using(contract.of(params["contract"])), open_session(settings, source) as session:
        if settings.verified and dsns.is_unverified(session.connection.pgconn):
            raise dsns.unverified(session.where, source)
        if session.facts.superuser and not params["allow_superuser"] and not _is_on(os.environ, ALLOW_SUPERUSER):
            raise _superuser(session)
        there = session.row(REQUIRE_SCOUT, tables=list(contract.names().required_tables))
        if there["missing"]:
            _require_enough(session, there["missing"], actions.of_module(action), source)
        if action in actions.ACTS and not _allows_owner(params) and (he := roles.itself(session)):
            raise roles.owner_himself(session, he)
        if (done := actions.of_module(action)) in actions.NEEDS_ROWS:
            row_hazards.require_sight(session, writing=done in actions.WRITES_ROWS)
        if there["ledger"] and params["ledger"] != "off":
            known_sessions.attach(session)
        yield session, there | {"hosts": _other_hosts(session, action, params, source)}


def _other_hosts(session: Session, action: str, params: Params, source: str) -> list[str]:
    """What is to be said of other hosts that the connection names. Whatever acts is refused on the wrong one; who looks is told."""
    try:
        told = require_right_host(session, source)
    except WrongDatabase as e:
        if action in (*actions.ACTS, *actions.LEADS) and params.get("state") != "released":
            raise
        return [str(e)]
    # Within an operation it has been said already.
    return [] if params.get("lease_token") else told


def with_cron(settings: Settings, source: str, cron_dsn: str | None) -> Settings:
    """With how to reach the database that has pg_cron, where it is named. Raises BadInput where that is no connection string, or
    would lead to an unverified server."""
    given, cron_source = dsns.choose_cron(cron_dsn, os.environ)
    if not given:
        return settings
    parts, same = dsns.completed(given, cron_source, settings.dsn, source, os.environ)
    if settings.verified:
        dsns.require_verified(parts, cron_source, os.environ)
    dsn = conninfo.make_conninfo("", **parts)
    cron = dataclasses.replace(settings, dsn=dsn, password=settings.password if same else None)
    return dataclasses.replace(settings, cron=cron, cron_source=cron_source)


def _allows_owner(params: Params) -> bool:
    return params["allow_owner"] or _is_on(os.environ, ALLOW_OWNER)


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() in ("1", "true", "yes", "on")


def _superuser(session: Session) -> BadInput:
    """Whoever can make a function or a view that is called on the way would have a superuser's rights, even while he only looks."""
    return BadInput(
        f"refused to work as superuser {session.facts.role}",
        on=session.where,
        said="what others wrote in this database would run with a superuser's rights",
        next_step=(
            f"connect as scout_operator, which {roles.operator_of_its_own(session)} makes; "
            "or add -e scout_allow_superuser=true to do it all the same"
        ),
    )


def _require_enough(session: Session, missing: str, action: str, source: str) -> None:
    """Refuses a database without most of Scout's tables, and to move rows where any of them is missing: a migration that
    dropped or renamed one is what a pause, an assessment and a rollback are needed for."""
    if 2 * len(missing.split(", ")) > len(contract.names().required_tables):
        raise WrongDatabase(
            NOT_SCOUT,
            on=session.where,
            said=f"missing {missing}",
            next_step=f"point {to_set(source)} at the database that holds schema {contract.names().schema}",
        )
    if action in actions.WRITES_ROWS:
        raise WrongDatabase(
            f"refused to move rows while {missing} is missing",
            on=session.where,
            said="it was dropped or renamed",
            next_step="assess.yml names what was deployed; rename it back, or rollback.yml, then run the same command again",
        )


def _completed(result: Result, name: str, session: Session, hosts: list[str]) -> Result:
    """The result with its database and its tag, and with what is to be said of other hosts and of a pooler."""
    result.setdefault("operation", _action(name))
    result.setdefault("database", session.where)
    warnings = [*hosts, POOLED] if session.facts.pooled else [*hosts]
    opened = [each for each in (session, session.opened_beside) if each is not None and not each.connection.closed]
    warnings += [dsns.UNVERIFIED] if any(dsns.is_unverified(each.connection.pgconn) for each in opened) else []
    if there := _of_cron(session, result):
        database = session.facts.database
        warnings.append(
            f"pg_cron is in database {there}: what begins with SELECT cron. is for there, and a job of this one is scheduled with "
            f"cron.schedule_in_database(…, '{database}')"
        )
    if warnings:
        told: list[str] = result.get("warnings") or []
        result["warnings"] = [*told, *(text for text in warnings if text not in told)]
    return result


def _of_cron(session: Session, told: t.Any) -> str:
    """The database in which what is told to run of pg_cron has to be run, where that is another one; else empty."""
    there = session.opened_beside.facts.database if session.opened_beside is not None else session.facts.database
    return there if there != session.facts.database and COMMANDS_OF_CRON.search(str(told)) else ""


def _action(name: str) -> str:
    """What a module does, by its name: sessions and results are tagged with it."""
    return name.removeprefix("scout_").removesuffix("_info")


def failure(error: RecoveryError) -> Result:
    """The result of a module that refused or failed; `msg` is one line for a person."""
    result: Result = {"changed": False, **error.result}
    result.update(failed=True, msg=str(error), error=error.as_dict())
    return result


def check_options(params: Params) -> None:
    """Raises BadInput for the name of an incident, a duration or a text that cannot be used, by the name of its option."""
    if "incident" in params:
        check_incident(params["incident"])
    _check_positive(params)
    _check_texts(params)
    _check_lists(params)


def _check_positive(params: Params) -> None:
    """Refuses a duration that is not a positive number of seconds."""
    for name, value in params.items():
        if name.endswith("_seconds") and value is not None and not 0 < value <= 86400 * 7:
            raise BadInput(
                f"{name} {value!r} is not usable", next_step=f"give {name} in seconds, above 0 and at most 604800"
            )


def _check_texts(params: Params) -> None:
    """Refuses texts that PostgreSQL cannot hold, by the name of their option."""
    for name, value in params.items():
        if name not in SECRET and is_placeholder(value):
            raise BadInput(f"{name} is only a placeholder", next_step=f"give {name} instead of …")
        if name not in SECRET and not _storable(value):
            raise BadInput(
                f"{name} {str(value)[:80]!r} holds a character that no text in PostgreSQL can hold",
                next_step=f"give {name} without NUL characters and halves of surrogate pairs",
            )


def _check_lists(params: Params) -> None:
    """Refuses a list that was typed as JSON after -e NAME=, which Ansible splits at its commas and takes with its brackets."""
    for name, value in params.items():
        elements = t.cast("list[t.Any]", value) if isinstance(value, list) else []
        texts = [each for each in elements if isinstance(each, str)]
        if texts and texts[0].startswith("[") and texts[-1].endswith("]"):
            raise BadInput(
                f"{name} {','.join(texts)[:80]!r} is not a list",
                next_step=f"""give it as -e '{{"scout_{name}": ["one", "two"]}}', or as -e scout_{name}=one,two""",
            )


def is_placeholder(value: t.Any) -> bool:
    """Whether a value, or a part of it, is what a command on a page has where something has to be filled in."""
    if isinstance(value, str):
        return value.strip() in PLACEHOLDERS
    if isinstance(value, dict):
        return any(map(is_placeholder, t.cast("dict[t.Any, t.Any]", value).values()))
    return isinstance(value, list) and any(map(is_placeholder, t.cast("list[t.Any]", value)))


def _storable(value: t.Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        entries = t.cast("dict[t.Any, t.Any]", value)
        return all(_storable(part) for entry in entries.items() for part in entry)
    return all(map(_storable, t.cast("list[t.Any]", value))) if isinstance(value, list) else True


def secrets(params: t.Mapping[str, t.Any]) -> set[str]:
    """Every spelling of a secret among the options and the environment that a message could contain."""
    found = {*(params.get(name) for name in SECRET), os.environ.get("PGPASSWORD")}
    named = choose_dsn(params.get("dsn"), os.environ), dsns.choose_cron(params.get("cron_dsn"), os.environ)
    for dsn, source in named:
        try:
            found.add(parse_dsn(dsn, source).get("password"))
        except RecoveryError:
            found.add(dsn)
    spellings = {spelling for value in found if value for spelling in (value, urllib.parse.quote(value, safe=""))}
    return {value for value in spellings if len(value) > 2}


def known_secrets(call: Call, params: t.Mapping[str, t.Any]) -> set[str]:
    """Those, and the password of the connection, which a text must not repeat; a name that stands everywhere hides nothing."""
    info = call.session.connection.info
    return {*secrets(params), info.password} - {"", info.user, info.dbname, info.host, contract.names().schema}
