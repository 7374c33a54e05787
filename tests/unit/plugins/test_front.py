# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first task of a playbook of ours refuses before it does anything, and what a module's options are held to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars, front
from tests import CHECKOUT
from tests.unit.plugins.controller import Controller, typed
from tests.unit.plugins.test_extra_vars import forget

PLAYBOOKS = [CHECKOUT / "playbooks", CHECKOUT / "drills" / "playbooks"]
#: What is typed, or what a host has, and what is said of it.
REFUSED: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "a word outside the quotes": (["-e", "window_start=2026-11-25 22:00"], {}, "the words '22:00' are outside"),
    "a mistyped name": (typed(source_system="pos-17"), {}, "'source_system' is not a variable of this toolkit"),
    **{
        f"a placeholder for {name}": (typed(**{name: value}), {}, f"{name} is only a placeholder: {str(value)!r}")
        for name, value in {"title": "…", "window_start": " ... ", "reason": ["…"]}.items()
    },
    "a switch that is neither on nor off": (typed(resume="maybe"), {}, "resume 'maybe' is not a yes or no"),
    "a switch of a host": ([], {"scout_resume": "maybe"}, "scout_resume 'maybe' is not a yes or no"),
}


@pytest.fixture(autouse=True)
def both_collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where drills are installed."""
    monkeypatch.setattr(extra_vars, "ROOTS", [folder.parent for folder in PLAYBOOKS])
    forget()
    yield
    forget()


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_mistyped_is_refused_in_playbooks_of_ours_alone(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, variables, said = REFUSED[what]
    controller = Controller(tmp_path, monkeypatch, {"scout": {"hosts": {"local": variables}}}, *words)
    given = controller.variables("local")
    for folder in PLAYBOOKS:
        with pytest.raises(BadInput) as raised:
            front.mistyped(controller.loader(), given | {"playbook_dir": str(folder)})
        assert said in str(raised.value)
    assert front.mistyped(controller.loader(), given | {"playbook_dir": str(tmp_path)}) == []


def test_unknown_options_of_a_module_are_refused_with_those_it_knows() -> None:
    with pytest.raises(BadInput) as raised:
        front.validated(front.module_of("scout.recovery.scout_drain"), {"batch_row": 5, "targetseconds": 1})
    assert str(raised.value).startswith(
        "unknown options for scout_drain: batch_row, targetseconds. Next: scout_drain knows actor, allow_owner, allow_superuser,"
    )


def test_every_module_has_a_front_of_its_own_name() -> None:
    """By that Ansible tells, before it forks, which of them a play needs."""
    fronts = CHECKOUT / "plugins" / "action"
    modules = {path.name for path in CHECKOUT.glob("library/*.py")}
    assert {path.name for path in fronts.glob("*.py")} == modules | {"scout.py"}
    links = [path for path in fronts.glob("*.py") if path.is_symlink()]
    assert {str(path.readlink()) for path in links} == {"scout.py"}


def test_the_former_name_of_an_option_does_what_the_new_one_does_and_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(front.display, "deprecated", lambda text, version, **_: said.append((text, version)))
    module = front.module_of("scout.recovery.scout_quarantine")
    new, old = ({name: "count", "event_ids": ["x"]} for name in ("compare_by", "proof"))
    assert front.validated(module, new)["compare_by"] == "count"
    assert said == []
    assert front.validated(module, old) == front.validated(module, new)
    assert said == [("scout_quarantine: proof is called compare_by now", "2.0.0")]
