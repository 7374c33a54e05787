# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page names is there, and can be typed."""

from __future__ import annotations

import functools
import json
import posixpath
import re
from collections.abc import Iterator

from ansible_collections.scout.recovery.plugins.plugin_utils import right_database, task_options
from ansible_collections.scout.recovery.plugins.plugin_utils.command.commands import COMMANDS
from scripts.rules.markdown import code, commands, pages, rows, section
from scripts.rules.tree import Finding, Tree, line_of, name_of, one, rule

# What running things makes, what stands for a name to be chosen, and a word with a slash that is no file.
MADE_LATER = re.compile(
    r"^\.(venv|scout|molecule)/|^evidence/|NAME|^meta/|^tasks/|^defaults/|^group/|^local/|^example/|^supabase/|^refs/"
    r"|^app/|^private/|^drills/history|^actions/|^scorecard\.|^drill-results/|^drills/history/"
)
FILE = re.compile(r"(?:(?<=[\s`'=])|^)[\w.-]+/[\w./-]*|\b[\w-]+\.(?:py|yml|md|txt|toml)\b(?!\.j2)")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
#: Where a file may be that a page names by a part of its path.
PLACES = ("", "module_utils/recovery", "playbooks", "tests", "inventories", "drills")
DEEPER = [f"{base}{top}/**/" for base in ("", "drills/") for top in ("plugins", "module_utils")]
# What people set; what begins with _ is Ansible's.
PUBLIC = re.compile(r"lookup\('scout.recovery.setting', '(?!_)(\w+)'|\{\{ (scout_contract) \|")
#: Pictures, but for the two signs that a screen has of how a phase ended.
EMOJI = re.compile(r"[\U0001F000-\U0001FAFF\u2600-\u2712\u2714-\u2716\u2718-\u27BF]")
LONGEST_LINE, LONGEST_GUIDE, WIDTH = 125, 160, 80
#: What the lines of a screen mean.
READ = "docs/troubleshooting.md"


def playbooks(tree: Tree) -> set[str]:
    """The names of all playbooks."""
    return {name_of(path) for path in tree.files("playbooks/*.yml")}


def modules(tree: Tree) -> set[str]:
    """The names of all modules."""
    return {name_of(path) for path in tree.files("library/*.py", "drills/plugins/modules/*.py")}


@functools.cache
def public_variables(tree: Tree) -> frozenset[str]:
    """What the playbooks, the defaults of the roles and the action plugin take from whoever calls."""
    sources = tree.files(
        "playbooks/*.yml", "drills/playbooks/*.yml", "roles/*/defaults/main.yml", "drills/roles/*/defaults/main.yml"
    )
    found = {name for path in sources for names in PUBLIC.findall(tree.text(path)) for name in names if name}
    return frozenset(found | task_options.names() | {"target", right_database.ALLOW})


@rule(pages)
def links_lead_somewhere(tree: Tree, page: str) -> Iterator[Finding]:
    """Within the project alone."""
    text = tree.text(page)
    for link in LINK.finditer(text):
        if link[1].startswith("http"):
            yield Finding(page, line_of(text, link.start()), f"{link[1]} leaves the project")
        elif not tree.exists(posixpath.join(posixpath.dirname(page), link[1])):
            yield Finding(page, line_of(text, link.start()), f"links to {link[1]}, which is not there")


@rule(pages)
def files_named_exist(tree: Tree, page: str) -> Iterator[Finding]:
    """Somewhere below the places that pages take names from."""
    places = (*PLACES, posixpath.dirname(page))
    for line, text in code(tree, page):
        for name in FILE.findall(text):
            there = MADE_LATER.search(name) or any(tree.exists(posixpath.join(place, name)) for place in places)
            if not there and not any(tree.has(f"{deeper}{name}") for deeper in DEEPER):
                yield Finding(page, line, f"names {name} in {text!r}, which is not there")


@rule(pages)
def ansible_commands_can_be_typed(tree: Tree, page: str) -> Iterator[Finding]:
    """With options, inventories, variables and playbooks that there are."""
    for line, words in commands(tree, page, "ansible-playbook"):
        yield from (Finding(page, line, f"{wrong} in {' '.join(words)}") for wrong in _mistyped(tree, words))
    for line, words in commands(tree, page, "ansible-doc"):
        if words[1].rpartition(".")[2] not in modules(tree):
            yield Finding(page, line, f"no module {words[1]}")


def _mistyped(tree: Tree, words: list[str]) -> Iterator[str]:
    rest = iter(words[1:])
    for word in rest:
        if word == "-e":
            value = next(rest, "")
            names: set[str] = set(json.loads(value)) if value.startswith("{") else {value.partition("=")[0]}
            yield from (f"no variable {name!r}" for name in sorted(names - public_variables(tree)))
        elif word == "-i":
            value = next(rest, "")
            if not value or not tree.exists(value):
                yield f"no inventory {value!r}"
        elif word in ("--limit", "--forks"):
            if not next(rest, ""):
                yield f"no value of {word}"
        elif word.startswith("-"):
            if word not in ("--check", "--ask-vault-pass"):
                yield f"no option {word}"
        elif not _is_playbook(tree, word):
            yield f"no playbook {word}"


def _is_playbook(tree: Tree, word: str) -> bool:
    if word.startswith(("scout.recovery.", "scout.drills.")):
        return word.rpartition(".")[2] in playbooks(tree)
    return tree.is_file(word) or tree.is_file(f"playbooks/{word}")


@rule(pages)
def options_named_are_public_variables(tree: Tree, page: str) -> Iterator[Finding]:
    """After -e, also in a part of a command."""
    for line, text in code(tree, page):
        for name in re.findall(r"-e (\w+)=", text):
            if name not in public_variables(tree):
                yield Finding(page, line, f"says {text!r}, and {name} is no public variable")


@rule(pages)
def make_targets_exist(tree: Tree, page: str) -> Iterator[Finding]:
    """And what is set for them is a variable of the Makefile."""
    makefile = tree.text("Makefile")
    for line, words in commands(tree, page, "make"):
        if not re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE):
            yield Finding(page, line, f"no target {words[1]}")
        for word in words[2:]:
            name = word.partition("=")[0]
            if not re.search(rf"^(export )?{re.escape(name)} \?=", makefile, re.MULTILINE):
                yield Finding(page, line, f"{name} is no variable of the Makefile")


@rule(pages)
def modules_run_by_name_exist(tree: Tree, page: str) -> Iterator[Finding]:
    """With `python -m`."""
    for line, words in commands(tree, page, "python"):
        if len(words) < 3 or words[1] != "-m" or not tree.exists(f"{'/'.join(words[2].split('.'))}.py"):
            yield Finding(page, line, f"no module in {' '.join(words)}")


@rule(pages)
def pages_are_plain(tree: Tree, page: str) -> Iterator[Finding]:
    """No line is long but those of tables, and none has a picture for a word."""
    for number, line in enumerate(tree.text(page).splitlines(), 1):
        if len(line) > LONGEST_LINE and not line.startswith("|") and page != "docs/roles.md":
            yield Finding(page, number, f"has {len(line)} characters, more than {LONGEST_LINE}")
        if EMOJI.search(line):
            yield Finding(page, number, "has an emoji")


@rule(one("docs/emergency-reset.md"))
def screens_fit_a_terminal(tree: Tree, page: str) -> Iterator[Finding]:
    """The summary of a reset, which the page shows."""
    text = tree.text(page)
    screens = [block for block in re.finditer(r"```\n(.*?)```", text, re.DOTALL) if "  was " in block[1]]
    if not screens:
        yield Finding(page, 1, "shows no summary")
    for block in screens[:1]:
        for number, line in enumerate(block[1].splitlines(), line_of(text, block.start(1))):
            if len(line) > WIDTH:
                yield Finding(page, number, f"has {len(line)} characters, more than a terminal of {WIDTH}")


@rule(one("CONTRIBUTING.md"))
def contributing_has_two_pages_at_most(tree: Tree, page: str) -> Iterator[Finding]:
    """Whoever adds a line reads all of it."""
    if (lines := len(tree.text(page).splitlines())) > LONGEST_GUIDE:
        yield Finding(page, lines, f"has {lines} lines, more than {LONGEST_GUIDE}")


@rule(one("docs/variables.md"))
def the_public_variables_are_listed(tree: Tree, page: str) -> Iterator[Finding]:
    """All of them, and nothing else."""
    listed = {
        name: row.line
        for row in rows(tree, page)
        if len(row.cells) == 3 and re.fullmatch(r"`\w+`(, `\w+`)*", row.cells[0])
        for name in re.findall(r"\w+", row.cells[0])
    }
    known = public_variables(tree)
    yield from (Finding(page, 1, f"does not list {name}") for name in sorted(known - listed.keys()))
    yield from (Finding(page, listed[name], f"{name} is read by nothing") for name in sorted(listed.keys() - known))


@rule(playbooks)
def every_playbook_has_a_line_of_its_command(tree: Tree, playbook: str) -> Iterator[Finding]:
    """In the table of what one wants to do, with the words that run it."""
    page, heading = "docs/command.md", "What you want to do"
    start, table = section(tree, page, heading)
    typed = re.findall(rf"^\|[^|]*\| `scout ([^`]*)` \| `{playbook}\.yml` \|", table, re.MULTILINE)
    if not typed:
        yield Finding(page, start, f"has no line for {playbook}.yml")
    own = {command.playbook: " ".join(command.words) for command in COMMANDS}.get(playbook)
    for words in typed:
        if not f"{words} ".startswith(f"{own} "):
            yield Finding(page, tree.line(page, f"`scout {words}`"), f"scout {words} does not run {playbook}.yml")


def _phrases(tree: Tree) -> list[tuple[int, str]]:
    start, table = section(tree, READ, "What the screen says")
    found = re.finditer(r"^\| `([^`]+)`", table, re.MULTILINE)
    return [(start + table.count("\n", 0, phrase.start()), phrase[1]) for phrase in found]


@functools.cache
def _said(tree: Tree) -> str:
    return "".join(map(tree.text, tree.files("module_utils/recovery/**/*.py", "docs/runbook.md")))


@rule(_phrases, least=9)
def what_the_screen_says_is_said(tree: Tree, phrase: tuple[int, str]) -> Iterator[Finding]:
    """By the code, or on a screen of the runbook; what comes after a number varies."""
    line, text = phrase
    if re.split(r" \d", text)[0] not in _said(tree):
        yield Finding(READ, line, f"nothing says {text!r}")
