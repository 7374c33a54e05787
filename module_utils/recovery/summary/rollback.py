# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of a release that is captured or rolled back to: schema, data and application, for a person and a machine."""

from __future__ import annotations

import typing as t

from ..core.text import count, in_words
from ..core.times import readable
from . import gate as summary_gate

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Result = dict[str, t.Any]

OPERATION: t.Final = "rollback"
CAPTURE: t.Final = "capture_release"
AGAIN: t.Final = "run the same command again: it runs the gate, then resumes"
ROLLBACK: t.Final = "ansible-playbook scout.recovery.rollback"
FEW: t.Final = 3
#: Steps that have a line of their own.
SILENT: t.Final = frozenset({"commit", "revert", "deploy", "gate"})

#: Of a capture, as its module returns it.
CAPTURED: t.Final = (
    *("release", "capture_id", "digest", "captured_at", "git_commit", "objects", "kinds"),
    *("compared", "differs", "differing", "protected", "release_file"),
)
#: Of the schema, as its module returns it; of the branch; of the edge function.
SCHEMA: t.Final = (
    *("run_id", "release", "goal", "capture_id", "digest", "captured_at", "git_commit", "step_count", "objects", "lock", "hazard"),
    *("loses", "saved", "leaving_rows", "empty", "filled", "impossible", "blocks_undo", "before"),
    *("attempts", "seconds", "rehearsal", "kept_disabled", "undo"),
    *("newer", "obstacles", "refused", "failed_step", "differs", "reordered", "stays", "copies"),
)  # fmt: skip
REVERT: t.Final = ("branch", "remote", "tip", "target", "commit", "pushed", "reverted")
DEPLOY: t.Final = ("functions", "project_ref", "commit", "previous_commit", "verify_jwt", "run_id")


def of_schema(result: Mapping[str, t.Any]) -> bool:
    """Whether this is a schema that was rolled back to a capture, or would be; an undo may be that, too."""
    return result.get("operation") == "rollback"


def with_rehearsal(result: Result, plan: Result) -> Result:
    """A result with the rehearsal there was before anything was paused."""
    wanting = of_schema(result) and not result.get("rehearsal")
    return result | {"rehearsal": plan.get("rehearsal")} if wanting else result


def with_refusal(result: Result) -> Result:
    """A check of what would be refused, with the refusal as its error; any other result as it is."""
    refused = result.get("refused")
    if not refused:
        return result
    warnings: list[str] = result.get("warnings") or []
    others = [text for text in warnings if not text.startswith(refused["attempted"])]
    return {**result, "error": refused, "warnings": others}


def as_document(
    result: Mapping[str, t.Any], ran: Mapping[str, Result], left_out: Mapping[str, str], *, asked: bool
) -> Result | None:
    """What was rolled back, for a machine; None where nothing was to. Statements are left to --diff."""
    if not asked and not of_schema(result):
        return None
    steps: list[Result] = result.get("steps") or []
    return {
        "schema": {
            **{name: result.get(name) for name in SCHEMA},
            "steps": [{name: step[name] for name in ("does", "key", "lock", "hazard")} for step in steps],
        }
        if result
        else None,
        "revert": _chosen(ran.get("revert"), REVERT),
        "deploy": _chosen(ran.get("deploy"), DEPLOY),
        "left_out": dict(left_out),
    }


def _chosen(result: Mapping[str, t.Any] | None, names: tuple[str, ...]) -> Result | None:
    return {name: result.get(name) for name in names} if result else None


def parts(
    result: Mapping[str, t.Any], ran: Mapping[str, Result], left_out: Mapping[str, str], *, check: bool
) -> dict[str, str]:
    """To what the schema was rolled back and what that takes, what became of data, the application, and what was
    left out."""
    made: dict[str, str] = {}
    if of_schema(result):
        made["back"] = "; ".join(_back(result, check=check))
        made["data"] = "; ".join(_data(result, check=check))
        made["beware"] = _undo_ends(result, check=check)
    application = [name for name in ("revert", "deploy") if name in ran and not ran[name].get("failed")]
    made["app"] = "; ".join(_application(name, ran[name], check=check) for name in application)
    made["left"] = "; ".join(f"{name}, as {why}" for name, why in left_out.items())
    return made


def _back(result: Mapping[str, t.Any], *, check: bool) -> Iterator[str]:
    """`to v5.2.1 of 2026-11-25 01:02 UTC, digest 3f2a9c1e0b12`, then what the rollback takes, or took."""
    captured = readable(result.get("captured_at"))[:16]
    of = f" of {captured} UTC" if captured else ""
    yield f"to {result.get('goal') or 'the capture'}{of}, digest {str(result.get('digest') or '')[:12]}"
    if reordered := result.get("reordered"):
        yield f"columns in another order than captured: {_few([key.partition(':')[2] for key in reordered])}"
    if stays := result.get("stays"):
        yield f"new partitions stay: {_few([key.partition(':')[2] for key in stays])}"
    if not result["step_count"]:
        return
    if check:
        from ..release.ddl.statement import Cost

        saved = result.get("hazard") == Cost.LOSES and not result.get("loses")
        effect = "drops data that is saved first" if saved else result.get("hazard")
        yield f"strongest lock {result.get('lock') or 'none'}, worst effect {effect}"
    for each in result.get("copies") or () if check else ():
        yield f"{each['relation']} copied: about {count(each['rows'], 'row')}, locked about {in_words(each['locked_seconds'])}"
    if attempts := result.get("attempts"):
        yield f"yielded to other sessions {count(attempts, 'time')}"
    rehearsal: Result = result.get("rehearsal") or {}
    if rehearsal.get("done"):
        rows = f", on {count(rehearsal['rows'], 'row')} too" if rehearsal.get("rows") else ""
        yield f"rehearsed in {in_words(rehearsal['seconds'])}{rows}"
    elif rehearsal:
        yield f"not rehearsed: {rehearsal.get('reason')}"


def _data(result: Mapping[str, t.Any], *, check: bool) -> Iterator[str]:
    """How many rows go, and which data was saved before it was dropped, restored, is empty, or is lost."""
    if leaving := result.get("leaving_rows"):
        yield f"rows that leave the live tables: {leaving:,} (saved)"
    for name, would, did in (
        ("saved", "would be saved before it is dropped", "saved before it was dropped"),
        ("filled", "would be restored", "restored"),
    ):
        rows: list[Result | str] = result.get(name) or []
        if rows:
            yield f"{would if check else did}: {_few([_table(row) for row in rows])}"
    for name, words in (("empty", "would be restored empty" if check else "restored empty"), ("loses", "lost")):
        keys: list[str] = result.get(name) or []
        if keys:
            yield f"{words}: {_few([_readable(key) for key in keys])}"


def _undo_ends(result: Mapping[str, t.Any], *, check: bool) -> str:
    """Until when the rollback can be undone, where its plan knows."""
    keys: list[str] = result.get("blocks_undo") or []
    if not keys:
        return ""
    text = f"an undo is refused after the next insert: NOT NULL without a default: {', '.join(map(_readable, keys))}"
    return f"{text}; add a default first to keep it possible" if check else text


def _readable(key: str) -> str:
    # Every operation makes its summary here, and few are about a release, which takes long to load.
    from ..release.captures import document

    return document.readable(key)


def _table(row: Mapping[str, t.Any] | str) -> str:
    """`schema.table (team) 120 rows`; how many is known once they were saved or are back."""
    if isinstance(row, str):
        return _readable(row)
    columns: list[str] = row.get("columns") or []
    which = f" ({_few(columns)})" if columns else ""
    return f"{row['relation']}{which}" + (f" {count(row['rows'], 'row')}" if "rows" in row else "")


def _few(what: list[str]) -> str:
    more = f" and {len(what) - FEW} more" if len(what) > FEW else ""
    return f"{', '.join(what[:FEW])}{more}"


def _application(step: str, result: Mapping[str, t.Any], *, check: bool) -> str:
    """What happened to the branch or to the functions, shorter than the task says it if something was done."""
    if check or not result.get("changed"):
        return str(result.get("summary", ""))
    commit = str(result.get("commit") or "")[:10]
    if step == "deploy":
        return f"{', '.join(result['functions'])} deployed from {commit}"
    pushed = "pushed" if result.get("pushed") else "not pushed"
    return f"{result['branch']} reverted by {commit}, {pushed}, to the tree of {result['target'][:10]}"


def gate(result: Mapping[str, t.Any]) -> dict[str, str]:
    """What the gate says, which is one of many steps here: on one line where it passes."""
    if not result.get("ok"):
        return {"gate" if name == "found" else name: text for name, text in summary_gate.parts(result).items()}
    smoke: Result = result.get("smoke") or {}
    sale = "; a test sale went through" if smoke.get("status") == "pass" else ""
    return {"gate": str(result["summary"]).rpartition("; ")[2] + sale}


def how_to_undo(ran: Mapping[str, Result]) -> list[str]:
    """The command that undoes the application's rollback; none if nothing was done."""
    revert, deploy = ran.get("revert", {}), ran.get("deploy", {})
    known = (
        revert.get("tip") if revert.get("changed") else None,
        deploy.get("previous_commit") if deploy.get("changed") else None,
    )
    was = next(filter(None, known), None)
    if not was:
        return []
    # Unless the revert is pushed, no commit of the branch touches the functions.
    functions: list[str] = deploy["functions"] if deploy.get("changed") and not revert.get("pushed") else []
    named = f" -e scout_edge_functions={','.join(functions)}" if functions else ""
    return [f"{ROLLBACK} -e scout_schema_rollback_enabled=false -e scout_application_commit={was[:12]}{named}"]


def what_next(ran: Mapping[str, Result]) -> list[str]:
    """What is left to do where no step failed: what the gate asks for, or the push that was not asked for."""
    gate = ran.get("gate", {})
    if gate and not gate.get("ok"):
        if gate["verdict"] == "paused":
            return [
                f"if the warnings are acceptable, run the same command with -e scout_warn_passes=true; otherwise fix them, then {AGAIN}"
            ]
        # It was asked while we held the pause: that is no cause.
        causes: list[Result] = gate.get("diagnoses") or []
        others = [cause for cause in causes if cause["next_command"] != summary_gate.RESUME]
        *wanted, _ = summary_gate.what_next({**gate, "diagnoses": others})
        return [*(wanted or [summary_gate.ASSESS]), AGAIN]
    push = str(ran.get("revert", {}).get("push_command") or "")
    reload = str(ran.get("proof", {}).get("reload", ""))
    return [text for text in (push, reload) if text]


def _of_capture(result: Mapping[str, t.Any]) -> bool:
    """Whether this is what a capture came to, or would."""
    return result.get("operation") == "capture"


def captured(result: Mapping[str, t.Any]) -> Result | None:
    """The capture for a machine; None where there was none, or where it came to nothing."""
    return {name: result[name] for name in CAPTURED} if _of_capture(result) else None


def capture_parts(result: Mapping[str, t.Any]) -> dict[str, str]:
    """What it has, and what differs from the capture before, each on lines of its own; a refusal says it in its own words."""
    if not _of_capture(result) or result.get("failed"):
        return {}
    from ..release.captures import document

    return {"holds": document.counted(result["kinds"]), "since": _since(result)}


def _since(result: Mapping[str, t.Any]) -> str:
    compared: Result = result["compared"] or {}
    differs: Result = result["differs"] or {}
    if not compared or not result["differing"]:
        return ""
    from ..release.captures import document

    changes = document.Changes(
        added=tuple(differs["added"]),
        dropped=tuple(differs["dropped"]),
        renamed=tuple((old, new) for old, new in differs["renamed"]),
        changed={key: tuple(names) for key, names in differs["changed"].items()},
    )
    return f"{compared['release']} of {readable(compared['captured_at'])[:16]} UTC: {changes.first()}"


def after_capture() -> list[str]:
    """What to do once it is captured."""
    return [f"deploy, then {summary_gate.GATE}"]
