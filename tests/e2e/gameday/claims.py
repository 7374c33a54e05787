# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of a round: what must be true whatever happened, judged without asking the toolkit.

What a script broke beyond looking at it is not judged; what cannot be judged for any other reason counts as broken.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import probes
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.scene import PLAYBOOKS
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import measures
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results.measures import Check
from ansible_collections.scout.drills.plugins.plugin_utils.reference import next_runs
from tests.e2e.gameday import followed, ground, kinds

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ansible_collections.scout.drills.plugins.plugin_utils.drill.results.records import PlaybookResult
    from tests.e2e.gameday.stage import Play, Stage

#: Sales in silver that no event speaks of.
INVENTED: t.Final = """
SELECT t.transaction_id FROM scout.silver_transactions AS t
WHERE NOT EXISTS (SELECT FROM scout.bronze_events AS b WHERE b.event_data ->> 'transaction_id' = t.transaction_id)
  AND NOT EXISTS (SELECT FROM scout.bronze_events_dlq AS d WHERE d.original_payload ->> 'transaction_id' = t.transaction_id)
LIMIT 5
"""
TWICE: t.Final = """
SELECT transaction_id FROM scout.silver_transactions GROUP BY transaction_id HAVING pg_catalog.count(*) > 1 LIMIT 5
"""
LOAD: t.Final = next(iter(next_runs.NEEDED))
#: How long a session of a playbook that was killed may take to be gone.
GONE_SECONDS: t.Final = 15.0
#: What a person must never see: our own insides.
INSIDES: t.Final = ("Traceback (most recent call last)", "Unexpected Exception", "-vvv", "object has no attribute")


@dataclasses.dataclass(frozen=True)
class Typed:
    """A playbook that was typed, and what came of it."""

    play: Play
    played: PlaybookResult

    @property
    def result(self) -> Mapping[str, t.Any]:
        """What it wrote for a machine."""
        return self.played.result

    @property
    def proves(self) -> bool:
        """Whether it says that the jobs work by themselves, and not only how things look."""
        return t.cast("Mapping[str, t.Any]", self.result.get("proof") or {}).get("status") == "proved"

    @property
    def let_be(self) -> bool:
        """Whether it came to its own end."""
        return self.play.ends == "wait" and not self.play.hung and self.played.rc is not None


def judge(stage: Stage, before: ground.Ground, typed: Sequence[Typed], secret: str) -> Iterator[Check]:
    """Everything, with the pipeline at rest."""
    touched = kinds.touched(act.name for act in stage.script.acts)
    names = {act.name for act in stage.script.acts}
    dsn = stage.sandbox.dsn
    last = typed[-1] if typed else None
    well = last is not None and last.let_be and last.played.rc == 0
    running = last is not None and last.result.get("ingestion") == "running"
    yield from _asked(
        "no sale is invented, and none is there twice",
        lambda: _invented(dsn),
        "silver" in touched or "functions" in touched,
    )
    if well and running and last is not None and last.proves:
        check = "exit code 0 and running ingestion are true by the next runs"
        yield from _asked(check, lambda: next_runs.failing(dsn), excused=False)
    later = ground.look(dsn)
    if last is not None and last.let_be and not {"change_job", "drop_object", "colleague"} & names:
        yield from _asked("what is paused is said to be paused", lambda: _said(last, later), excused=False)
    if well and running and not ("jobs" in touched or "colleague" in names):
        yield _check("jobs are as they were", ", ".join(before.other_jobs(later)))
    gained = before.gained(later, owners_changed="rights" in touched)
    yield _check("nobody has a right that he had not before", "; ".join(gained[:5]))
    yield from _asked("no secret is shown or kept", lambda: _told(dsn, typed, secret), excused=False)
    yield from _asked("nothing is left behind", lambda: _left(stage, well), excused=False)
    yield from _screens(typed)


def _check(check: str, wrong: str) -> Check:
    return Check(check, "yes", f"no: {wrong}" if wrong else "yes", not wrong)


def _asked(check: str, look: Callable[[], str], excused: bool) -> Iterator[Check]:
    """Nothing where what was broken on purpose keeps it from being looked at."""
    try:
        yield _check(check, look())
    except psycopg.Error as e:
        if not excused:
            yield measures.unchecked(check, "yes", e)


def _invented(dsn: str) -> str:
    with ground.connect(dsn) as connection:
        invented = [name for (name,) in connection.execute(INVENTED).fetchall()]
        twice = [name for (name,) in connection.execute(TWICE).fetchall()]
    said = [f"invented {', '.join(map(str, invented))}"] if invented else []
    return "; ".join([*said, *([f"twice {', '.join(map(str, twice))}"] if twice else [])])


def _said(last: Typed, later: ground.Ground) -> str:
    """By the job that loads."""
    job = later.jobs.get(LOAD)
    said = last.result.get("ingestion")
    if job is None or said not in ("running", "paused"):
        return ""
    active = job[-1]
    return "" if active == (said == "running") else f"it says {said}, and {LOAD} is {'on' if active else 'off'}"


def _told(dsn: str, typed: Sequence[Typed], secret: str) -> str:
    said = [f"the screen of {each.play.name}.yml" for each in typed if secret in each.played.screen]
    for each in typed:
        said += [str(path.relative_to(each.play.folder)) for path in _files(each.play.folder) if _has(path, secret)]
    return ", ".join([*said, *ground.ledger_says(dsn, secret)])


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _has(path: Path, secret: str) -> bool:
    with contextlib.suppress(OSError):
        return secret.encode() in path.read_bytes()
    return False


def _left(stage: Stage, well: bool) -> str:
    deadline = time.monotonic() + GONE_SECONDS
    while (sessions := probes.sessions(stage.sandbox.dsn)) and time.monotonic() < deadline:
        stage.progress.wait(0.2)
    said = [f"session {name}" for name in sessions]
    if well:
        said += [f"a lease of {owner}" for owner in probes.ledger(stage.sandbox.dsn).leases]
    return ", ".join(said)


def _screens(typed: Sequence[Typed]) -> Iterator[Check]:
    """What a person reads: words, and commands that can be typed."""
    for each in typed:
        name = f"{each.play.name}.yml"
        if each.play.hung:
            yield _check(f"{name} comes to an end", "it had to be ended")
        shown = [word for word in INSIDES if word in each.played.screen]
        kind = t.cast("Mapping[str, t.Any]", each.result.get("error") or {}).get("kind")
        if shown or kind == "unexpected":
            yield _check(f"{name} shows nothing of its insides", f"{', '.join(shown)} {each.played.said}")
        if each.let_be and each.played.rc not in (0, None):
            nothing = not each.result.get("next") and not each.result.get("undo")
            yield _check(f"{name} says what to do next", f"only: {each.played.said}" if nothing else "")
        for text in (*each.result.get("commands", ()), *each.result.get("undo_commands", ())):
            yield _check(f"what {name} prints can be typed", _typable(text))


def _typable(text: str) -> str:
    try:
        playbook = followed.command(text).playbook
    except followed.NotTyped as e:
        return str(e)
    return "" if (PLAYBOOKS / f"{playbook}.yml").is_file() else f"there is no {playbook}.yml"
