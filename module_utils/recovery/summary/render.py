# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened, in the few lines a tired person reads and in the one document a pipeline parses."""

from __future__ import annotations

import re
import typing as t

from ..core import advice
from ..core.text import count, cut
from ..core.values import as_list
from ..scout import contract
from . import drill, gate, layout, moves, proof, report, rollback
from .operation import CANNOT_TELL, GOOD, NOTHING_DONE, STILL_FAILING, Result, ResultDocument, Story, went_wrong

FORMAT: t.Final = "scout-recovery-result/1"
#: A playbook that an error names, as a person types it; one that needs options and has none is no command.
_INCOMPLETE: t.Final = r"(?!(?:incident_report|undo|quarantine|capture_release)\.yml(?! -e ))"
PLAYBOOK: t.Final = re.compile(rf"(?<![\w/.]){_INCOMPLETE}(\w+)\.yml\b(?!(?: -e \S+)*? -e \S*…)")
RESET: t.Final = "ansible-playbook scout.recovery.emergency_reset"
ASSESS: t.Final = "ansible-playbook scout.recovery.assess"
RESUME: t.Final = "ansible-playbook scout.recovery.resume_ingestion"
#: After a check that found something to do.
CARRY_OUT: t.Final = "run it without --check"
FEW: t.Final = 3
#: After a step that ended without words of ours.
#: How a cause begins that keeps no job from working.
OF_THE_SOURCES: t.Final = "no new event arrives"
CRASHED: t.Final = f"{ASSESS} shows how the pipeline is now; fix what failed, then run the same command again"


def document(story: Story) -> ResultDocument:
    """The result for a machine; its schema is docs/result.schema.json."""
    failure = story.failure
    names = list(story.steps)
    return {
        "format": FORMAT,
        "operation": story.operation,
        "host": story.host,
        "database": story.database,
        "incident": story.incident,
        "check_mode": story.check,
        "outcome": story.outcome,
        "ok": story.outcome in GOOD,
        "changed": story.changed,
        "ingestion": story.state,
        "verdict_before": story.before.get("verdict"),
        "verdict_after": story.after.get("verdict_when_running" if story.state == "running" else "verdict"),
        "steps": [
            {
                "name": name,
                "changed": bool(r.get("changed")),
                "failed": bool(r.get("failed")),
                "summary": r.get("msg") if r.get("failed") else r.get("summary", ""),
                "run_id": r.get("run_id"),
                "effects": r.get("effects", {}),
            }
            for name, r in sorted(story.ran.items(), key=lambda item: names.index(item[0]))
        ],
        "indicators": story.after.get("indicators", []),
        "diagnoses": story.after.get("diagnoses", []) or story.gate.get("diagnoses", []),
        "blockers": story.after.get("blockers", []),
        "cannot_tell": as_list(story.after.get("cannot_tell")),
        "poison": story.ran.get("drain", {}).get("poison", []) or story.move.get("poison", []),
        "move": None if story.goes_back else moves.as_document(story.move),
        "runs": as_list(story.ran.get("runs", {}).get("runs")),
        "gate": gate.as_document(story.gate),
        "release": rollback.captured(story.capture),
        "rollback": rollback.as_document(story.move, story.ran, story.left_out, asked=story.goes_back),
        "dead_letters": moves.queue_as_document(story.ran.get(moves.QUEUE, {})),
        "drill": drill.as_document(story.drill),
        "proof": proof.as_document(story.ran),
        "evidence": story.ran.get("evidence", {}).get("folder"),
        "warnings": _warnings(story),
        "error": failure.get("error") if failure else None,
        "undo": "; ".join(_undo(story)),
        "undo_commands": advice.commands(_undo(story)),
        "next": [advice.plain(each) for each in _next(story)],
        "advice": advice.words(_next(story)),
        "commands": advice.commands(_next(story)),
    }


def lines(story: Story) -> list[str]:
    """Twenty lines of 79 columns: what was wrong, what was done, the state now, how to undo it, what next.
    There are more where the reason of a failure, the next steps or a list of runs need them."""
    if story.drill and story.failure is None:
        return drill.lines(story.drill, check=story.check)
    title = story.title
    if story.incident != "adhoc":
        title += f", incident {story.incident}"
    headline = cut(title, layout.WIDTH)
    if story.operation == "runs" and story.failure is None:
        return [headline, *moves.table(as_list(story.ran.get("runs", {}).get("runs")))]
    bodies, way_back = _bodies(story, layout.WIDTH - layout.INDENT)
    return [headline, *layout.fitted(bodies, way_back, layout.WIDTH, "causes" if story.verbose else "")]


def _bodies(story: Story, room: int) -> tuple[dict[str, list[str]], int]:
    """The lines of each part, none wider than `room`, and how many of `undo` are commands."""
    parts = {
        "found" if story.operation == "assess" else "was": _was(story),
        "causes": "",
        "today": "",
        **rollback.parts(story.move, story.ran, story.left_out, check=story.check),
        **rollback.capture_parts(story.capture),
        "chose": moves.selected(story.move),
        "would" if story.check else "did": _did(story),
        "who": moves.ended(story.operation, story.ran),
        "rows": moves.rows(story.move),
        "below": _below(story),
        "clash": moves.conflicts(story.move),
        "files": "",
        **(rollback.gate(story.gate) if story.goes_back else gate.parts(story.gate)),
        "now": proof.unproven(story.ran, _now(story)),
        "proof": proof.words(story.ran, story.failure),
        "failed": _failed(story),
        "warn": "; ".join(_warnings(story)),
        "undo": "; ".join(part for part in _undo(story) if part not in _unbroken(story)),
        "next": "; then ".join(_next(story)).replace(";; then ", "; then "),
    }
    near = f"{story.folder}/" if story.folder else ""
    if near:
        parts = {name: text.replace(near, "") for name, text in parts.items()}
    parts = {name: story.told(text) for name, text in parts.items()}
    bodies = {name: layout.wrapped(text, room) for name, text in parts.items()}
    way_back = [line for command in _unbroken(story) for line in layout.folded(story.told(command), room)]
    bodies["undo"] = [*way_back, *bodies["undo"]]
    most = None if story.verbose else layout.PART_LINES + layout.MORE_LINES["causes"]
    bodies["causes"] = layout.numbered([story.told(each) for each in _causes(story)], room, most)
    bodies["today"] = _unusual(story, room)
    bodies["files"] = [path.removeprefix(near) for path in report.files(story.ran)]
    return {name: body for name, body in bodies.items() if body}, len(way_back)


def _was(story: Story) -> str:
    """The first assessment; for a reset with the likeliest cause, which an assessment has a line of its own for."""
    text = story.before.get("summary", "")
    causes = as_list(story.before.get("diagnoses"))
    if not causes or not text:
        return text
    if story.operation == "assess":
        return "healthy now, but:" if text == "healthy" else text
    more = f"; and {count(len(causes) - 1, 'more cause')}: -v" if len(causes) > 1 else ""
    return f"{causes[0]['cause']}{more} ({text})"


def _unusual(story: Story, room: int) -> list[str]:
    """What an assessment found unusual about the sales of the last 24 hours, a line each."""
    if story.operation != "assess" or not story.before:
        return []
    from ..health import unusual

    if "unusual" in as_list(story.before.get("unread")):
        return ["not checked: whether the sales of the last 24 hours are unusual"]
    return [cut(line, room) for line in unusual.table(as_list(story.before.get("unusual")))]


def _below(story: Story) -> str:
    """How old the dashboards that read refreshed views may be."""
    views = [
        contract.bare(each["name"])
        for each in as_list(story.ran.get("refresh_gold", {}).get("refreshed"))
        if not each.get("error")
    ]
    if not views or story.check:
        return ""
    more = f" and {len(views) - FEW} more" if len(views) > FEW else ""
    return f"dashboards may show {', '.join(views[:FEW])}{more} as before for up to 24 h, as Superset caches them"


def _causes(story: Story) -> list[str]:
    """What an assessment found, most blocking first; for a reset only where everything is asked for."""
    causes = as_list(story.before.get("diagnoses")) if story.operation == "assess" or story.verbose else []
    return [f"{c['rank']}. {c['cause']} ({c['evidence']})" for c in causes]


def _did(story: Story) -> str:
    if story.operation in ("assess", "preflight", gate.OPERATION):
        return ""
    if story.operation == report.OPERATION:
        return report.written(story.ran, check=story.check)
    silent = proof.SILENT | rollback.SILENT
    steps = {n: r for n, r in story.ran.items() if n not in silent}
    told = [str(steps["notify"]["summary"])] if steps.get("notify", {}).get("summary") else []
    done = [r["summary"] for r in steps.values() if r.get("changed") and not r.get("failed") and r.get("summary")]
    if done:
        # That nobody was notified changes nothing, and is what nobody expects.
        done += [text for text in told if text not in done]
        return "; ".join(text.removeprefix("would ") for text in done) if story.check else "; ".join(done)
    if story.failure is not None:
        return ""
    if story.operation == "emergency_reset":
        return story.nothing_done
    told = [str(r["summary"]) for r in steps.values() if r.get("summary")]
    return "; ".join(text.removeprefix("would ") if story.check else text for text in told)


def _now(story: Story) -> str:
    text = _ingestion(story)
    if story.check:
        return "nothing was written" if story.state == "unknown" else f"nothing was written; {text}"
    if story.operation == "preflight" and story.failure is None:
        made = story.ran.get("preflight", {})
        hindered = [f"job {each['job']} cannot work: {each['problem']}" for each in as_list(made.get("hindered"))]
        return f"{made.get('summary', '')}: {'; '.join(hindered) or 'nothing is missing'}"
    if story.state == "unknown":
        return _now_unseen(story)
    if story.operation == rollback.CAPTURE:
        return f"pipeline unchanged; {text}"
    indicators = as_list(story.after.get("indicators"))
    failing = as_list(story.after.get("failing")) or [i["name"] for i in indicators if i["status"] == "fail"]
    if story.state == "running" and indicators:
        unknown = as_list(story.after.get("cannot_tell"))
        good = "" if unknown else ", nothing is failing"
        text += f", still failing: {', '.join(failing)}" if failing else good
        text += f"; cannot tell: {'; '.join(unknown)}" if unknown else ""
    if story.outcome == "left_paused":
        reasons = {i["name"]: i["reason"] for i in indicators if i["reason"]}
        named = [f"{name} ({reasons[name]})" if name in reasons else name for name in story.after["blockers"]]
        text += f"; not resumed because of {', '.join(named)}"
    return text


def _ingestion(story: Story) -> str:
    """How ingestion is; of a pause, whose it is."""
    text = f"ingestion is {story.state}"
    if story.state == "running" and (off := _off(story)):
        text += f" without {', '.join(off)}"
    ingestion = story.after.get("ingestion") or story.gate.get("ingestion") or story.seen
    resumed = story.ran.get("resume", {})
    if story.state == "paused" and ingestion.get("paused_by") and not resumed.get("changed"):
        why = f": {ingestion['reason']}" if ingestion.get("reason") else ""
        text += f" (by {ingestion['paused_by']} for {ingestion['incident']}{why})"
    elif story.moving and story.state == "paused" and resumed.get("paused_by"):
        text += f" (by {resumed['paused_by']})"
    return text


def _off(story: Story) -> list[str]:
    """The jobs that are off although ingestion is running, by the last step that looked."""
    resumed = story.ran.get("resume", {})
    if resumed.get("state"):
        return [job["jobname"] for job in as_list(resumed.get("jobs")) if job.get("after") is False]
    seen = story.after.get("ingestion") or story.gate.get("ingestion") or story.seen
    return as_list(seen.get("off"))


def _now_unseen(story: Story) -> str:
    """Of ingestion, where no step could look at it."""
    if {"pause", "resume", "drain"} & story.ran.keys() and not (story.moving and "pause" not in story.ran):
        return "ingestion state unknown"
    if story.changed and story.operation != rollback.CAPTURE:
        return "ingestion unchanged" + ("; whether it is PAUSED or RUNNING could not be seen" if story.failure else "")
    unchanged = "pipeline unchanged" if story.operation == rollback.CAPTURE else "nothing was changed"
    return unchanged + ("; ingestion could not be seen: PAUSED or RUNNING" if story.failure else "")


def _failed(story: Story) -> str:
    """Each step that failed, a pause that could not be made because of another first; a proof only where it came to that."""
    wrong = [_failure(n, r) for n, r in story.ran.items() if went_wrong(r) and (n != proof.PROOF or r is story.failure)]
    wrong += [] if wrong or story.began else [_failure("", NOTHING_DONE)]
    return "; ".join(dict.fromkeys(reversed(wrong) if proof.urgent(story.ran) else wrong))


def _failure(name: str, failure: Result) -> str:
    error = failure.get("error")
    if not error:
        return f"step {name.replace('_', ' ')}: {failure.get('msg', 'it says nothing')}"
    text = str(error["attempted"])
    text += f" on {error['on']}" if error["on"] else ""
    text += f": {error['said']}" if error["said"] else ""
    return text + (f" (SQLSTATE {error['sqlstate']})" if error["sqlstate"] else "")


def _warnings(story: Story) -> list[str]:
    told = [str(w) for r in story.ran.values() for w in as_list(r.get("warnings"))]
    if story.operation == "assess":
        told += [str(note) for note in as_list(story.before.get("notes"))]
    return list(dict.fromkeys(told))


def _unbroken(story: Story) -> list[str]:
    """Commands that undo what was moved or rolled back, in the order in which they are typed."""
    moved = [] if story.check else moves.how_to_undo(story.operation, story.move, story.ran)
    return [*moved, *([] if story.check else rollback.how_to_undo(story.ran))]


def _undo(story: Story) -> list[str]:
    """How to undo what was done."""
    if story.check:
        return []
    parts = _unbroken(story)
    if story.state in ("paused", "pausing") and _ours(story):
        parts.append(f"{RESUME} re-enables the jobs")
    elif story.operation == "resume_ingestion" and story.changed and story.state == "running":
        parts.append("ansible-playbook scout.recovery.pause_ingestion")
    drained: Result = story.ran.get("drain", {})
    poison = as_list(drained.get("poison")) or as_list(drained.get("drained", {}).get("poison"))
    if poison:
        kept = f"{count(len(poison), 'poison event')} quarantined in {contract.names().dead_letters}"
        parts.append(kept + (f" (run {drained['run_id']})" if drained.get("run_id") else ""))
    if story.changed and not parts and story.outcome == "recovered":
        parts.append("nothing to undo: no data was removed")
    return parts


def _ours(story: Story) -> bool:
    """Whether the pause in force was made by this operation, now or when it was interrupted."""
    return any(story.ran.get(name, {}).get("changed") for name in ("pause", "unfinished", "pause_again"))


def _next(story: Story) -> list[str]:
    """Commands and advice in the order in which to follow them; a playbook that a text names alone is a command."""
    return [PLAYBOOK.sub(r"ansible-playbook scout.recovery.\1", each) for each in _following(story)]


def _following(story: Story) -> list[str]:
    if story.failure is not None:
        return _after_failing(story, story.failure)
    if story.operation == "preflight" or (story.gate and not story.goes_back):
        return _after_looking(story)
    if story.check:
        return [CARRY_OUT] if story.changed else []
    if story.capture:
        return rollback.after_capture()
    causes: list[str] = [d["next_command"] for d in as_list(story.after.get("diagnoses"))]
    causes = causes or moves.after_listing(story.ran)
    if story.outcome == "left_paused":
        return [*[c for c in causes if not c.startswith((RESUME, RESET))][:1], RESET]
    if story.outcome == "left_paused_as_told" or (story.operation == "pause_ingestion" and story.state == "paused"):
        return [f"{RESUME} when ready"]
    if story.outcome == "left_paused_for_another":
        who = story.after["ingestion"].get("paused_by")
        return [f"ask {who or 'whoever disabled the jobs'}, or {RESUME}" + (" -e scout_takeover=true" if who else "")]
    if story.moving:
        return _after_moving(story)
    if story.outcome in ("recovered", STILL_FAILING, CANNOT_TELL) and story.changed:
        # They were found while it was still paused; and what was deployed lets it recover.
        causes = [
            command
            for command in causes
            if not command.startswith((RESET, RESUME)) and rollback.ROLLBACK not in command
        ]
    return causes[:1] or _untold(story)


def _untold(story: Story) -> list[str]:
    """What is left where nothing is known to be wrong, and not all could be told."""
    more = f"{ASSESS} tells more once an event has arrived, or once what hinders a look is gone"
    return [more] if story.outcome == CANNOT_TELL else []


def _after_looking(story: Story) -> list[str]:
    """What a preflight or a gate asks for."""
    if story.operation == "preflight":
        made = story.ran.get("preflight", {})
        return [f"{each['statement']};" for each in as_list(made.get("hindered"))]
    return gate.what_next(story.gate)


def _after_failing(story: Story, failure: Result) -> list[str]:
    """What the error says, and the command that continues from there."""
    error: Result = failure.get("error") or {}
    step = str(error.get("next_step") or ("" if error else CRASHED))
    step = step or f"{ASSESS} names likely causes; fix what PostgreSQL reports, then run the same command again"
    again = ["run the same command again"] if story.moving and "again" not in step else []
    if story.moving == "undo" and error.get("kind") == "bad_input" and "runs.yml" not in step:
        again.append(f"{moves.RUNS} lists the runs")
    if any(went_wrong(story.ran.get(name, {})) for name in ("drain", "refresh_gold")) and not story.goes_back:
        # What the pipeline's own functions cannot do may be what a deployment did to them.
        again += [
            c["next_command"] for c in as_list(story.before.get("diagnoses")) if rollback.ROLLBACK in c["next_command"]
        ]
    # Of a change nobody knows whether it was meant: no cause is put before its own two commands.
    if story.ran.get("proof") is failure and failure.get("status") != "changed":
        # What keeps the jobs from working may have been seen by the assessment, with the statement that changes it.
        seen = as_list((story.after or story.before).get("diagnoses"))
        known = [str(c["next_command"]) for c in seen if not str(c["cause"]).startswith(OF_THE_SOURCES)]
        first = [c for c in known if not c.startswith((RESET, RESUME)) and c.rstrip("; ") not in step][:1]
        step = "; ".join([*(c.rstrip("; ") for c in first), step])
    return [*proof.urgent(story.ran), step, *again]


def _after_moving(story: Story) -> list[str]:
    """What is left to do after rows moved, or schemas were rolled back."""
    if not story.goes_back:
        return [*moves.what_next(story.moving, story.move, story.incident), *_resume_by_hand(story)]
    asked = rollback.what_next(story.ran)
    return asked if story.outcome == gate.NOT_PASSED else [*asked, *_resume_by_hand(story)]


def _resume_by_hand(story: Story) -> list[str]:
    """What is left to do where a move ended with ingestion paused."""
    if story.state not in ("paused", "pausing"):
        return []
    if _ours(story):
        return [f"{RESUME} when ready"]
    paused = next((r for r in reversed(story.ran.values()) if r.get("paused_by")), dict[str, t.Any]())
    if not paused:
        return [f"ask whoever disabled the jobs, or {RESUME}"]
    if not paused.get("paused_by_another"):
        return [f"{RESUME} when ready"]
    return [f"ask {paused['paused_by']}, or {RESUME} -e scout_takeover=true"]
