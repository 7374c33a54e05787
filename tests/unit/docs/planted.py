# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, each planted in a file of the checkout, with what the rule has to say and nothing else."""

from __future__ import annotations

from typing import NamedTuple


class Plant(NamedTuple):
    """A fault, what a rule says of it, and words of the line that it names."""

    path: str
    #: What is replaced, everywhere. With None the new text is appended, and an empty one removes the file; with "" it is the file.
    old: str | None
    new: str
    #: How each finding begins.
    wrong: tuple[str, ...]
    #: Words of the line that is named; without them it is the first.
    at: str = ""
    #: The file that is named too, or instead.
    found_in: str = ""


def shown(text: str, *wrong: str, at: str | None = None) -> Plant:
    """Something on a page that is wrong."""
    return Plant("docs/install.md", None, text, wrong, text.splitlines()[-1] if at is None else at)


def code(text: str, *wrong: str) -> Plant:
    """A command or a name on a page."""
    return shown(f"`{text}`", *wrong)


ROLE, PLAYBOOK = "roles/refresh_gold", "playbooks/refresh_gold.yml"
SPECS, DEFAULTS = f"{ROLE}/meta/argument_specs.yml", f"{ROLE}/defaults/main.yml"
TASKS, FORESEE = f"{ROLE}/tasks/main.yml", "roles/terminate_sessions/tasks/foresee.yml"
OF_FORESEE = "roles/terminate_sessions/meta/argument_specs.yml"
LEDGER, COMMENT = "module_utils/recovery/ledger/schema.py", "COMMENT ON COLUMN scout_ops.leases."
SCHEMA, RUNS = "docs/result.schema.json", "library/scout_runs_info.py"
#: What the role says of an option.
OPTIONS, SAYS = f"{ROLE}/meta/options.yml", "    text: Refresh also what is fresh."

PAGES: dict[str, list[Plant]] = {
    "pages.links_lead_somewhere": [
        shown("[a](gone.md)", "links to gone.md, which is not there"),
        shown("[a](rollback.md#gone) [b](../README.md) [c](images/gone.svg)", "links to images/gone.svg, which is not there"),
        shown("[a](https://example.com/x)", "https://example.com/x leaves the project"),
        Plant("docs/glossary.md", None, "", ("links to docs/glossary.md, which is not there",), "](docs/glossary.md", "README.md"),
    ],
    "pages.files_named_exist": [
        code("gone.yml", "names gone.yml in 'gone.yml', which is not there"),
        code("moves/window/ and moves/gone/", "names moves/gone/ in 'moves/window/ and moves/gone/', which is not there"),
        shown("```shell\ncat galaxy.yml \\\n  gone.toml\n```", "names gone.toml in 'cat galaxy.yml    gone.toml', which is not there",
              at="cat galaxy.yml"),
        shown("```text\ngone.yml\n```"),
        code("evidence/gone.yml gone.yml.j2 commands.py plugin_utils/command/"),
    ],
    "pages.ansible_commands_can_be_typed": [
        code("ansible-playbook playbooks/gone.yml", "no playbook playbooks/gone.yml in ansible-playbook playbooks/gone.yml"),
        code("ansible-playbook scout.recovery.gone", "no playbook scout.recovery.gone in ansible-playbook scout.recovery.gone"),
        code("ansible-playbook undo.yml -e gone=1", "no variable 'gone' in ansible-playbook undo.yml -e gone=1"),
        code("""ansible-playbook undo.yml -e '{"last": 1, "gone": 1}'""",
             """no variable 'gone' in ansible-playbook undo.yml -e {"last": 1, "gone": 1}"""),
        code("ansible-playbook -i gone undo.yml", "no inventory 'gone' in ansible-playbook -i gone undo.yml"),
        code("ansible-playbook undo.yml --gone", "no option --gone in ansible-playbook undo.yml --gone"),
        code("ansible-playbook undo.yml --limit", "no value of --limit in ansible-playbook undo.yml --limit"),
        code("ansible-playbook undo.yml 'x", "no playbook undo.yml 'x in ansible-playbook undo.yml 'x"),
        code("ansible-doc scout.recovery.gone", "no module scout.recovery.gone"),
        code("ansible-playbook scout.recovery.undo -i inventories/example -e last=1h --limit a --check"),
        code("ansible-doc scout.recovery.scout_undo"),
    ],
    "pages.options_named_are_public_variables": [
        code("-e gone=1", "says '-e gone=1', and gone is no public variable"),
        code("scout undo -e last=1h"),
    ],
    "pages.make_targets_exist": [
        code("make gone", "no target gone"),
        code("make reference GONE=1", "GONE is no variable of the Makefile"),
        code("make reference EVENTS=20000"),
    ],
    "pages.modules_run_by_name_exist": [
        code("python -m tests.gone", "no module in python -m tests.gone"),
        code("python tests/door.py", "no module in python tests/door.py"),
        code("python -m tests.door"),
    ],
    "pages.pages_are_plain": [
        shown("x" * 126, "has 126 characters, more than 125"),
        shown("Done \U0001f389", "has an emoji"),
        shown(f"| {'x' * 126} |"),
    ],
    "pages.screens_fit_a_terminal": [
        Plant("docs/emergency-reset.md", "  was    malformed", f"  was {'x' * 60}", ("has 94 characters, more than a terminal of 80",),
              "  was xxx"),
        Plant("docs/emergency-reset.md", "  was ", "  is  ", ("shows no summary",)),
    ],
    "pages.contributing_has_two_pages_at_most": [
        Plant("CONTRIBUTING.md", "", "x\n" * 160 + "the end", ("has 161 lines, more than 160",), "the end"),
    ],
    "pages.the_public_variables_are_listed": [
        Plant("docs/variables.md", "| `last` |", "| `gone` |", ("does not list last", "gone is read by nothing"), "| `gone` |"),
        Plant("roles/gate/defaults/main.yml", None, "gate_x: \"{{ lookup('scout.recovery.setting', 'gone', default=1) }}\"",
              ("does not list gone",), found_in="docs/variables.md"),
    ],
    "pages.every_playbook_has_a_line_of_its_command": [
        Plant("docs/command.md", "| `assess.yml` |", "| `gone.yml` |", ("has no line for assess.yml",), "## What you want to do"),
        Plant("docs/command.md", "| `scout assess` |", "| `scout runs` |", ("scout runs does not run assess.yml",), "`assess.yml`"),
        Plant("playbooks/gone.yml", "", "---\n", ("has no line for gone.yml",), "## What you want to do", "docs/command.md"),
    ],
    "pages.what_the_screen_says_is_said": [
        Plant("docs/troubleshooting.md", "| `inconclusive` |", "| `gone with the wind` |", ("nothing says 'gone with the wind'",),
              "| `gone with the wind`"),
        Plant("docs/troubleshooting.md", "## What the screen says", "## What it says",
              ("looked at 0 things, where there are at least 9",), found_in="scripts/rules"),
    ],
}  # fmt: skip

ROLES: dict[str, list[Plant]] = {
    "roles.every_entry_point_is_specified": [
        Plant(FORESEE, None, "", ("no tasks for the entry point foresee",), "foresee:", OF_FORESEE),
        Plant("roles/refresh_gold/tasks/gone.yml", "", "---\n", ("gone is imported nowhere in the role and is not specified",)),
        Plant("roles/lease/tasks/main.yml", "Refuse to guess", "Guess", ("main is imported nowhere in the role and is not specified",)),
    ],
    "roles.every_entry_point_is_described": [
        Plant(OF_FORESEE, "    description: >-\n      Ends nothing.", "    about: >-\n      Ends nothing.",
              ("the entry point foresee is not described",), "foresee:"),
    ],
    "roles.tasks_read_only_variables_of_their_role": [
        Plant(TASKS, "state: fresh", "state: '{{ refresh_gold_farce }}'",
              ("refresh_gold_farce is nowhere in the role's options and vars",), "refresh_gold_farce"),
        Plant(TASKS, "  register:", "  when: refresh_gold_gone\n  register:",
              ("refresh_gold_gone is nowhere in the role's options and vars",), "refresh_gold_gone"),
        Plant("roles/summary/vars/main.yml", None, "", (
            "summary_refused is nowhere in the role's options and vars",
            "summary_told is nowhere in the role's options and vars",
        ), "summary_", "roles/summary/tasks/main.yml"),
        Plant(TASKS, "  register:", "  when: refresh_gold_more_result is changed\n  register:", ()),
    ],
    "names.no_short_word_is_read_bare": [
        Plant(TASKS, "state: fresh", "state: '{{ force }}'", ("force is read without the lookup",), "force"),
        Plant(PLAYBOOK, "- not ansible_check_mode", "- force | bool", ("force is read without the lookup",), "force"),
        Plant(PLAYBOOK, "- not ansible_check_mode", "- x.last and y(last=1) and 'last' in z", ()),
    ],
    "names.no_inventory_of_ours_has_a_short_word": [
        Plant("inventories/example/group_vars/all.yml", None, "last: 1h", ("last sets nothing: it is called scout_last",), "last: 1h"),
        Plant("inventories/example/group_vars/all.yml", None, "scout_last: 1h", ()),
    ],
    "names.every_word_is_read_by_the_lookup_or_by_a_plugin": [
        Plant("docs/variables.md", None, "| `gone` | none | x |", ("nothing reads gone",), "| `gone` |"),
        Plant("docs/variables.md", "| `last` |", "| last |", ("last is read and not documented",)),
    ],
    "options.every_module_is_handed_options": [
        Plant("roles/runs/tasks/main.yml", "scout.recovery.scout_runs_info:", "scout.recovery.scout_undo:",
              ("no role hands an option on to scout_runs_info",), found_in="roles"),
    ],
    "options.a_row_says_only_what_its_module_does_not": [
        Plant(OPTIONS, SAYS, f"{SAYS}\n    default: false", ("force says its default, as its module does",), "  force:"),
        Plant(OPTIONS, SAYS, f"{SAYS}\n    type: bool", ("force says its type, as its module does",), "  force:"),
        Plant(OPTIONS, SAYS, f"{SAYS}\n    option: force", ("force says its own name",), "  force:"),
        Plant(OPTIONS, SAYS, f"{SAYS}\n    default: true", ()),
    ],
    "options.a_row_is_whole": [
        Plant(OPTIONS, SAYS, "    text: ''", ("force is not described",), "  force:"),
        Plant(OPTIONS, SAYS, f"{SAYS}\n    default: 'perhaps'", ("force has the default 'perhaps', which is no bool",), "  force:"),
        Plant(OPTIONS, SAYS, f"{SAYS} So does {{public}}.", ("force names a public variable that it does not have",), "  force:"),
        Plant(OPTIONS, None, "  gone:\n    text: Nothing knows it.", ("gone is no option of a module, and has no type",), "  gone:"),
    ],
}  # fmt: skip

PLAYS: dict[str, list[Plant]] = {
    "plays.the_options_of_every_role_are_checked_once": [
        Plant(PLAYBOOK, "[refresh_gold, ingestion, summary]", "[refresh_gold, summary]", ("the options of ingestion are not checked",)),
        Plant(PLAYBOOK, "[refresh_gold, ingestion, summary]", "[refresh_gold, ingestion, summary, summary]", ("summary is checked twice",)),
        Plant(PLAYBOOK, "[refresh_gold, ingestion, summary]", "[refresh_gold, ingestion, summary, undo]",
              ("undo is checked and not reached",)),
        Plant(PLAYBOOK, "            ingestion_proof_of:", "            preflight_roles: [summary]\n            ingestion_proof_of:",
              ("options are checked 2 times",)),
        Plant(PLAYBOOK, "            preflight_roles: [refresh_gold, ingestion, summary]", "            x: 1",
              ("options are checked 0 times",)),
    ],
    "plays.they_are_checked_before_anything_else": [
        Plant(PLAYBOOK, "            preflight_roles: [refresh_gold, ingestion, summary]", "            x: 1",
              ("begins with '(1/3) Check the options', which checks no options",)),
        Plant("roles/preflight/tasks/begin.yml", "---\n", "---\n- name: Wait\n  ansible.builtin.pause:\n",
              ("begins with 'Wait', which is no module of ours",)),
        Plant(PLAYBOOK, "  gather_facts: false", "  gather_facts: true", ("gathers facts before its tasks",)),
        Plant(PLAYBOOK, "  tasks:", "  pre_tasks: []\n  tasks:", ("has pre_tasks, which may come before its tasks",)),
    ],
    "plays.roles_are_reached_by_their_files_so_that_ansible_validates_none_again": [
        Plant(PLAYBOOK, "            tasks_from: main.yml\n        - name: (3/3)", "        - name: (3/3)",
              ("names 4 roles, and 3 of them by a file",), "import_role"),
        Plant(PLAYBOOK, "tasks_from: prove.yml", "tasks_from: prove", ("names 4 roles, and 3 of them by a file",), "import_role"),
        Plant(PLAYBOOK, "tasks_from: prove.yml", "tasks_from: prove.yml\n            rolespec_validate: false",
              ("rolespec_validate is not needed",), "rolespec_validate"),
    ],
    "plays.phases_are_numbered_in_order_and_without_a_gap": [
        Plant(PLAYBOOK, "(2/3)", "(4/3)", ("its phases are [1, 4, 3]",)),
        Plant(PLAYBOOK, "(2/3)", "(1/3)", ("its phases are [1, 1, 3]",)),
        Plant(PLAYBOOK, "(3/3)", "(3/4)", ("has 3 phases, and says [3, 4]",)),
        Plant(PLAYBOOK, "/3) ", "/3)", ("its phases are []",)),
        Plant("playbooks/preflight.yml", "- name: Summary", "- name: (1/1) Summary", ("has phases, which nobody waits for",)),
    ],
    "plays.only_what_comes_in_any_case_has_no_number": [
        Plant(PLAYBOOK, "(2/3) Refresh", "Refresh", ("'Refresh gold' has no number",), "Refresh gold"),
        Plant(PLAYBOOK, "_role:", "_rule:", ("reaches one role at most",)),
    ],
    "results.return_documents_exactly_what_is_returned": [
        Plant(RUNS, "  type: list\n  elements: dict\n", "  type: list\n  elements: str\n", (
            ("RETURN says {'type': 'list', 'null': False, 'always': True, 'elements': {'str'}} of runs, which is "
            "{'type': 'list', 'null': False, 'always': True, 'elements': {'dict'}}"),), "runs:"),
        Plant(RUNS, "One line for a person.", "One line for a person, or null.", (
            ("RETURN says {'type': 'str', 'null': True, 'always': True, 'elements': set()} of summary, which is "
            "{'type': 'str', 'null': False, 'always': True, 'elements': set()}"),), "summary:"),
        Plant(RUNS, "  returned: success\n  type: str", "  returned: sometimes\n  type: str", (
            ("RETURN says {'type': 'str', 'null': False, 'always': False, 'elements': set()} of summary, which is "
            "{'type': 'str', 'null': False, 'always': True, 'elements': set()}"),), "summary:"),
        Plant(RUNS, "\nsummary:\n  desc", "\ngone:\n  desc",
              ("RETURN has gone, which is not returned", "RETURN lacks summary"), "RETURN = "),
    ],
    "results.schema_has_the_types_that_modules_return": [
        Plant(SCHEMA, '"ok": {"type": "boolean", "description": "Whether to go on"}', '"ok": {"type": "string"}',
              ("ok of gate is ['string'], and modules return ['boolean']",), '"gate": {'),
        Plant(SCHEMA, '    "ok": {"type": "boolean", "description": "Whether to go on"},\n', "",
              ("ok is not in both the schema of gate and its summary",), '"gate": {'),
        Plant(SCHEMA, '"step_count": {"type": ["integer", "null"]}', '"step_count": {"type": "integer"}',
              ("step_count of rollback.schema is ['integer'], and modules return ['integer', 'null']",), '"schema": {'),
    ],
    "results.schema_has_the_fields_of_the_document": [
        Plant(SCHEMA, '    "incident": {"type": "string"},\n    "check_mode"', '    "check_mode"',
              ("incident is not in all of the document, the schema and what it requires",), '"result": {'),
        Plant(SCHEMA, '"format", "operation", "host", "database",', '"format", "operation", "host",',
              ("database is not in all of the document, the schema and what it requires",), '"result": {'),
        Plant(SCHEMA, '"check_mode": {"type": "boolean"}', '"check_mode": {"type": "string"}',
              ("check_mode is ['string'], and ['boolean'] in the document",), '"result": {'),
    ],
    "results.result_schema_knows_every_outcome": [
        Plant(SCHEMA, '"recovered", "nothing_to_do"', '"nothing_to_do"',
              ("the outcome recovered is not in both the schema and the summary",), '"outcome"'),
        Plant(SCHEMA, '"recovered", "nothing_to_do"', '"recovered", "gone", "nothing_to_do"',
              ("the outcome gone is not in both the schema and the summary",), '"outcome"'),
        Plant(SCHEMA, "scout-recovery-result/1", "scout-recovery-result/0",
              ("says format scout-recovery-result/0, which is scout-recovery-result/1",), '"format"'),
        Plant(SCHEMA, '"check_mode": {"type": "boolean"}', '"check_mode": {"type": "gone"}',
              ("is no schema: 'gone' is not valid under any of the given schemas",)),
    ],
    "results.result_schema_fits_a_run_without_any_result": [
        Plant(SCHEMA, '"check_mode": {"type": "boolean"}', '"check_mode": {"type": "string"}',
              ("refuses $.results[0].check_mode of a run without any result: False is not of type 'string'",)),
    ],
}  # fmt: skip

CODE: dict[str, list[Plant]] = {
    "code.design_shows_every_package": [
        Plant("docs/design.md", "| `fleet/` |", "| `gone/` |", ("fleet is not both a package and shown once",
              "gone is not both a package and shown once"), "`"),
        Plant("docs/design.md", "| `fleet/` |", "| `core/` |", ("fleet is not both a package and shown once",
              "core is not both a package and shown once"), "`"),
        Plant("module_utils/recovery/gone/__init__.py", "", "x = 1\n", ("gone is not both a package and shown once",
              "there are 15 packages, and pages say 14"), found_in="docs/design.md"),
    ],
    "code.the_chains_of_calls_are_as_the_page_says": [
        Plant("docs/follow-an-event.md", "`Tolerance`", "`Gone`",
              ("module_utils/recovery/pipeline/poison_policy.py has no Gone",), "`Gone`"),
        Plant("docs/follow-an-event.md", "](../", "](", ("looked at 0 things, where there are at least 15",), found_in="scripts/rules"),
    ],
    "code.where_to_change_a_thing_is_a_place_that_exists": [
        Plant("docs/design.md", "`health/thresholds.py`", "`health/gone.py`", ("no file health/gone.py",), "`health/gone.py`"),
        Plant("docs/design.md", "| `commands.py` |", "| commands.py |", ("looked at 15 things, where there are at least 16",),
              found_in="scripts/rules"),
    ],
    "code.no_file_is_too_long": [
        Plant("library/gone.py", "", "x = 1\n" * 701, ("has 701 lines, more than 700",), "x = 1"),
        Plant("library/gone.py", "", "x = 1\n" * 700, ()),
    ],
    "code.every_difference_has_a_proof": [
        Plant("docs/differences.md", "`test_a_leaked_lock`", "`test_gone`", ("no test test_gone",), "`test_gone`"),
        Plant("docs/differences.md", None, "| a | b | c | trust me |", ("names no test: trust me",), "trust me"),
    ],
    "code.ledger_page_has_every_table": [
        Plant("docs/ledger.md", "## runs\n", "", ("has the tables",)),
    ],
    "code.every_column_of_the_ledger_has_a_comment": [
        Plant(LEDGER, f"{COMMENT}pid IS", f"{COMMENT}gone IS",
              ("leases.pid has no comment",), "CREATE TABLE scout_ops.leases"),
    ],
    "code.changelog_names_what_a_user_meets": [
        Plant("playbooks/gone.yml", "", "---\n", ("no fragment names gone",), found_in="changelogs/fragments"),
        Plant("library/scout_gone.py", "", "x = 1\n", ("no fragment names scout_gone",), found_in="changelogs/fragments"),
    ],
    "code.every_attack_stands_on_the_page_with_its_test": [
        Plant("tests/security/test_gone.py", "", "x = 1\n", ("does not have tests/security/test_gone.py",), found_in="docs/security.md"),
        Plant("docs/security.md", None, "| a | b | `tests/security/test_gone.py` |",
              ("tests/security/test_gone.py is no test of an attack, or has a line already",), "test_gone"),
        Plant("docs/security.md", None, "| a | b | `tests/security/test_screens.py` |",
              ("tests/security/test_screens.py is no test of an attack, or has a line already",), "| a |"),
    ],
    "code.the_site_has_what_a_reader_looks_for": [
        Plant("mkdocs.yml", "  - Get started:", "  - Course:", ("nav is",), "nav:"),
        Plant("mkdocs.yml", "strict: true", "strict: false", ("strict is False, not True",), "strict:"),
        Plant("mkdocs.yml", "  font: false\n", "  font: Inter\n", ("font is Inter, not False",), "font:"),
        Plant("mkdocs.yml", "scheme: slate", "scheme: default", ("palette is",), "palette:"),
        Plant("mkdocs.yml", "  - search\n", "  - tags\n", ("plugins is False, not True",), "plugins:"),
    ],
    "generated.generated_pages_are_current": [
        *(Plant(path, old, "gone", (f"is out of date: run scripts/{by}",), "gone") for path, old, by in (
            ("docs/roles.md", "`refresh_gold_force`", "docs"), ("docs/ledger.md", "| `run_id` | uuid | Identifies the run;", "docs"),
            ("docs/variables.md", "scout_contract:", "docs"), ("docs/design.md", "| 13 | `fleet/`", "docs"),
            ("docs/images/layers.svg", "<rect", "docs"), ("docs/images/growth.svg", "<polyline", "docs"),
            ("docs/images/life-of-an-event.svg", "bronze_events", "docs"), ("docs/images/architecture.svg", "scout_ops", "docs"),
            ("docs/images/order-of-a-rollback.svg", "7 Pause ingestion", "docs"), (DEFAULTS, "refresh_gold_force: false", "docs"),
            (SPECS, "Refresh also what is fresh", "docs"), ("plugins/plugin_utils/handed_on.json", '"refresh_gold/main"', "docs"),
            ("monitoring/prometheusrule.yml", "kind: PrometheusRule", "docs"), ("deploy/awx/job_templates.yml", "job_type: run", "awx"))),
        Plant("docs/roles.md", None, "", ("is out of date: run scripts/docs",)),
    ],
    "generated.the_page_shows_what_was_found": [
        Plant("docs/support.md", "| 4 passed |", "| 5 passed |", ("does not show what docs/support.json says",), "support: "),
        Plant("docs/support.json", '"tests": 4', '"tests": 5',
              ("does not show what docs/support.json says",), "support: ", "docs/support.md"),
    ],
    "generated.the_table_has_a_line_for_all_that_can_be_tried": [
        Plant("docs/support.json", "PostgreSQL 14", "PostgreSQL 13", ("is about",)),
    ],
    "generated.chosen_tests_exist": [
        Plant("tests/e2e/test_evidence.py", "def test_evidence_is_kept_and_verified", "def test_gone",
              ("no test tests/e2e/test_evidence.py::test_evidence_is_kept_and_verified",), "test_evidence_is_kept", "scripts/matrix"),
        Plant("tests/e2e/test_evidence.py", None, "",
              ("no test tests/e2e/test_evidence.py::test_evidence_is_kept_and_verified",), "test_evidence_is_kept", "scripts/matrix"),
    ],
    "generated.nothing_that_is_claimed_has_failed": [
        Plant("docs/support.json", '"name": "PostgreSQL 14",\n    "tests": 4,\n    "passed": true',
              '"name": "PostgreSQL 14",\n    "tests": 4,\n    "passed": false', ("PostgreSQL 14 has failed",), '"PostgreSQL 14"'),
    ],
    "english.pages_for_users_are_in_plain_english": [
        shown("It stops. What is dropped with data is saved\nfirst. `his` goes.", "'What is dropped with data is saved first.': write",
              at="It stops."),
        shown("- **Who may do it** is told.", "'Who may do it** is told.': write", "'told': write reported", at="Who may"),
        shown("| a role is made | ours |", "'is made': write create", "'ours': write the toolkit's", at="a role"),
        shown("# A\n\nWhat is it?\n\n```\nours\n```\n\nIt is\nsaid.", "'said': write reported", at="said."),
        shown("It shows what is there. A capture makes it possible, and nothing is made up."),
        Plant("docs/design.md", None, "He says what is ours. Whoever comes is told.", ()),
    ],
    "words.texts_for_people_use_the_words_of_the_field": [
        shown("It is\nmended.\n\n```shell\nmend\n```\n`mend`", "'mended': say fix", at="mended."),
        shown("```text\nmend it\n```", "'mend': say fix", at="mend it"),
        Plant("plugins/gone.py", "", 'def f():\n    """The kin of it."""\n    raise ValueError("SELECT kin")\n',
              ("'kin': say related events",), "The kin"),
        Plant("plugins/gone.py", "", 'x = 1\nX = f"mend {x} of "\n"them"\n', ("'mend': say fix",), "mend"),
        Plant("roles/gone/tasks/main.yml", "", "---\n# the way back\n- name: Mend it\n  vars: {mode: mend}\n",
              ("'way back': say undo, roll back", "'Mend': say fix"), "e"),
        Plant("docs/gone.json", "", '{\n"description": "its exhibits", "enum": ["mend"]}',
              ("'exhibits': say evidence archive",), "exhibits"),
    ],
    "words.names_and_comments_use_the_words_of_the_field": [
        Plant("tests/unit/gone.py", "", "x = 1\ndef of_kin() -> None:\n    pass\n", ("'kin' in a name or a comment",), "of_kin"),
        Plant("plugins/gone.py", "", "x = 1\n# Mended by hand.\n", ("'Mended' in a name or a comment",), "# Mended"),
        Plant("plugins/gone.py", "", "recommend = kind = amended = 1\n", ()),
    ],
}  # fmt: skip

PLANTED = PAGES | ROLES | PLAYS | CODE
