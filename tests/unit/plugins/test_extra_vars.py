# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mistyped -e is refused with what was meant, and what nobody can have meant is said to be ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars
from tests.e2e.play import CHECKOUT

MEANT = {
    "source_system": "source_systems",
    "store": "stores",
    "runid": "run_id",
    "resme": "resume",
    "RESUME": "resume",
    "relase": "release",
    "widow_start": "window_start",
    "window-start": "window_start",
    "drain_timeout": "drain_timeout_seconds",
    "source": "source_systems",
    "event": "event_ids",
    "aplication_push": "application_push",
    "schema_rollback_enable": "schema_rollback_enabled",
    "drop_colum": "drop_column",
    "scout_dns": "scout_dsn",
    "scout_serail": "scout_serial",
    "application_comit": "application_commit",
    "dsn": "scout_dsn",
    "since": "window_start",
    "evidence_sample_row": "evidence_sample_rows",
    "dry_run": "--check",
}
#: The collection whose own plugin adds itself, where it is loaded.
DRILLS = CHECKOUT / "drills"
DOCUMENTED = re.compile(r"""-e ["']?(\w+)=""")
ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)


@pytest.mark.parametrize("name", MEANT)
def test_a_mistyped_name_is_refused_with_what_was_meant(name: str) -> None:
    with pytest.raises(BadInput) as raised:
        extra_vars.check([name, "incident"])
    assert repr(name) in str(raised.value)
    assert MEANT[name] in raised.value.next_step


@pytest.fixture
def roots() -> Iterator[list[Path]]:
    """Where playbooks are looked for: those of recovery alone, whatever was loaded before."""
    before = list(extra_vars.ROOTS)
    extra_vars.ROOTS[:] = [root for root in before if root.resolve() != DRILLS.resolve()]
    forget()
    yield extra_vars.ROOTS
    extra_vars.ROOTS[:] = before
    forget()


def forget() -> None:
    for names in (extra_vars.known, extra_vars.public, extra_vars.switches, extra_vars.internal):
        names.cache_clear()


@pytest.fixture
def with_drills(roots: list[Path]) -> None:
    """What a drill reads counts too, for this test."""
    extra_vars.read_also(DRILLS)


@pytest.mark.usefixtures("roots")
def test_a_variable_of_a_drill_is_not_known_where_no_drills_are() -> None:
    assert extra_vars.check(["scenario"]) == ["no playbook reads the variable 'scenario'"]


@pytest.mark.usefixtures("with_drills")
def test_what_the_documents_name_is_known() -> None:
    assert extra_vars.check(["scenario"]) == []
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / "deploy").rglob("*.*")]
    named = {name for page in pages for name in DOCUMENTED.findall(page.read_text(encoding="utf-8"))}
    table = (CHECKOUT / "docs" / "variables.md").read_text(encoding="utf-8")
    named |= {name for row in ROW.findall(table) for name in re.findall(r"\w+", row)}
    assert len(named) > 100
    assert extra_vars.check(named) == []


def test_what_resembles_nothing_is_told_and_what_is_ansibles_is_not() -> None:
    assert extra_vars.check(["env", "ansible_user", "awx_job_id"]) == ["no playbook reads the variable 'env'"]


@pytest.mark.parametrize("value", ["ture", "flase", "2", "", "nope", None])
@pytest.mark.parametrize("name", ["pause", "gate", "smoke", "schema_rollback_enabled", "application_rollback_enabled"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=f"{name} '{value}' is not a yes or no"):
        extra_vars.refuse_unclear({name: value}, [name])
    with pytest.raises(BadInput, match=f"scout_{name} '{value}' is not a yes or no"):
        extra_vars.refuse_unclear({f"scout_{name}": value})


@pytest.mark.parametrize("name", ["pause", "gate", "force", "resume"])
def test_a_switch_of_an_inventory_by_a_short_word_is_anybodys(name: str) -> None:
    extra_vars.refuse_unclear({name: "maybe"})
    extra_vars.refuse_unclear({name: "maybe"}, ["drain"])


@pytest.mark.parametrize("value", [True, False, "true", "False", "yes", "no", "on", "0", 1, "{{ other }}"])
def test_a_switch_may_be_spelt_as_ansible_takes_it(value: object) -> None:
    extra_vars.refuse_unclear({"scout_pause": value, "pause": value, "app_version": "x"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("scout_dns", "scout_dsn"),
        ("scout_pasword", "scout_password"),
        ("scout_resum", "scout_resume"),
        ("scout_releases", "scout_release"),
        ("SCOUT_LAST", "scout_last"),
        ("scout_stuck_after_second", "scout_stuck_after_seconds"),
        *(
            (name, None)
            for name in ("scout_role", "scout_port", "scout_host", "scout_user", "scout_env", "scout_modes_of_payment")
        ),
        *(
            (name, None)
            for name in ("scout_dsn_of_old", "scout_release_notes", "scout_last", "lsat", "resum", "releases")
        ),
    ],
)
def test_a_variable_of_an_inventory_that_is_nearly_one_of_ours_is_refused(name: str, meant: str | None) -> None:
    if meant is None:
        extra_vars.refuse_misspelt([name], "luzon")
        return
    with pytest.raises(BadInput, match=f"host luzon has the variable {name}, which nothing reads") as raised:
        extra_vars.refuse_misspelt([name], "luzon")
    assert f"did you mean {meant}?" in raised.value.next_step
