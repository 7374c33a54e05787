# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live screen: a playbook that looks once, run again and again, what its result file says, how that changed since, and the keys
that print a command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from ...module_utils.recovery.core.text import cut, in_words, visible
from ...module_utils.recovery.summary import dashboard
from . import keys, line, terminal

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .parser import Asked

#: Home, and everything below it cleared: nothing of the terminal is set that would have to be set back.
CLEAR: t.Final = "\x1b[H\x1b[J"
#: So many lines of a playbook that failed are shown.
LAST_LINES: t.Final = 20
INTERRUPTED: t.Final = 99
#: So many looks make a trend, each of them one of these signs.
LOOKS: t.Final = 30
BARS: t.Final = "▁▂▃▄▅▆▇█"
#: How long a key waits while a look lasts.
KEY_SECONDS: t.Final = 0.2
#: So many hosts have a command each.
FEW: t.Final = 3
#: What ends the session that others wait for, as it is typed; with `--check` it only says which that is.
ENDS: t.Final = "scout terminate --check"


class Look(t.NamedTuple):
    """What came of one look."""

    code: int
    #: The screen of each host, below each other.
    lines: list[str]


class Trend:
    """What the looks of a live screen saw of each host, the latest ones."""

    def __init__(self, *, plain: bool, passed: Sequence[str] = ()) -> None:
        self._plain, self._passed = plain, passed
        self._seen: dict[str, list[tuple[float | None, float | None]]] = {}

    def lines(self, host: str, top: Mapping[str, t.Any], *, several: bool = False) -> list[str]:
        """Notes one more look, and says how backlog and gold went until now, and what to type where a session blocks others."""
        past = self._seen.setdefault(host, [])
        gold = [each["seconds"] for each in top["ages"]["gold"] if each["seconds"] is not None]
        past.append((top["backlog"]["events"], max(gold, default=None)))
        del past[:-LOOKS]
        backlog = self._drawn("backlog", [each for each, _ in past], "{:,.0f}".format)
        parts = [each for each in (backlog, self._drawn("gold", [each for _, each in past], in_words)) if each]
        lines = [f"  {'trend':<14}{'; '.join(parts)}"] if parts else []
        ends = typed(ENDS, self._passed, [host] if several else [])
        return lines + ([f"  {'type':<14}{ends[0]}"] if top["blocking"] else [])

    @property
    def hosts(self) -> list[str]:
        """Those that were looked at, where there is more than one."""
        return list(self._seen) if len(self._seen) > 1 else []

    def _drawn(self, name: str, looks: list[float | None], shown: Callable[[float], str]) -> str:
        """`gold ▁▃█ 1 min to 9 min`, from the lowest to the highest; without signs for a reader of screens, empty without two."""
        values = [each for each in looks if each is not None]
        if len(values) < 2:
            return ""
        low, high = min(values), max(values)
        step = (high - low) / (len(BARS) - 1)
        signs = "".join(BARS[round((each - low) / step) if step else 0] for each in values)
        return f"{name} {'' if self._plain else f'{signs} '}{shown(values[0])} to {shown(values[-1])}"


def repeat(program: str, asked: Asked, place: line.Place) -> int:
    """Shows a screen every so many seconds until it is interrupted, which is 0; with `once` one, and the playbook's exit code. A
    first look that fails ends it as well; of a later one it is said, and the next one tries again."""
    with tempfile.TemporaryDirectory(prefix="scout-top-") as folder:
        made = Path(asked.variables.get("result_file") or Path(folder) / "result.json")
        again = asked._replace(variables={**asked.variables, "result_file": str(made)})
        terminal.show(line.shown(line.words(asked, place), place.settings()))
        if place.strange:
            sys.stderr.write(f"{line.UNUSED}\n")
        sys.stderr.flush()
        command = [program, *line.words(again, place)[1:]]
        environment = {**os.environ, **place.settings()}
        try:
            return _shown(command, environment, made, asked)
        except (KeyboardInterrupt, BrokenPipeError):
            return 0


def _shown(command: list[str], environment: Mapping[str, str], made: Path, asked: Asked) -> int:
    live = sys.stdout.isatty() and not asked.once
    trend = Trend(plain=environment.get("SCOUT_OUTPUT") == "plain", passed=asked.passed) if live else None
    # What a vault's password is asked for is typed for that alone.
    asks, first, lines = "-J" in asked.passed, True, list[str]()
    with keys.listening(wanted=live and not asks) as pressed:
        while True:
            due = time.monotonic() + asked.interval
            seen = look(command, environment, made, asks=asks, trend=trend, pressed=pressed)
            if seen.code == INTERRUPTED:
                return 0
            lines = lines if pressed.ended else seen.lines
            _draw(lines, asked, pressed, trend)
            if asked.once or (first and seen.code and not pressed.ended):
                return seen.code
            first = False
            while not pressed.ended and pressed.wait(max(0.1, due - time.monotonic())):
                _draw(lines, asked, pressed, trend)
            if pressed.ended:
                return 0


def _draw(lines: list[str], asked: Asked, pressed: keys.Keys, trend: Trend | None) -> None:
    """The screen as it is; a live one with what the keys have shown below it, and last what they are."""
    if trend is None:
        sys.stdout.write("\n".join([*lines, ""]))
    else:
        below = [f"    {each}" for chosen in pressed.chosen for each in typed(chosen, asked.passed, trend.hosts)]
        size = shutil.get_terminal_size()
        above = fitted(lines, os.terminal_size((size.columns, size.lines - len(below))))
        foot = f"every {asked.interval:g} s; {keys.NAMED if pressed.there else 'Ctrl-C ends'}"
        sys.stdout.write("\n".join([f"{CLEAR}{above[0] if above else ''}", *above[1:], *below, "", foot, ""]))
    sys.stdout.flush()


def typed(command: str, passed: Sequence[str], hosts: Sequence[str]) -> list[str]:
    """A command as it is typed for what is looked at: of several hosts one for each, and of many one to put a name into."""
    limits = [["-l", each] for each in hosts] if len(hosts) <= FEW else [["-l", "HOST"]]
    return [line.shown([*command.split(), *passed, *limit], {}) for limit in limits or [[]]]


def look(
    command: Sequence[str],
    environment: Mapping[str, str],
    made: Path,
    *,
    asks: bool = False,
    trend: Trend | None = None,
    pressed: keys.Keys | None = None,
) -> Look:
    """One run of the playbook, whose result file is `made`: its screen, or the end of what it said where there is none. A key that
    ends the screen ends the look as well."""
    made.unlink(missing_ok=True)
    running = subprocess.Popen(
        command,
        env={**environment, "ANSIBLE_NOCOLOR": "1"},
        # Without a question nobody reads what is typed, and the terminal is left as it is.
        stdin=None if asks else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said = _heard(running, pressed)
    except KeyboardInterrupt:
        # It was interrupted by the same key.
        running.wait()
        raise
    except SystemExit:
        running.send_signal(signal.SIGINT)
        running.wait()
        raise
    lines = screen(made, trend)
    if running.returncode and not lines:
        lines = said.rstrip().splitlines()[-LAST_LINES:]
    return Look(running.returncode, [visible(each) for each in lines])


def _heard(running: subprocess.Popen[bytes], pressed: keys.Keys | None) -> str:
    """What a look said until its end, which the key that ends the screen does not wait for."""
    while pressed and pressed.there and not pressed.ended:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return running.communicate(timeout=KEY_SECONDS)[0].decode(errors="replace")
        pressed.wait(0.001)
    if pressed and pressed.ended:
        running.send_signal(signal.SIGINT)
    return running.communicate()[0].decode(errors="replace")


def screen(made: Path, trend: Trend | None = None) -> list[str]:
    """The screens of the hosts in a result file, each with its trend where one is kept; where one could not be looked at, why. Empty
    where there is no such file."""
    try:
        results: list[dict[str, t.Any]] = json.loads(made.read_bytes())["results"]
    except (OSError, ValueError, LookupError):
        return []
    lines: list[str] = []
    for result in results:
        error: dict[str, t.Any] = result.get("error") or {}
        failed = [f"{result['host']}: {error.get('attempted', 'could not look')}: {error.get('said', '')}"]
        shown = dashboard.top(result["top"] or {}, result["database"])
        since = trend.lines(result["host"], result["top"], several=len(results) > 1) if trend and shown else []
        # Above what may be too long for the terminal.
        lines += [*([""] if lines else []), *shown[:1], *since, *(shown[1:] or failed)]
    return lines


def fitted(lines: list[str], size: os.terminal_size) -> list[str]:
    """As many lines as a terminal has room for, each on one of its own."""
    return [cut(each, max(20, size.columns - 1)) for each in lines[: max(5, size.lines - 3)]]
