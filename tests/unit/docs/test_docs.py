# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation names is there, what is there is documented, and a role's defaults and argument specs agree."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import schema as ledger_schema
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from ansible_collections.scout.recovery.plugins.plugin_utils import right_database, rollout, task_options
from tests import CHECKOUT

ROOT = CHECKOUT
DRILLS = ROOT / "drills"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", DRILLS / "README.md", *ROOT.glob("docs/*.md")])
ROLES = sorted(path.parent.parent for root in (ROOT, DRILLS) for path in root.glob("roles/*/meta/argument_specs.yml"))
PLAYBOOKS = {path.stem for path in ROOT.glob("playbooks/*.yml")}
MODULES = {path.stem for path in [*ROOT.glob("library/*.py"), *DRILLS.glob("plugins/modules/*.py")]}
# What running things makes, what stands for a name to be chosen, and a word with a slash that is no file.
MADE_LATER = re.compile(
    r"^\.(venv|scout|molecule)/|^evidence/|NAME|^meta/|^tasks/|^defaults/|^group/|^local/|^example/|^supabase/|^refs/"
    r"|^app/|^private/|^drills/history|^actions/|^scorecard\.|^drill-results/|^drills/history/"
)
TYPES: dict[str, type | tuple[type, ...]] = {
    "bool": bool, "dict": dict, "float": (int, float), "int": int, "list": list, "path": str, "str": str,
}  # fmt: skip
# What people set; what begins with _ is Ansible's.
PUBLIC = re.compile(r"lookup\('scout.recovery.setting', '(?!_)(\w+)'|\{\{ (scout_contract) \|")

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
by_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def spec(role: Path) -> dict[str, dict[str, Any]]:
    """The options of all entry points together."""
    entries = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for entry in entries.values() for name, option in entry.get("options", {}).items()}


def defaults(role: Path) -> dict[str, Any]:
    return load(role / "defaults" / "main.yml") or {}


def public_variables() -> set[str]:
    """What the playbooks, the defaults of the roles and the action plugin take from whoever calls."""
    sources = [path for root in (ROOT, DRILLS) for path in root.glob("playbooks/*.yml")]
    sources += [path for root in (ROOT, DRILLS) for path in root.glob("roles/*/defaults/main.yml")]
    found = [names for path in sources for names in PUBLIC.findall(path.read_text(encoding="utf-8"))]
    read_by_plugins = {"target", right_database.ALLOW, *rollout.names()}
    return {name for names in found for name in names if name} | task_options.names() | read_by_plugins


def code(page: Path) -> Iterator[str]:
    """Every command and name that a page shows as code; what is marked as text is a screen, which another test makes."""
    text = page.read_text(encoding="utf-8")
    for word, block in re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        if word == "text":
            continue
        yield from (line.partition("  #")[0].strip() for line in block.replace("\\\n", " ").splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def commands(page: Path, name: str) -> list[list[str]]:
    """The words of every such command on a page, with arguments."""
    return [shlex.split(line) for line in code(page) if line.startswith(f"{name} ")]


def tables(page: Path) -> Iterator[list[str]]:
    """The cells of every row of every table on a page."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_generated_pages_are_current() -> None:
    done = subprocess.run([sys.executable, "scripts/docs", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@by_role
def test_defaults_and_argument_specs_agree(role: Path) -> None:
    options, given = spec(role), defaults(role)
    required = {name for name, option in options.items() if option.get("required")}
    assert set(given) == set(options) - required
    for name, option in options.items():
        assert name.startswith(f"{role.name}_"), f"{name} does not carry the role's name"
        assert option["description"], f"{name} is not described"
        if "default" in option:
            assert given[name] == option["default"], f"{name} has two defaults"
        if name in given and not (isinstance(given[name], str) and "{{" in given[name]):
            assert given[name] == option.get("default"), f"the default of {name} is not in the argument specs"
            assert isinstance(given[name], TYPES[option["type"]]), f"the default of {name} is no {option['type']}"


@by_role
def test_every_entry_point_is_specified(role: Path) -> None:
    entries = set(load(role / "meta" / "argument_specs.yml")["argument_specs"])
    files = {path.stem for path in role.glob("tasks/*.yml")}
    assert entries <= files
    texts = {path.stem: path.read_text(encoding="utf-8") for path in role.glob("tasks/*.yml")}
    imported = {stem for stem in files if any(f"{stem}.yml" in text for by, text in texts.items() if by != stem)}
    assert files - imported - entries <= ({"main"} if "Refuse to guess" in texts.get("main", "") else set())


@by_role
def test_tasks_read_only_variables_of_their_role(role: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(role.glob("tasks/*.yml")))
    used = " ".join(re.findall(r"\{\{.*?\}\}|when:.*", text))
    named = set(re.findall(rf"(?<![\w.]){role.name}_[a-z_]+", used))
    own = role / "vars" / "main.yml"
    made = set(load(own)) if own.exists() else set()
    assert {name for name in named if not name.endswith("_result")} <= set(spec(role)) | made


def test_the_public_variables_are_listed() -> None:
    listed = {
        name
        for cells in tables(ROOT / "docs" / "variables.md")
        if len(cells) == 3 and re.fullmatch(r"`\w+`(, `\w+`)*", cells[0])
        for name in re.findall(r"\w+", cells[0])
    }
    assert listed == public_variables()


def test_every_playbook_has_a_line_by_symptom() -> None:
    page = ROOT / "docs" / "symptoms.md"
    text = page.read_text(encoding="utf-8").partition("## What you want to do")[2]
    assert text
    rows = [cells[1] for cells in tables(page) if len(cells) == 3 and cells[1] in text]
    assert all(any(f"playbooks/{name}.yml" in row for row in rows) for name in PLAYBOOKS)


def test_what_the_screen_says_by_symptom_is_said() -> None:
    page = (ROOT / "docs" / "symptoms.md").read_text(encoding="utf-8")
    table = page.partition("## What the screen says")[2].partition("\n## ")[0]
    phrases = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(phrases) > 8
    said = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("module_utils/recovery/**/*.py"))
    said += (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert [phrase for phrase in phrases if re.split(r" \d", phrase)[0] not in said] == []


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert not target.startswith("http"), f"{target} leaves the project"
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@by_page
def test_files_named_exist(page: Path) -> None:
    places = (
        ROOT,
        ROOT / "module_utils" / "recovery",
        ROOT / "playbooks",
        ROOT / "tests",
        ROOT / "inventories",
        DRILLS,
        page.parent,
    )
    for text in code(page):
        for name in re.findall(r"(?:(?<=[\s`'=])|^)[\w.-]+/[\w./-]*|\b[\w-]+\.(?:py|yml|md|txt|toml)\b(?!\.j2)", text):
            if not MADE_LATER.search(name):
                found = any((place / name).exists() for place in places) or any(
                    any(base.glob(f"{top}/**/{name}")) for base in (ROOT, DRILLS) for top in ("plugins", "module_utils")
                )
                assert found, f"{page.name} names {name} in {text!r}"


@by_page
def test_ansible_commands_can_be_typed(page: Path) -> None:
    variables = public_variables()
    for words in commands(page, "ansible-playbook"):
        rest = iter(words[1:])
        for word in rest:
            if word in ("-e", "-i"):
                value = next(rest)
                if word == "-i":
                    assert (ROOT / value).exists(), words
                else:
                    names = json.loads(value) if value.startswith("{") else [value.partition("=")[0]]
                    assert set(names) <= variables, words
            elif word in ("--limit", "--forks"):
                assert next(rest), words
            elif word.startswith("-"):
                assert word in ("--check", "--ask-vault-pass"), words
            elif word.startswith(("scout.recovery.", "scout.drills.")):
                assert word.rpartition(".")[2] in PLAYBOOKS, words
            else:
                assert (ROOT / word).is_file() or (ROOT / "playbooks" / word).is_file(), words
    for words in commands(page, "ansible-doc"):
        assert words[1].rpartition(".")[2] in MODULES


@by_page
def test_options_named_are_public_variables(page: Path) -> None:
    for text in code(page):
        for name in re.findall(r"-e (\w+)=", text):
            assert name in public_variables(), f"{page.name} says {text!r}"


@by_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in commands(page, "make"):
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
        for word in words[2:]:
            assert re.search(rf"^(export )?{word.partition('=')[0]} \?=", makefile, re.MULTILINE), words


@by_page
def test_modules_run_by_name_exist(page: Path) -> None:
    for words in commands(page, "python"):
        assert words[1] == "-m"
        assert (ROOT / Path(*words[2].split("."))).with_suffix(".py").exists()


@by_page
def test_pages_are_plain(page: Path) -> None:
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|") and page.name != "roles.md":
            assert len(line) <= 125, f"{page.name}:{number} is long"
        assert not re.search(r"[\U0001F000-\U0001FAFF\u2600-\u27BF]", line), f"{page.name}:{number} has an emoji"


def test_screens_fit_a_terminal() -> None:
    text = (ROOT / "docs" / "emergency-reset.md").read_text(encoding="utf-8")
    screen = next(block for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "  was " in block)
    assert max(map(len, screen.splitlines())) <= 80


def test_design_shows_every_package() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in ROOT.glob("module_utils/recovery/*/__init__.py")} | {"invoke"}
    shown = re.findall(r"^\| \d+ \| `(\w+)(?:/|\.py)` \| [^|]+ \|$", page, re.MULTILINE)
    assert sorted(shown) == sorted(packages)
    assert len(shown) == 15


def test_the_chains_of_calls_are_as_the_page_says() -> None:
    page = (ROOT / "docs" / "follow-an-event.md").read_text(encoding="utf-8")
    hops = re.findall(r"\]\(\.\./([\w/]+\.py)\)\s`(\w+)`", page)
    assert len(hops) >= 15
    for file, name in hops:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE), f"{file} has no {name}"


def test_where_to_change_a_thing_is_a_place_that_exists() -> None:
    page = (
        (ROOT / "docs" / "design.md")
        .read_text(encoding="utf-8")
        .partition("## Where do I change")[2]
        .partition("\n## ")[0]
    )
    rows = re.findall(r"^\| [^|]+ \| `?([\w/]+)`?[^|]*\| `([\w/.]+)` \|$", page, re.MULTILINE)
    assert len(rows) == 8
    for start, there in rows:
        bases = (ROOT / "module_utils" / "recovery", ROOT / start)
        assert any((base / there).is_file() for base in bases), there


def test_no_file_and_no_package_is_too_long() -> None:
    for root in (ROOT / "module_utils", ROOT / "library", ROOT / "plugins", DRILLS / "plugins"):
        for path in root.rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= 400, f"{path}: {lines} lines"
    for package in (ROOT / "module_utils" / "recovery", DRILLS / "plugins" / "plugin_utils"):
        for folder in {path.parent for path in package.rglob("*.py")}:
            files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
            assert len(files) <= 12, f"{folder}: {len(files)} files"


def test_every_difference_has_a_proof() -> None:
    rows = [cells for cells in tables(ROOT / "docs" / "differences.md") if len(cells) == 4][2:]
    there = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    for _, _, _, proofs in rows:
        if proofs not in ("Proved by", "---"):
            named = set(re.findall(r"`(test_\w+)`", proofs))
            assert named, proofs
            assert named <= there, named - there


def test_contributing_has_two_pages_at_most() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 110


def test_ledger_page_has_every_table() -> None:
    page = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == list(ledger_schema.TABLES)
    for version in ledger_schema.VERSIONS:
        for table, body in re.findall(r"CREATE TABLE scout_ops\.(\w+) \((.*?)\n\);", version, re.DOTALL):
            for column in re.findall(r"^    ([a-z_]+) ", body, re.MULTILINE):
                assert f"COMMENT ON COLUMN scout_ops.{table}.{column} IS" in version, f"{table}.{column} has no comment"


def test_result_schema_knows_every_outcome() -> None:
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    outcomes = set(schema["$defs"]["result"]["properties"]["outcome"]["enum"])
    assert outcomes == render.GOOD | {"failed", "left_paused", "not_passed", "still_failing", "cannot_tell"}
    assert schema["properties"]["format"]["const"] == render.FORMAT


def test_result_schema_fits_a_run_without_any_result() -> None:
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
    story = render.Story("emergency_reset", "local", "adhoc", False, True, {})
    made = {"format": render.FORMAT, "run_key": "x", "results": [render.document(story)]}
    jsonschema.validate(json.loads(json.dumps(made)), schema)


def test_changelog_names_what_a_user_meets() -> None:
    paths = [*ROOT.glob("changelogs/fragments/*.yml"), *ROOT.glob("changelogs/changelog.yaml")]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    missing = sorted(name for name in PLAYBOOKS | MODULES if f"``{name}``" not in text)
    assert not missing


def test_every_attack_stands_on_the_page_with_its_test() -> None:
    carried_out = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("tests/security/test_*.py"))]
    listed = [cells[-1].strip("`") for cells in tables(ROOT / "docs" / "security.md") if "tests/security/" in cells[-1]]
    assert sorted(listed) == carried_out


@by_role
def test_every_entry_point_is_described(role: Path) -> None:
    """Without it the pages that are made of a collection have only an error for the role."""
    entries = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    assert [name for name, entry in entries.items() if not entry.get("description")] == []
