# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command stands alone, complete, and words are words."""

from __future__ import annotations

import ast
import re

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import advice, errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import layout
from tests import CHECKOUT

A = "ansible-playbook scout.recovery.assess"
R = "ansible-playbook scout.recovery.redrive"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("as loader: SELECT cron.schedule('etl', '* * * * *', 'SELECT 1;'); fix it, then " + A,
         ["as loader:", "SELECT cron.schedule('etl', '* * * * *', 'SELECT 1;');", "fix it, then", A]),
        ('GRANT USAGE ON SCHEMA scout TO op; GRANT SELECT ON scout.x TO "o p"',
         ["GRANT USAGE ON SCHEMA scout TO op;", 'GRANT SELECT ON scout.x TO "o p";']),
        ('ALTER ROLE "op" BYPASSRLS, or work as the owner', ['ALTER ROLE "op" BYPASSRLS;', "or work as the owner"]),
        ("if it is yours: `ALTER TABLE x OWNER TO y`. Else ask", ["if it is yours:", "ALTER TABLE x OWNER TO y;", "Else ask"]),
        ("a superuser runs psql -X -d scout -v role=op -f docs/operator_role.sql (or the grants)",
         ["a superuser runs", "psql -X -d scout -v role=op -f docs/operator_role.sql", "(or the grants)"]),
        ("UPDATE on silver is not needed", ["UPDATE on silver is not needed"]),
        ("create the index again, then " + A, ["create the index again, then", A]),
    ],
)  # fmt: skip
def test_what_is_typed_stands_alone(text: str, lines: list[str]) -> None:
    assert layout.wrapped(text, 90) == lines


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("CREATE UNIQUE INDEX ON t (a, b); then again", "CREATE UNIQUE INDEX ON t (a, b);"),
        ("CREATE UNIQUE INDEX ON t (a, lower(b), c), or ask its owner", "CREATE UNIQUE INDEX ON t (a, lower(b), c);"),
        ("SELECT cron.schedule('a', 'b (c, d')", "SELECT cron.schedule('a', 'b (c, d');"),
        ("ALTER TABLE t ADD COLUMN c numeric, as its owner (who, see there)", "ALTER TABLE t ADD COLUMN c numeric;"),
    ],
)
def test_a_list_in_brackets_is_part_of_a_statement(text: str, statement: str) -> None:
    first = next(iter(advice.parts(text)))
    assert (first.text, first.is_statement) == (statement, True)


def test_a_statement_is_folded_between_its_words() -> None:
    lines = layout.wrapped("SELECT cron.schedule('a job of ours', '*/5 * * * *', 'SELECT f();');", 30)
    assert lines == ["SELECT", "cron.schedule('a job of ours',", "'*/5 * * * *', 'SELECT f();');"]


@pytest.mark.parametrize(
    ("text", "commands", "words"),
    [
        (A, [A], []),
        (f"{A}, then wait", [A], ["then wait"]),
        (f"wait, then {A}", [A], ["wait, then"]),
        (f"{A}; then {R} -e scout_run_id=7.", [A, f"{R} -e scout_run_id=7"], []),
        (f"once fixed, {R} -e scout_stores=a,b; or not", [f"{R} -e scout_stores=a,b"], ["once fixed, … or not"]),
        (f"""{R} -e '{{"x": "1, 2"}}' -e "t='a; b'" when ready""", [f"""{R} -e '{{"x": "1, 2"}}' -e "t='a; b'\""""], ["when ready"]),
        (f"{A} --check shows it", [f"{A} --check"], ["shows it"]),
        ("`terminate_sessions.yml -e scout_stuck_after_seconds=9` ends it",
         ["ansible-playbook scout.recovery.terminate_sessions -e scout_stuck_after_seconds=9"], ["ends it"]),
        ("incident_report.yml tells of it", [], ["incident_report.yml tells of it"]),
        (f"{R} -e \"text='…'\"", [], [f"{R} -e \"text='…'\""]),
        ("", [], []),
    ],
)  # fmt: skip
def test_commands_and_words(text: str, commands: list[str], words: list[str]) -> None:
    assert advice.commands([text]) == commands
    assert advice.words([text]) == words


LUZON = " --limit 'lu zon'"


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        (f"wait, then {A}; then {R} -e scout_run_id=7", f"wait, then {A}{LUZON}; then {R}{LUZON} -e scout_run_id=7"),
        (f"{R} -e \"scout_text='…'\"", f"{R}{LUZON} -e \"scout_text='…'\""),
        (f"{A}{LUZON} --check", f"{A}{LUZON} --check"),
        ("scout.recovery.assess and ansible-playbook own.yml", "scout.recovery.assess and ansible-playbook own.yml"),
    ],
)
def test_a_command_for_a_host(text: str, typed: str) -> None:
    """The host follows the playbook, so that what is still to be filled in has it too; it stays one command."""
    assert advice.of_host(text, "lu zon") == typed
    assert advice.of_host({"next": [text]}, "lu zon") == {"next": [typed]}
    assert advice.of_host(text, "") == text
    assert len(advice.commands([typed])) == len(advice.commands([text]))


def test_an_error_says_both_for_a_machine() -> None:
    made = errors.NotConverged("x", next_step=f"`{A}` shows it; then run the same command again").as_dict()
    assert made["commands"] == [A]
    assert made["next_step"] == f"{A} shows it; then run the same command again"
    assert made["advice"] == ["shows it; then run the same command again"]


#: What throws data aside belongs on a page that says what is lost then, and on no screen.
THROWS_ASIDE = re.compile(r"allow_lossy=true|poison=quarantine|max_poison(?:_share)?=\d")


def test_no_text_of_the_product_offers_to_throw_data_aside() -> None:
    found: list[str] = []
    for path in [*(CHECKOUT / "module_utils").rglob("*.py"), *(CHECKOUT / "plugins").rglob("*.py")]:
        if "doc_fragments" not in path.parts:
            texts = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
            found += [f"{path.name}: {text}" for text in texts if isinstance(text, str) and THROWS_ASIDE.search(text)]
    assert found == []
