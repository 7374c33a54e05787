# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people say, and what is typed then: the one list of which docs/symptoms.md is written and `scout help` finds; pure."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
import typing as t

from ...module_utils.recovery.scout import contract
from .commands import COMMANDS

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .line import Place

WIDTH: t.Final = 79
#: A stem that is shorter may be the beginning of anything.
SHORTEST_STEM: t.Final = 4
ENDINGS: t.Final = ("ing", "ed", "es", "s")
#: Words that say nothing of what is wrong; those of two letters do not either.
SILENT: t.Final = frozenset({"and", "are", "does", "not", "our", "the", "was", "what"})
#: What may stand behind an equals sign as it is.
PLAIN: t.Final = re.compile(r"[\w.:-]+")
#: How many are shown where several are as likely.
MOST: t.Final = 3
#: The command of each playbook.
COMMAND: t.Final = {command.playbook: command for command in COMMANDS}


class Typed(t.NamedTuple):
    """A playbook with its options."""

    playbook: str
    variables: dict[str, t.Any]
    check: bool = False

    def words(self, name: str) -> str:
        """The command for a shell, with the playbook by this name."""
        plain = len(self.variables) == 1 and PLAIN.fullmatch(str(next(iter(self.variables.values()))))
        given = json.dumps(self.variables)
        if plain:
            given = "".join(
                f"{key}={str(value).lower() if value is True else value}" for key, value in self.variables.items()
            )
        variables = f" -e {shlex.quote(given)}" if self.variables else ""
        return f"ansible-playbook {name}{variables}{' --check' if self.check else ''}"

    def short(self) -> str:
        """The same for the command `scout`."""
        command, left = COMMAND[self.playbook], dict(self.variables)
        words = ["scout", *command.words]
        if command.takes in left:
            words.append(shlex.quote(str(left.pop(command.takes))))
        for name, value in left.items():
            words.append(f"--{name.replace('_', '-')}")
            if value is not True:
                words.append(shlex.quote(",".join(value) if isinstance(value, list) else str(value)))
        return " ".join([*words, "--check"] if self.check else words)


class Symptom(t.NamedTuple):
    """What people say, what is typed, and what to look at."""

    says: tuple[str, ...]
    typed: tuple[Typed, ...]
    look: str
    page: str
    #: What no playbook shows, each with what it is for.
    sql: tuple[tuple[str, str], ...] = ()

    @property
    def heading(self) -> str:
        """What its section of the page is called."""
        plain = re.sub(r"[^\w' ]", "", self.says[0]).strip()
        return plain[0].upper() + plain[1:]

    @property
    def anchor(self) -> str:
        """Where that is."""
        return self.heading.lower().replace(" ", "-")


def _typed(playbook: str, *, check: bool = False, **variables: t.Any) -> Typed:
    return Typed(playbook, variables, check)


ASSESS: t.Final = _typed("assess")
SALES_OF_A_CUSTOMER: t.Final = (
    "the sales of a customer, with the event of each",
    """SELECT transaction_id, ts, store_id, total_amount, source_event_id FROM {transactions}
WHERE customer_id = 'C-1' ORDER BY ts, transaction_id;""",
)
#: What fills a disk that nobody watches, from what is free at once to what is kept on purpose.
OF_A_DISK: t.Final = (
    (
        "replication slots; an inactive one keeps WAL for a reader who may never come back",
        """SELECT slot_name, active, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) AS keeps
FROM pg_replication_slots ORDER BY restart_lsn;""",
    ),
    (
        "the five largest relations of this database, with their indexes",
        """SELECT c.oid::regclass AS relation, pg_size_pretty(pg_total_relation_size(c.oid)) AS size FROM pg_class AS c
WHERE c.relkind IN ('r', 'm') ORDER BY pg_total_relation_size(c.oid) DESC LIMIT 5;""",
    ),
    (
        "the history of the scheduler, which nothing shortens by itself",
        """SELECT count(*) AS runs, min(start_time) AS since, pg_size_pretty(pg_total_relation_size('cron.job_run_details')) AS size
FROM cron.job_run_details;""",
    ),
    (
        "the ledger of this toolkit; images are what an undo restores, samples and releases are kept until somebody deletes them",
        """SELECT c.relname, pg_size_pretty(pg_total_relation_size(c.oid)) AS size FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace('scout_ops') AND c.relkind = 'r'
ORDER BY pg_total_relation_size(c.oid) DESC LIMIT 5;""",
    ),
)

SYMPTOMS: t.Final = (
    Symptom(
        ("dashboard shows yesterday", "the figures are old", "today's sales are not on the report"),
        (ASSESS, _typed("refresh_gold")),
        "Line `found`: `gold_staleness` alone means that only gold is behind, which the second command fixes. "
        "`silver_staleness` or `backlog_age` means that nothing is loaded: type what line `next` says instead.",
        "runbook.md#gold-shows-old-figures",
    ),
    Symptom(
        ("totals doubled since the deploy", "revenue is too high", "everything counts twice", "figures jumped after the release"),
        (_typed("rollback", check=True, release="v5.2.1"), ASSESS),
        "The preview shows how the schema differs from your release as captured: a view that joins more rows than before doubles totals. "
        "It changes nothing; without `--check` it is rolled back. Where nothing differs, look for sales that are there twice.",
        "rollback.md",
    ),
    Symptom(
        ("customer X appears twice", "a sale is there twice", "duplicate customer", "duplicate sales"),
        (_typed("quarantine", check=True, transactions=["T-2"]), ASSESS),
        "The query of the sales first. Two rows of one time, store and amount are one sale that arrived under two transaction ids: "
        "quarantine the one that is wrong, by its id; without `--check` it moves, and undo restores it. One row in silver and two "
        "on the dashboard are a view that counts twice: see \"totals doubled since the deploy\".",
        "moving-data.md",
        (SALES_OF_A_CUSTOMER,),
    ),
    Symptom(
        ("disk 95 %", "the disk is full", "no space left on device", "the database grows and grows"),
        (ASSESS,),
        "The queries of the disk, in their order. A slot whose reader is gone for good is dropped with `pg_drop_replication_slot`; "
        "rows of `cron.job_run_details` that are older than a week may be deleted, with a VACUUM after it. Never delete files of the "
        "server, nor rows of bronze: they are the only copy.",
        "support.md",
        OF_A_DISK,
    ),
    Symptom(
        ("a laptop died in a reset", "the connection dropped in the middle", "someone closed the laptop", "it was interrupted"),
        (_typed("emergency_reset"), _typed("runs")),
        "The same command again goes on from the last commit, and resumes what the dead run had paused. Its lease is free "
        "half a minute after its process is gone, wherever that ran; the same command waits for it, and says whose it is.",
        "emergency-reset.md#in-a-colleagues-pause",
    ),
    Symptom(
        ("which run?", "who did this", "what did it change", "undo which one"),
        (_typed("runs"), _typed("undo", check=True, run_id="last")),
        "Each run with its id, who it was and what it moved. Wherever a run is named, its first eight digits do, and `last` is the "
        "latest one that can be undone.",
        "runbook.md#undo-a-run",
    ),
    Symptom(
        ("I did something wrong", "undo it", "roll back what I moved", "wrong rows quarantined"),
        (_typed("undo", check=True, run_id="last"),),
        "The plan names the run that it would undo. Without `--check` it does; `runs.yml` lists the others.",
        "runbook.md#undo-a-run",
    ),
    Symptom(
        ("nothing arrives", "no sales since noon", "the tills send nothing", "no new events"),
        (ASSESS,),
        "`bronze_staleness`: if no event arrives, the database cannot help; look at the edge function and at its sources. "
        "Line `today` names a source or store that sent far fewer sales than usual. If events arrive and none is loaded, "
        "type what line `next` says.",
        "runbook.md#what-is-wrong",
    ),
    Symptom(
        ("sales are missing", "a hole in the chart", "an hour is lost", "yesterday evening is gone"),
        (_typed("window_recovery", check=True, last="1h"),),
        "How many events of the window are pending, missing or wrong in silver. Without `--check` they are rebuilt; `window_start` "
        "and `window_end` name another window.",
        "window-recovery.md",
    ),
    Symptom(
        ("negative totals", "amounts cannot be right", "empty baskets", "garbage in silver"),
        (_typed("quality_cleanup", check=True),),
        "Which rules are violated, and by how many rows. Without `--check` they are quarantined, and undo restores them.",
        "moving-data.md#rules-of-a-cleanup",
    ),
    Symptom(
        ("bad prices came in", "one till sends nonsense", "wrong data from a source", "stop loading until it is fixed"),
        (
            _typed("pause_ingestion", reason="bad prices"),
            _typed("quarantine", check=True, source_systems=["pos"], window_start="2026-11-25T01:00Z", window_end="2026-11-25T02:00Z"),
        ),
        "The pause says why, so nobody works in it without asking. The second command, with your source and window, shows what "
        "would be quarantined.",
        "moving-data.md#a-night-with-a-bad-source",
    ),
    Symptom(
        ("it hangs", "the ETL is stuck", "a query runs for hours", "everything waits for a lock", "locked"),
        (_typed("terminate_sessions", check=True),),
        "It shows who blocks whom, and who is left alone and why. Without `--check` the stuck ones are ended.",
        "runbook.md#the-etl-is-stuck",
    ),
    Symptom(
        ("the backlog grows", "loading is slow", "it lags behind", "events pile up"),
        (ASSESS, _typed("emergency_reset", check=True)),
        "Whether the backlog shrinks by itself, and which session keeps others waiting. The second command plans what a reset "
        "would do.",
        "runbook.md#what-is-wrong",
    ),
    Symptom(
        ("who paused it?", "ingestion is off and nobody knows why", "somebody forgot a pause", "it is paused"),
        (ASSESS, _typed("resume_ingestion")),
        "It names who paused, since when, for which incident and why. Ask them first; the second command ends your own pause.",
        "emergency-reset.md#in-a-colleagues-pause",
    ),
    Symptom(
        ("a job is off", "cron does nothing", "the scheduler starts nothing", "the job is disabled"),
        (ASSESS,),
        "The cause that names the job, and the command beside it that re-enables it.",
        "runbook.md#what-is-wrong",
    ),
    Symptom(
        ("errors since the release", "the deploy broke it", "a migration went wrong", "column does not exist"),
        (_typed("rollback", check=True, release="v5.2.1"),),
        "With your release it shows what would be rolled back, and which data would be saved first. Without `--check` it is done.",
        "runbook.md#the-deployment-was-bad",
    ),
    Symptom(
        ("the dead letter queue is full", "events were rejected", "poison events", "DLQ grows"),
        (_typed("dead_letters"),),
        "The errors by kind and age, with a sample of each, and the command that redrives them once the cause is fixed.",
        "runbook.md#dead-letters",
    ),
    Symptom(
        ("we restored a backup", "point-in-time restore", "a standby was promoted", "failover", "the ledger is of yesterday"),
        (_typed("restored", check=True),),
        "It lists everything from after the point that this database lacks, and the parts of its ledger that are of the past. "
        "Without `--check` these are closed, each by name; nothing is resumed.",
        "failover.md",
    ),
    Symptom(
        ("permission denied", "I may not do this", "insufficient privilege"),
        (_typed("preflight"),),
        "Each missing privilege, with the `GRANT` that fixes it.",
        "privileges.md",
    ),
    Symptom(
        ("is it over?", "can we deploy again", "is it healthy now", "did it recover"),
        (_typed("acceptance_gate", smoke=True), _typed("watch_recovery")),
        "The exit code: 0 only if the pipeline may go on. The second command watches for half an hour.",
        "acceptance-gate.md",
    ),
)  # fmt: skip


def found(typed: Iterable[str]) -> list[Symptom]:
    """The symptoms that have the most of these words, at most three; none where no word is known. A word that few have says more."""
    scores = [0.0] * len(SYMPTOMS)
    for wanted in {_stem(word) for text in typed for word in _words(text)}:
        having = [at for at, symptom in enumerate(SYMPTOMS) if any(_alike(wanted, own) for own in _stems(symptom))]
        for at in having:
            scores[at] += 1 / len(having)
    best = max(scores)
    return [symptom for symptom, score in zip(SYMPTOMS, scores, strict=True) if best and score == best][:MOST]


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if len(word) > 2 and word not in SILENT]


def _stems(symptom: Symptom) -> set[str]:
    return {_stem(word) for text in symptom.says for word in _words(text)}


def _stem(word: str) -> str:
    """A word without its ending, so that `doubled` is found by `double` and `doubling`."""
    ending = next((each for each in ENDINGS if word.endswith(each) and len(word) - len(each) >= SHORTEST_STEM - 1), "")
    return word.removesuffix(ending)


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= SHORTEST_STEM and long.startswith(short))


def shown(symptom: Symptom, place: Place) -> str:
    """A symptom for a screen; each command and each query stands alone, so that it can be pasted."""
    lines = ["; ".join(symptom.says)]
    lines += [f"  {each.words(place.playbook(each.playbook))}" for each in symptom.typed]
    lines += textwrap.wrap(
        symptom.look.replace("`", ""), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    for what, query in symptom.sql:
        lines += ["", *textwrap.wrap(f"-- {what}", WIDTH, subsequent_indent="-- "), contract.words(query)]
    return "\n".join([*lines, f"  docs/{symptom.page}"])


def listed() -> str:
    """All of them, by their first sentences."""
    return "\n".join(f"  {symptom.says[0]}" for symptom in SYMPTOMS)


def page(alerts: Iterable[tuple[str, Typed]]) -> str:
    """The part of docs/symptoms.md that is written from the list, and from what each alert says with what it has typed."""
    lines = ["", "| You see | Type |", "|---|---|"]
    for symptom in SYMPTOMS:
        first, *others = symptom.says
        typed = ", then ".join(f"`{each.short()}`" for each in symptom.typed)
        lines.append(f"| {'; '.join([f'[{first}](#{symptom.anchor})', *others])} | {typed} |")
    told: dict[str, list[str]] = {}
    for says, typed in alerts:
        if says not in told.setdefault(typed.short(), []):
            told[typed.short()].append(says)
    lines += [
        f"| an alert says: {'; '.join(says)} | `{words}` |"
        for words, says in sorted(told.items(), key=lambda each: -len(each[1]))
    ]
    lines += ["", "## What to look at"]
    for symptom in SYMPTOMS:
        lines += [
            "",
            f"### {symptom.heading}",
            "",
            *textwrap.wrap(f"{symptom.look} [More]({symptom.page}).", 120, break_on_hyphens=False),
        ]
        typed = (each.words(f"playbooks/{each.playbook}.yml") for each in symptom.typed)
        lines += ["", "```", *(each.replace(" -e '{", " \\\n    -e '{") for each in typed), "```"]
        if symptom.sql:
            lines += ["", "```sql"]
            lines += [f"-- {what}\n{contract.words(query)}" for what, query in symptom.sql]
            lines += ["```"]
    return "\n".join(lines) + "\n"
