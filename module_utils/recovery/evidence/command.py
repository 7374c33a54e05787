# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands for evidence, from options to a result: take a snapshot, and verify what was taken."""

from __future__ import annotations

import datetime
import os
import re
import typing as t
from pathlib import Path

from ..core import place, redaction, subprocesses
from ..core.errors import BadInput, ConnectionFailed, ConnectionLost, DatabaseError, NotConverged, RecoveryError
from ..core.progress import Progress
from ..core.results import ModuleResult
from ..core.text import count, in_words
from ..invoke import Call, check_options, known_secrets
from ..ledger import bootstrap, servers
from ..ledger.trust import audit as trail
from ..ledger.trust import kept_evidence, ownership, signatures
from ..pipeline import expected
from ..postgres.driver import psycopg
from ..postgres.failures import attempting, translate
from ..postgres.session import ADHOC, open_session
from ..postgres.times import window_of
from . import archive, audit, collect, sending
from . import verify as verification

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..invoke import Params, WithoutSession

#: How long redacting and writing may take besides reading.
HANDLING_SECONDS: t.Final = 15.0
#: How long reading may take at least.
READING_SECONDS: t.Final = 1.0
DIGEST: t.Final = re.compile(r"[0-9a-f]{64}")
HEAD: t.Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
#: How many problems are named in a line; all are in the result.
FEW: t.Final = 5


class EvidenceResult(ModuleResult):
    """What scout_evidence returns."""

    folder: str | None
    files: list[dict[str, t.Any]]
    manifest_sha256: str | None
    number: int | None
    absent: dict[str, str]
    seconds: float
    pending: int | None
    sent: bool
    warnings: list[str]


class _Verified(t.TypedDict):
    """What is known of a folder, whether it is unaltered or not."""

    changed: bool
    folders: list[str]
    last: dict[str, str]
    problems: list[dict[str, t.Any]]


class VerifyResult(ModuleResult, _Verified):
    """What scout_evidence_verify returns."""


class _Audited(t.TypedDict):
    """What is known of an audit trail, whether all agrees or not."""

    changed: bool
    head: str | None
    entries: int
    logins: dict[str, int]
    problems: list[dict[str, t.Any]]


class AuditResult(ModuleResult, _Audited):
    """What scout_audit_info returns."""


def snapshot(call: Call, params: Params) -> EvidenceResult:
    """A snapshot of the database in a folder of its own: folder, files, manifest's SHA-256, number in the chain, and seconds.

    In check mode names what would be kept and writes nothing. Raises BadInput for options that cannot be used or a folder
    that cannot be written; a section that cannot be read is a warning.
    """
    wanted = _wanted(call, params)
    to = sending.target(params["url"], os.environ)
    # Within an incident equal values stay equal where a key can be made again; else within one snapshot.
    key = signatures.key_of("masked values", call.incident.encode()) if call.incident != ADHOC else None
    redactor = redaction.Redactor(params["mask"], known_secrets(call, params), key, readable=params["readable"])
    if call.check:
        would = _collected(call, archive.EvidenceArchive(redactor, None), wanted)
        names = [*would.sections, *(f"all of {table}" for table in wanted.full)]
        return _not_kept(f"would keep {', '.join(names)}", _warnings(would), would)
    base = Path(params["folder"]).expanduser().absolute()
    try:
        return _kept(call, params, wanted, base, redactor, to)
    except OSError as e:
        failed = BadInput(
            f"could not write evidence to {base}",
            said=e.strerror or str(e),
            next_step="give a writable evidence_folder with enough space",
        )
        if params["required"]:
            raise failed from e
    except (NotConverged, ConnectionFailed, ConnectionLost, DatabaseError) as e:
        if params["required"]:
            raise
        failed = e
    return _not_kept("kept no evidence", [f"no evidence was kept: {failed}"], collect.Kept())


def _not_kept(summary: str, warnings: list[str], found: collect.Kept) -> EvidenceResult:
    """What comes of a check, and where evidence is not worth stopping for."""
    return {
        "changed": False,
        "folder": None,
        "files": [],
        "manifest_sha256": None,
        "number": None,
        "absent": found.absent,
        "seconds": found.seconds,
        "pending": found.pending,
        "sent": False,
        "summary": summary,
        "warnings": warnings,
    }


def _collected(call: Call, made: archive.EvidenceArchive, wanted: collect.Wanted) -> collect.Kept:
    """What a process of its own collects on a session of its own: what others wrote may keep it busy for ever, and then
    it is killed, and what it has finished by then is kept."""
    last = collect.Kept()

    def work(tell: Callable[[t.Any], None]) -> None:
        try:
            with open_session(call.session.settings) as session:
                collect.collect(
                    session,
                    made,
                    wanted,
                    Progress(tell),
                    check=call.check,
                    after=lambda kept: tell((kept, made.files)),
                )
        except psycopg.Error as e:
            raise translate(e, "could not collect evidence", on=call.session.where) from e

    def heard(told: t.Any) -> None:
        nonlocal last
        if isinstance(told, str):
            call.progress.say(told)
        else:
            last, made.files = told

    limit = wanted.budget_seconds + HANDLING_SECONDS + wanted.full_seconds * len(wanted.full)
    if not subprocesses.apart(work, seconds=limit, heard=heard, checkpoint=call.progress.checkpoint):
        made.drop_unfinished()
        last.problems["the rest"] = f"it took longer than {in_words(limit)} and was ended"
    return last


def _kept(
    call: Call,
    params: Params,
    wanted: collect.Wanted,
    base: Path,
    redactor: redaction.Redactor,
    to: sending.Target | None,
) -> EvidenceResult:
    """Writes it; raises OSError where that cannot be done."""
    with archive.opened(base, redactor) as made:
        kept = _collected(call, made, wanted)
        # Who took it is no customer, also with an address.
        actor = redaction.Redactor((), known_secrets(call, params)).text(call.controller.actor)
        with call.session.read():
            head, position = trail.head(call.session), servers.here(call.session)
        about = redactor.value(_about(call, params, wanted, kept)) | {
            "actor": actor,
            "audit": head,
            "position": position,
        }
        done = made.finish(base, about)
    unknown = _recorded(call, params, done, actor)
    unsent = sending.send(done.folder, to, call.progress.checkpoint) if to else None
    unknown += [f"{done.folder.name} was not sent: {unsent}; evidence.yml collects it again"] if unsent else []
    if (not to or unsent) and (only := place.kept_only_here(done.folder)):
        unknown.append(f"{only}; evidence_url sends it elsewhere, and SCOUT_EVIDENCE names a folder on a volume")
    whole = sum(rows for name, rows in kept.sections.items() if name.startswith("full_"))
    more = f", {count(whole, 'row')} of whole tables" if wanted.full else ""
    return {
        "changed": False,
        "folder": str(done.folder),
        "files": made.files,
        "manifest_sha256": done.manifest_sha256,
        "number": done.number,
        "absent": kept.absent,
        "seconds": kept.seconds,
        "pending": kept.pending,
        "sent": to is not None and not unsent,
        "warnings": [*_warnings(kept), *unknown],
        "summary": f"kept {len(made.files)} files{more} in {done.folder} ({in_words(kept.seconds)})",
    }


def _recorded(call: Call, params: Params, done: archive.Kept, actor: str) -> list[str]:
    """Has the ledger know of it; a warning where it does not. What was kept is kept."""
    if params["ledger"] == "off":
        return []
    one = kept_evidence.Recorded(call.incident, done.place, done.number, done.manifest_sha256)
    try:
        ledger = call.ensure(params["ledger"])
        if ledger.present:
            kept_evidence.note(ledger, one, actor)
    except (RecoveryError, psycopg.Error) as e:
        said = translate(e, "could not write to the ledger") if isinstance(e, psycopg.Error) else e
        return [f"the ledger does not know of this evidence, and will not miss it: {said}"]
    return ledger.warnings


def _about(call: Call, params: Params, wanted: collect.Wanted, kept: collect.Kept) -> dict[str, t.Any]:
    """What the manifest says of the snapshot."""
    return {
        "incident": call.incident,
        "actor": call.controller.actor,
        "database": call.session.facts.database,
        "server": call.session.where,
        "taken_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "seconds": kept.seconds,
        "window": {"start": wanted.start.isoformat(), "end": wanted.end.isoformat()},
        "masked": params["mask"],
        "readable": params["readable"],
        "problems": kept.problems,
        "short": kept.short,
        "absent": kept.absent,
    }


def _wanted(call: Call, params: Params) -> collect.Wanted:
    if not 0 <= params["sample_rows"] <= 10_000:
        raise BadInput(
            f"sample_rows {params['sample_rows']} is not usable", next_step="give sample_rows from 0 to 10000"
        )
    if unknown := sorted(set(params["full"]) - set(collect.whole())):
        raise BadInput(
            f"full {', '.join(unknown)[:80]!r} cannot be exported",
            next_step=f"choose among {', '.join(collect.whole())}",
        )
    window = window_of(call.session, params, clock="ingested_at")
    end = window.end or call.session.row("SELECT clock_timestamp() AS now")["now"]
    with call.session.read():
        seconds = expected.look_seconds(call.session, params["budget_seconds"], READING_SECONDS)
    # What is wrong began before somebody saw it.
    since = end - datetime.timedelta(seconds=collect.HISTORY_SECONDS)
    return collect.Wanted(
        incident=call.incident,
        budget_seconds=seconds,
        start=window.start or since,
        end=end,
        sample_rows=params["sample_rows"],
        health=params["health"],
        full=tuple(dict.fromkeys(params["full"])),
        full_seconds=params["full_seconds"],
    )


def _warnings(kept: collect.Kept) -> list[str]:
    return [f"evidence without {name}: {why}" for name, why in kept.problems.items()] + [
        f"evidence of {name} has only the short values of {count(rows, 'row')}: left_out in each says what is too large"
        for name, rows in kept.short.items()
    ]


def verify(call: Call | WithoutSession, params: Params) -> VerifyResult:
    """Whether the evidence in a folder is as it was written: its folders, the last manifest of each incident, and problems; and,
    on a session, whether all is there that the ledger knows of.

    Raises NotConverged, with all of them in its result, where there are problems, and BadInput for a digest that is none.
    """
    check_options(params)
    last = params["manifest_sha256"]
    if last and not DIGEST.fullmatch(last):
        raise BadInput(
            f"manifest_sha256 {last[:80]!r} is not a SHA-256",
            next_step="give the 64 hexadecimal digits, in lower case",
        )
    folder = Path(params["folder"]).expanduser().absolute()
    recorded = kept_evidence.read(call.session) if isinstance(call, Call) else None
    report = verification.verify(folder, call.progress.checkpoint, recorded or ())
    if last and last not in report.last.values():
        report.wrong(folder.name, f"is missing the last manifest of its incident: {last}")
    looked = f"{count(report.files, 'file')} in {count(len(report.folders), 'folder')} of evidence"
    found: _Verified = {
        "changed": False,
        "folders": report.folders,
        "last": report.last,
        "problems": [{"folder": p.folder, "file": p.file, "problem": p.problem} for p in report.problems],
    }
    if report.problems:
        raise NotConverged(
            f"evidence was altered ({count(len(report.problems), 'problem')} in {looked})",
            on=str(folder),
            said="; ".join(map(str, report.problems)),
            next_step="keep this folder as it is, and look for a copy of it; each problem is in the result",
            result={**found},
        )
    return {**found, "summary": f"{looked} are unaltered{_beside(report, recorded)}"}


def _beside(report: verification.Report, recorded: list[kept_evidence.Recorded] | None) -> str:
    """What else was looked at, and what was not."""
    chains = ", and the chain of each incident" if report.chained else "; a single folder shows no chain"
    if recorded is not None and report.chained:
        chains += ", and all that the ledger knows of is there" if recorded else "; the ledger knows of none"
    if report.unverified:
        chains += f"; {count(report.unverified, 'signature')} not verified, for want of a key ({signatures.KEY_FILE})"
    for where, number in report.elsewhere.items():
        chains += f"; {number} more {'is' if number == 1 else 'are'} recorded of {where}"
    return chains


def audited(call: Call, params: Params) -> AuditResult:
    """Whether audit trail, ledger and evidence agree: the head of the trail, its entries, how many of them each login has, and problems.

    Raises NotConverged, with all of them in its result, where they do not or where there is no trail, BadInput for a head that is
    none, and ForeignLedger where the ledger is not ours.
    """
    given = [_head(text, "-e audit_heads") for text in params["heads"]]
    session = call.session
    with attempting("could not read the audit trail", on=session.where), session.read():
        if lacking := trail.lacking(session):
            raise NotConverged(
                "could not verify the audit trail",
                on=session.where,
                said=lacking,
                next_step="docs/operator_role.sql makes one, run again by who ran it first. If there was one, look for who dropped it",
            )
        ownership.require(session)
        rows, end = trail.entries(session)
        readable = bootstrap.readable(session)
        runs = trail.runs_of_ledger(session) if readable else []
        noted = trail.entries_of_incidents(session) if readable else []
    entries, recorded = audit.as_entries(rows), kept_evidence.read(session)
    report, heads = _evidence_of(call, params, entries)
    wrong = audit.problems(entries, end, runs, noted, recorded, [*given, *heads])
    wrong += [audit.Problem(0, str(problem)) for problem in report.problems] if report else []
    found: _Audited = {
        "changed": False,
        "head": f"{end['number']}:{end['hash']}" if end["number"] else None,
        "entries": len(entries),
        "logins": audit.logins(entries),
        "problems": [{"entry": one.number, "problem": one.problem} for one in wrong],
    }
    if wrong:
        more = [f"and {len(wrong) - FEW} more"] if len(wrong) > FEW else []
        raise NotConverged(
            f"audit trail, ledger and evidence disagree ({count(len(wrong), 'problem')})",
            on=session.where,
            said="; ".join([*(one.problem for one in wrong[:FEW]), *more]),
            next_step="somebody changed what was written, or ran an earlier version of the toolkit: `SELECT * FROM scout_audit.entries` "
            "has login, address and time of each entry; all problems are in the result",
            result={**found},
        )
    done = len({entry.said.get("run_id") for entry in entries} - {None})
    summary = (
        f"{count(len(entries), 'entry', 'entries')} of {count(done, 'run')} are as written, and agree with the ledger"
    )
    if report is not None:
        summary += f"; so do {count(len(report.folders), 'folder')} of evidence{_beside(report, None)}"
    if out := len(given) + len(heads):
        summary += f"; {count(out, 'head')} that went out {'is' if out == 1 else 'are'} in it"
    return {**found, "summary": summary}


def _head(text: str, source: str) -> audit.Head:
    if not (match := HEAD.fullmatch(text)):
        raise BadInput(
            f"{source} {text[:80]!r} is no head of an audit trail",
            next_step="give it as the evidence's manifest has it: a number, a colon, and 64 hexadecimal digits",
        )
    return audit.Head(source, int(match[1]), match[2])


def _evidence_of(
    call: Call, params: Params, entries: list[audit.Entry]
) -> tuple[verification.Report | None, list[audit.Head]]:
    """What the evidence in the folder comes to, beside what the trail knows of it, and the heads it has of this database; None where
    there is none, and none is missed."""
    known = [*audit.evidence_of(entries)]
    folder = Path(params["folder"]).expanduser().absolute() if params["folder"] else None
    if folder is None or not (
        verification.there(folder) or any(one.place == archive.place_of(folder) for one in known)
    ):
        return None, []
    report = verification.verify(folder, call.progress.checkpoint, known)
    named = [each for each in report.heads if each.server == call.session.where]
    return report, [_head(each.head, f"evidence {each.folder}") for each in named]
