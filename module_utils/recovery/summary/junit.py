# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An acceptance gate as JUnit XML, which every build server shows: a suite for each database, a case for each check."""

from __future__ import annotations

import io
import re
import typing as t
from pathlib import Path

from ..core import files
from ..core.errors import BadInput
from . import gate as summary_gate

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: Of which run of ansible-playbook a suite is: hosts of one run share the file, an older run's is replaced.
RUN_KEY: t.Final = "run_key"
SUITES: t.Final = "scout acceptance gate"
#: What no XML can hold.
UNFIT: t.Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def save(path: Path, made: Mapping[str, t.Any], run_key: str) -> None:
    """Writes the document of a gate as one of the suites of this run."""
    library = required()
    suite = _suite(library, made, run_key)

    def with_it(before: bytes) -> bytes:
        kept = [s for s in _of_this_run(library, before, run_key) if s.hostname != suite.hostname]
        whole = library.JUnitXml(SUITES)
        for each in (*kept, suite):
            whole.add_testsuite(each)
        whole.update_statistics()
        text = io.BytesIO()
        whole.write(text)
        return text.getvalue()

    files.update(path, with_it, "junit_file")


def required(file: str = "junit_file") -> t.Any:
    """The library. Raises BadInput, saying what to install, where it is missing."""
    try:
        import junitparser
    except ImportError as e:
        raise BadInput(
            f"cannot write {file}: this Python has no junitparser",
            next_step="python -m pip install junitparser for the interpreter of ansible-playbook",
        ) from e
    return junitparser


def _of_this_run(library: t.Any, text: bytes, run_key: str) -> list[t.Any]:
    """The suites in the file, if this run wrote them."""
    try:
        found: list[t.Any] = list(library.JUnitXml.fromstring(text))
    except (SyntaxError, ValueError, TypeError, library.JUnitXmlError):
        return []
    return [suite for suite in found if any(p.name == RUN_KEY and p.value == run_key for p in suite.properties())]


def _suite(library: t.Any, made: Mapping[str, t.Any], run_key: str) -> t.Any:
    gate: Mapping[str, t.Any] = made["gate"] or {}
    suite = library.TestSuite(fit(f"{made['operation']} of {made['database']}"))
    suite.hostname = fit(made["host"])
    for name, value in (
        (RUN_KEY, run_key),
        ("incident", made["incident"]),
        ("verdict", gate.get("verdict", "none")),
        ("exit_code", gate.get("exit_code", "none")),
    ):
        suite.add_property(name, fit(str(value)))
    warnings_pass = bool(gate.get("ok"))
    suite.add_testcases([_verdict(library, made, gate)])
    suite.add_testcases([_case(library, made, check, warnings_pass) for check in gate.get("checks", [])])
    return suite


def _verdict(library: t.Any, made: Mapping[str, t.Any], gate: Mapping[str, t.Any]) -> t.Any:
    """A case of its own: a pipeline may pass every check that counts and still be paused."""
    case = library.TestCase("verdict", classname=_class(made), time=made["seconds"])
    if made["ok"]:
        return case
    error: Mapping[str, t.Any] = made["error"] or {}
    said = "; ".join(str(error[part]) for part in ("attempted", "on", "said", "next_step") if error.get(part))
    kind = str(gate.get("verdict") or error.get("kind") or "none")
    case.result = [(library.Error if error else library.Failure)(fit(said or summary_gate.message(gate)), kind)]
    return case


def _case(library: t.Any, made: Mapping[str, t.Any], check: Mapping[str, t.Any], warnings_pass: bool) -> t.Any:
    case = library.TestCase(check["name"], classname=_class(made), time=0)
    status, value = check["status"], check["value"]
    threshold: Mapping[str, float] = check["threshold"] or {}
    figure = "unknown" if value is None else f"{value} {check['unit']}"
    bounds = f" (ok {threshold['ok']:g}, fail {threshold['fail']:g})" if threshold else ""
    text = fit(f"{figure}{bounds}{': ' if check['reason'] else ''}{check['reason']}")
    if status == "pass" or not check["counts"]:
        case.result = (
            [] if status == "pass" else [library.Skipped(text, "info" if check["severity"] == "info" else status)]
        )
    elif status == "inconclusive":
        case.result = [library.Error(text, status)]
    elif status == "fail" or not warnings_pass:
        case.result = [library.Failure(text, f"{status}, exit code {check['code']}")]
    case.system_out = fit(f"{status}: {text} [{check['source']}]")
    return case


def _class(made: Mapping[str, t.Any]) -> str:
    return fit(f"scout.{made['operation']}.{made['host']}")


def fit(text: t.Any) -> str:
    """Any text, fit for XML."""
    return UNFIT.sub("\ufffd", str(text))
