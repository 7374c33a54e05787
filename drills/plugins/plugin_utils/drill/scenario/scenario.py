# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario of a drill from its file, checked; whatever is wrong is named by file, key and value. Pure but for the reading."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.values import refuse_deep
from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars

from .severities import severities
from .yaml_reader import WHOLE, Action, Reader, under

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .yaml_reader import Registry

#: What says where a playbook works and how it gets there; the drill alone says that.
LEADS: t.Final = re.compile(
    r"ansible_.*|pg[a-z]+|(?:.*_)?(?:dsn|uri|password|passfile|service|hosts?|port|connection|targets?|inventory|become.*)"
    r"|scout_drill_target|.*environment|result_file|group_names|hostvars|omit",
    re.IGNORECASE,
)
#: What a playbook of the collection may be given: nothing that names a file, a program, a remote or a token. A variable that is new
#: is refused until it is here.
GIVEN: t.Final = frozenset(
    """
    allow_lossy allow_owner allow_owners allow_superuser application_push
    application_rollback_enabled application_skip_ci batch_timeout_seconds budget_seconds canary_rows cancel_running capture_id
    check_severity column_order compare_by consecutive default_grants dlq_ids drain drain_timeout_seconds drop_column
    drop_function edge_function_force edge_function_timeout_seconds edge_function_verify_jwt error_codes event_ids
    event_types gate incident incident_severities ingestion_jobs interval_seconds last ledger
    max_failures max_poison max_poison_share max_replays max_replica_lag_seconds max_rows max_share mode new_partitions
    of_action of_incident on_conflict on_failed_proof patience_seconds pause paused_passes payload_path
    period_hours poison proof proof_timeout_seconds protect quality_cleanup_rules rate_per_second reason recapture refresh rehearse
    rehearse_rows release release_digest release_schemas repair repairs require_tls required_jobs resume
    rules run_id schema_rollback_enabled smoke source_event source_files source_systems stores
    stuck_after_seconds takeover target_seconds thresholds time_zone transactions warn_passes window_clock window_end
    window_start
    """.split()  # noqa: SIM905  # a list of them would be a page
)
#: Programs and folders of this machine: only as the action `release_captured` says, which makes or finds them itself.
PROVIDED: t.Final = frozenset({"application_dir", "edge_function_cli", "edge_function_project", "pg_dump"})
NAME: t.Final = re.compile(r"[a-z0-9][a-z0-9_]*")
SANDBOXES: t.Final = ("embedded", "docker", "staging")
STEADY: t.Final = ("flowing", "gate", "nothing_paused", "jobs", "gold")
OPERATORS: t.Final = ("owner", "least_privileged")
VARIANTS: t.Final = ("faithful", "repaired", "deployed")
MEANWHILE: t.Final = ("kill_controller", "restart_server", "fail_over", "interrupt", "release_sessions", "fault")
#: What ends a playbook before its end.
ENDING: t.Final = ("kill_controller", "interrupt")
#: Phases with a budget; `paused` has the severity's response time by default.
BUDGETED: t.Final = ("paused", "recovered", "resumed")
DEFAULT_BUDGET_SECONDS: t.Final = 1800.0
#: An exit code that is only known not to be 0, and one that nobody minds.
FAILED: t.Final = "failed"
ANY: t.Final = "any"


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """The reference that is built; of a clone only the number of events counts."""

    variant: str = "faithful"
    events: int = 2000
    seed: int = 1


@dataclasses.dataclass(frozen=True)
class Meanwhile:
    """What happens while a playbook runs, as soon as a task begins."""

    task: re.Pattern[str]
    do: str
    fault: Action | None = None


@dataclasses.dataclass(frozen=True)
class Expect:
    """How a playbook has to end; None where nobody minds."""

    rc: int | str = 0
    changed: bool | None = None
    outcome: str | None = None
    #: The kind of its error.
    error: str | None = None
    #: What has to be on its screen.
    says: re.Pattern[str] | None = None


@dataclasses.dataclass(frozen=True)
class Play:
    """A playbook that is run as it is."""

    playbook: str
    path: Path
    vars: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    expect: Expect = Expect()
    operator: str | None = None
    #: Whose name stands in the ledger; the login by default.
    actor: str | None = None
    meanwhile: tuple[Meanwhile, ...] = ()
    together: tuple[Play, ...] = ()
    #: Of one that runs together with another: as soon as that begins this task; at the same time by default.
    after: re.Pattern[str] | None = None


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A file of drills/."""

    name: str
    title: str
    severity: str
    budget: Mapping[str, float]
    #: The phases whose budget the file names, which therefore have to come.
    demanded: tuple[str, ...]
    steps: tuple[Play | Action, ...]
    faults: tuple[Action, ...] = ()
    about: str = ""
    pipeline: Pipeline = Pipeline()
    events_per_second: float = 2.0
    operator: str = "owner"
    detected: str = "health"
    again: bool = True
    undo: bool = False
    redo: bool = False
    steady_state: tuple[str, ...] = STEADY
    sandboxes: tuple[str, ...] = SANDBOXES

    @property
    def plays(self) -> tuple[Play, ...]:
        """The playbooks among its steps."""
        return tuple(step for step in self.steps if isinstance(step, Play))


KEYS: t.Final = (
    *("title", "severity", "about", "pipeline", "load", "operator", "faults", "detected", "steps", "again"),
    *("undo", "steady_state", "budget", "sandboxes"),
)
PLAY_KEYS: t.Final = ("playbook", "vars", "expect", "operator", "actor", "while", "together")


def read(
    file: Path,
    *,
    playbooks: Path,
    faults: Registry,
    actions: Registry,
    known_severities: Mapping[str, t.Any] | None = None,
) -> Scenario:
    """The scenario in a file; BadInput that names all its mistakes."""
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        refuse_deep(given)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as e:
        raise BadInput(
            f"the scenario {file} cannot be read",
            said=str(e),
            next_step="correct the file; docs/drills.md describes it",
        ) from e
    return parse(given, file, playbooks=playbooks, faults=faults, actions=actions, known_severities=known_severities)


def parse(
    given: t.Any,
    file: Path,
    *,
    playbooks: Path,
    faults: Registry,
    actions: Registry,
    known_severities: Mapping[str, t.Any] | None = None,
) -> Scenario:
    """The same from what the file says."""
    at = Reader(file)
    if not NAME.fullmatch(file.stem):
        at.problems.append(f"the name {file.stem!r} is not of lower-case letters, digits and underscores")
    terms = severities(known_severities or {})
    found = at.mapping(WHOLE, given, KEYS)
    for name in ("title", "severity", "steps"):
        if found and name not in found:
            at.problems.append(f"{name} is missing")
    severity = at.text("severity", found["severity"], among=tuple(terms)) if "severity" in found else ""
    budget = dict.fromkeys(BUDGETED, DEFAULT_BUDGET_SECONDS)
    if severity in terms:
        budget["paused"] = terms[severity]["response_minutes"] * 60.0
    own = at.mapping("budget", found.get("budget", {}), BUDGETED)
    budget |= {name: float(at.number(under("budget", name), own[name], least=0.1, most=86400)) for name in own}
    load = at.mapping("load", found.get("load", {"events_per_second": 2}), ("events_per_second",))
    undo = found.get("undo", False)
    if undo != "redo" and not isinstance(undo, bool):
        at.wrong("undo", undo, "true, false or redo")
    made = Scenario(
        name=file.stem,
        title=at.text("title", found["title"]) if "title" in found else "",
        severity=severity,
        about=at.text("about", found["about"]) if "about" in found else "",
        pipeline=_pipeline(at, found.get("pipeline", {})),
        events_per_second=float(
            at.number("load.events_per_second", load.get("events_per_second", 0), least=0, most=1000)
        ),
        operator=at.text("operator", found.get("operator", "owner"), among=OPERATORS),
        faults=_faults(at, found.get("faults", []), faults),
        detected=at.text("detected", found.get("detected", "health"), among=("health", "at_once")),
        steps=_steps(at, found.get("steps", []), playbooks, faults, actions) if "steps" in found else (),
        again=at.yes("again", found.get("again", True)),
        undo=bool(undo),
        redo=undo == "redo",
        steady_state=at.texts("steady_state", found.get("steady_state", list(STEADY)), STEADY),
        budget=budget,
        demanded=tuple(own),
        sandboxes=at.texts("sandboxes", found.get("sandboxes", list(SANDBOXES)), SANDBOXES),
    )
    if "steps" in found and not made.plays and not at.problems:
        at.problems.append("steps has no playbook, so nothing would be drilled")
    if at.problems:
        raise BadInput(
            f"the scenario {file} cannot be used",
            said="; ".join(at.problems),
            next_step="correct the file; docs/drills.md describes it",
        )
    return made


def _pipeline(at: Reader, given: t.Any) -> Pipeline:
    found = at.mapping("pipeline", given, ("variant", "events", "seed"))
    return Pipeline(
        variant=at.text("pipeline.variant", found.get("variant", "faithful"), among=VARIANTS),
        events=int(at.number("pipeline.events", found.get("events", 2000), least=1, most=5_000_000, whole=True)),
        seed=int(at.number("pipeline.seed", found.get("seed", 1), least=0, most=2**31, whole=True)),
    )


def _faults(at: Reader, given: t.Any, known: Registry) -> tuple[Action, ...]:
    made = [at.action(key, value, known, "fault") for key, value in at.each("faults", given)]
    return tuple(action for action in made if action)


def _steps(at: Reader, given: t.Any, playbooks: Path, faults: Registry, actions: Registry) -> tuple[Play | Action, ...]:
    made: list[Play | Action | None] = []
    for key, value in at.each("steps", given):
        if isinstance(value, dict) and "do" in value:
            step = at.mapping(key, value, ("do",))
            made.append(at.action(under(key, "do"), step["do"], {**faults, **actions}, "action"))
        else:
            made.append(_play(at, key, value, PLAY_KEYS, playbooks, faults))
    return tuple(step for step in made if step)


def _refuse_variables(at: Reader, key: str, variables: dict[t.Any, t.Any], *, of_a_team: bool) -> None:
    """No play of a scenario leads anywhere but to the sandbox, or has a program or a file of this machine that the author chose, and
    none of its values is a template. What a playbook of a team's own calls its variables is the team's affair."""
    for name, value in variables.items():
        if name in PROVIDED:
            if value != f"{{{name}}}":
                at.wrong(under(key, name), value, f'"{{{name}}}", as release_captured provides it')
        elif name not in GIVEN and not (of_a_team and name not in frozenset[str]().union(*extra_vars.known())):
            at.wrong(under(key, name), value, "a scenario's to give: docs/drills.md says which variables are")
        elif LEADS.fullmatch(str(name)):
            at.wrong(under(key, name), value, "a scenario's to give: a drill works on its sandbox alone")
        elif "{{" in repr(value) or "{%" in repr(value):
            at.wrong(under(key, name), value, "a plain value")


def _play(at: Reader, key: str, given: t.Any, known: tuple[str, ...], playbooks: Path, faults: Registry) -> Play | None:
    found = at.mapping(key, given, known)
    if "playbook" not in found:
        at.problems.append(
            f"{key} has neither playbook nor do" if "together" in known else f"{key}.playbook is missing"
        )
        return None
    playbook = at.text(under(key, "playbook"), found["playbook"])
    path = _path(at, under(key, "playbook"), playbook, playbooks)
    meanwhile = tuple(
        _meanwhile(at, name, entry, faults) for name, entry in at.each(under(key, "while"), found.get("while", []))
    )
    others = at.each(under(key, "together"), found.get("together", []))
    keys = (*(name for name in PLAY_KEYS if name != "together"), "after")
    together = [_play(at, name, entry, keys, playbooks, faults) for name, entry in others]
    variables = found.get("vars", {})
    if not isinstance(variables, dict):
        at.wrong(under(key, "vars"), variables, "a mapping of extra variables")
    else:
        of_a_team = path.resolve().parent != playbooks.resolve()
        _refuse_variables(at, under(key, "vars"), t.cast("dict[t.Any, t.Any]", variables), of_a_team=of_a_team)
    ended = any(event.do in ENDING for event in meanwhile)
    operator, actor = found.get("operator"), found.get("actor")
    return Play(
        playbook=Path(playbook).stem,
        path=path,
        vars=t.cast("dict[str, t.Any]", variables) if isinstance(variables, dict) else {},
        expect=_expect(at, under(key, "expect"), found.get("expect", {}), FAILED if ended else 0),
        operator=None if operator is None else at.text(under(key, "operator"), operator, among=OPERATORS),
        actor=None if actor is None else at.text(under(key, "actor"), actor),
        meanwhile=meanwhile,
        together=tuple(other for other in together if other),
        after=at.pattern(under(key, "after"), found["after"]) if "after" in found else None,
    )


def _path(at: Reader, key: str, playbook: str, playbooks: Path) -> Path:
    """A bare name is a playbook of the collection; anything else is relative to the scenario's file."""
    bare = "/" not in playbook and not playbook.endswith((".yml", ".yaml"))
    path = playbooks / f"{playbook}.yml" if bare else (at.file.parent / playbook)
    if playbook and not path.is_file():
        known = sorted(each.stem for each in playbooks.glob("*.yml")) if bare else []
        hint = f"one of {', '.join(known)}" if known else f"a file beside {at.file.name}"
        at.wrong(key, playbook, hint)
    return path


def _expect(at: Reader, key: str, given: t.Any, rc: int | str) -> Expect:
    found = at.mapping(key, given, ("rc", "changed", "outcome", "error", "says"))
    wanted = found.get("rc", rc)
    if wanted not in (FAILED, ANY):
        wanted = int(at.number(under(key, "rc"), wanted, least=0, most=255, whole=True))
    return Expect(
        rc=wanted,
        changed=at.yes(under(key, "changed"), found["changed"]) if "changed" in found else None,
        outcome=at.text(under(key, "outcome"), found["outcome"]) if "outcome" in found else None,
        error=at.text(under(key, "error"), found["error"]) if "error" in found else None,
        says=at.pattern(under(key, "says"), found["says"]) if "says" in found else None,
    )


def _meanwhile(at: Reader, key: str, given: t.Any, faults: Registry) -> Meanwhile:
    found = at.mapping(key, given, ("task", "do", "fault"))
    if "task" not in found:
        at.problems.append(f"{key}.task is missing")
    do = at.text(under(key, "do"), found.get("do", "fault" if "fault" in found else None), among=MEANWHILE)
    fault = at.action(under(key, "fault"), found["fault"], faults, "fault") if "fault" in found else None
    if (do == "fault") != ("fault" in found):
        at.problems.append(f"{key} gives {'no fault' if do == 'fault' else 'a fault that is not done'}")
    return Meanwhile(at.pattern(under(key, "task"), found.get("task", "never")), do, fault)
