# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is typed after `scout` becomes the words of ansible-playbook; what is mistyped is named, with what is meant."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.plugin_utils.command import (
    line,
    options,
    parser,
)
from ansible_collections.scout.recovery.plugins.plugin_utils.command.commands import COMMANDS
from tests import CHECKOUT

HERE = line.Place(CHECKOUT, CHECKOUT, {})
HOSTILE = (
    'it\'s "quoted"',
    "two\nlines\tand a tab",
    "{{ lookup('pipe', 'touch x') }} {% raw %}",
    "$(touch x) `touch x` ; touch x",
    "-e title=other",
    "@/etc/passwd",
    "=a b=c",
    "\x1b[2Jgone\u202e",
    "Łódź … 你好",
    "",
)
TYPED: dict[str, tuple[str, dict[str, Any]]] = {
    "assess": ("assess", {}),
    "assess --budget-seconds 10": ("assess", {"budget_seconds": 10.0}),
    "reset --no-resume --max-poison 5": ("emergency_reset", {"resume": False, "max_poison": 5}),
    "pause --reason 'a deployment runs'": ("pause_ingestion", {"reason": "a deployment runs"}),
    "resume --takeover": ("resume_ingestion", {"takeover": True}),
    "terminate --stuck-after-seconds 30": ("terminate_sessions", {"stuck_after_seconds": 30.0}),
    "refresh": ("refresh_gold", {}),
    "cleanup --rules a,b": ("quality_cleanup", {"rules": "a,b"}),
    'cleanup --quality-cleanup-rules \'[{"name": "a"}]\'': (
        "quality_cleanup",
        {"quality_cleanup_rules": [{"name": "a"}]},
    ),
    "quarantine --event-ids a --event-ids b": ("quarantine", {"event_ids": ["a", "b"]}),
    "redrive --of-incident INC-2041 --repair '{\"a\": 1}'": (
        "redrive",
        {"of_incident": "INC-2041", "repair": {"a": 1}},
    ),
    "window --last 1h": ("window_recovery", {"last": "1h"}),
    "capture v5.2.1": ("capture_release", {"release": "v5.2.1"}),
    "rollback v5.2.1 --allow-lossy": ("rollback", {"release": "v5.2.1", "allow_lossy": True}),
    "rollback --drop-column scout.a.b": ("rollback", {"drop_column": "scout.a.b"}),
    "dlq --error-codes POISON_EVENT": ("dead_letters", {"error_codes": "POISON_EVENT"}),
    "runs": ("runs", {}),
    "runs 75fac115 --of-action cleanup": ("runs", {"run_id": "75fac115", "of_action": "cleanup"}),
    "undo last": ("undo", {"run_id": "last"}),
    "gate --smoke": ("acceptance_gate", {"smoke": True}),
    "incident report INC-2041": ("incident_report", {"incident": "INC-2041"}),
    "evidence --incident INC-2041": ("evidence", {"incident": "INC-2041"}),
    "preflight --target luzon": ("preflight", {"target": "luzon"}),
    "drill gold_stale": ("drill", {"scenario": "gold_stale"}),
}
WRONG = {
    "windw --last 1h": "'windw' is no command; did you mean window?",
    "xyzzy": "'xyzzy' is no command: assess, ",
    "": "scout what? One of assess, ",
    "incident": "scout incident what? One of report",
    "incident reprt x": "'reprt' is no command of scout incident; did you mean report?",
    "window --lst 1h": "'--lst' is no option of scout window; did you mean --last?",
    "window --start now": "'--start' is no option of scout window; did you mean --window-start?",
    "window --mod all": "'--mod' is no option of scout window; did you mean --mode?",
    "window --mode al": "argument --mode: 'al' is none of missing, all; did you mean all?",
    "runs --of-action cleanups": "did you mean cleanup?",
    "reset --max-poison many": "argument --max-poison: 'many' is not a whole number",
    "reset --stuck-after-seconds soon": "'soon' is not a number",
    "redrive --repair x": "'x' is not an object in JSON",
    "redrive --repair [1]": "'[1]' is not an object in JSON",
    "cleanup --quality-cleanup-rules x": "'x' is not a list in JSON",
    "undo": "the following arguments are required: RUN_ID",
    "undo last 75fac115": "scout undo takes no '75fac115'; quote what belongs together",
    "incident report gold is late": "scout incident report takes no 'is late'; quote what belongs together: '… is late'",
    "assess --yes": "'--yes' is no option of scout assess",
    "pause --reason": "argument --reason: expected one argument",
}


def variables(words: list[str]) -> dict[str, Any]:
    """What the playbook is given."""
    given = [json.loads(word) for before, word in itertools.pairwise(words) if before == "-e"]
    assert all(len(each) == 1 for each in given), "a screen breaks the line between them"
    return {name: value for each in given for name, value in each.items()}


@pytest.mark.parametrize("typed", TYPED)
def test_what_is_run(typed: str) -> None:
    playbook, given = TYPED[typed]
    words = line.words(parser.read(shlex.split(typed)), HERE)
    assert words[:2] == ["ansible-playbook", f"playbooks/{playbook}.yml"]
    assert variables(words) == given
    assert len(words) == 2 + 2 * len(given)


def test_every_playbook_has_a_command_and_every_command_an_example() -> None:
    assert sorted(each.playbook for each in COMMANDS) == sorted(path.stem for path in CHECKOUT.glob("playbooks/*.yml"))
    assert {playbook for playbook, _ in TYPED.values()} == {each.playbook for each in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: " ".join(each.words))
def test_options_are_those_of_the_roles(command: Any) -> None:
    """Each is a public variable, described, and the word behind the command is one of them."""
    there = {option.name: option for option in options.of(command.playbook)}
    assert all(option.help for option in there.values() if not option.name.endswith("_file"))
    assert not [name for name in there if "password" in name or "token" in name]
    assert not command.takes or command.takes in there


@pytest.mark.parametrize("typed", WRONG)
def test_what_is_mistyped_is_named(typed: str) -> None:
    with pytest.raises(parser.Mistyped) as refused:
        parser.read(shlex.split(typed))
    assert WRONG[typed] in str(refused.value)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_arrives_as_it_was_typed(text: str) -> None:
    for typed in (["pause", f"--reason={text}"], ["incident", "report", "--", text]):
        words = line.words(parser.read(typed), HERE)
        assert list(variables(words).values()) == [text]
        assert len(words) == 4
        # What is shown means the same to a shell, and moves no cursor.
        shown = line.shown(words, {})
        again = shlex.split(shown)
        assert again[:2] == words[:2]
        assert list(variables(again).values()) == [text]
        assert shown.isprintable()


def test_the_last_run_is_the_one_of_the_plan() -> None:
    """Of several hosts it is another on each."""
    asked = parser.read(["undo", "last", "--on-conflict", "restore"])
    assert line.is_last(asked)
    assert line.plan(asked, HERE, "/tmp/r.json")[-3:] == [
        "-e",
        '{"result_file": "/tmp/r.json"}',
        "--check",
    ]
    one, two = ({"move": {"undone": {"run_id": run_id}}} for run_id in ("75fac115", "a181a5c0"))
    pinned = line.pinned(asked, json.dumps({"results": [one]}).encode())
    assert pinned.variables == {"run_id": "75fac115", "on_conflict": "restore"}
    for results in (b"", b"[]", b"{}", b'{"results": [{"move": null}]}', json.dumps({"results": [one, two]}).encode()):
        assert line.pinned(asked, results) == asked


TITLE = re.compile(r"^scout [a-z ]+   .* UTC$", re.MULTILINE)
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_a_page_can_be_typed(page: Path) -> None:
    # The line above the phases of a run is no command.
    text = TITLE.sub("", page.read_text(encoding="utf-8"))
    for typed in {
        *re.findall(r"`(scout [a-z][^`…]*)`", text),
        *re.findall(r"^(?:\$ )?(scout (?!on )[a-z].*)$", text, re.MULTILINE),
    }:
        words = shlex.split(typed.partition("  #")[0])[1:]
        if "--help" not in words and not words[-1].endswith("|"):
            parser.read(words)


def test_secrets_are_not_shown() -> None:
    dsn = "postgresql://oncall:hunter2@db1/scout"
    typed = ["assess", "--scout-dsn", dsn, "-e", "scout_password=hunter2", "-e", '{"a": {"api_token": "hunter2"}}']
    typed += [
        "-e",
        f"scout_dsn={dsn}",
        "-e",
        "scout_dsn='host=db1 password=hunter2'",
        "-e",
        "{scout_password: hunter2}",
        "-e",
        "last=1h scout_password=hunter2 text='a b'",
    ]
    words = line.words(parser.read(typed), HERE)
    assert sum("hunter2" in word for word in words) == 7
    shown = line.shown(words, {})
    assert "hunter2" not in shown
    assert "postgresql://oncall:***@db1/scout" in shown
    assert "last=1h scout_password=*** text=" in shown


@pytest.mark.parametrize(
    ("cwd", "environment", "playbook", "settings"),
    [
        (CHECKOUT, {}, "playbooks/assess.yml", {}),
        (CHECKOUT / "docs", {}, "scout.recovery.assess", {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}),
        (CHECKOUT / "docs", {"ANSIBLE_CONFIG": "/mine.cfg"}, "scout.recovery.assess", {}),
    ],
)
def test_where_it_is_called(cwd: Path, environment: dict[str, str], playbook: str, settings: dict[str, str]) -> None:
    place = line.Place(CHECKOUT, cwd, environment)
    assert (place.playbook("assess"), place.settings()) == (playbook, settings)
