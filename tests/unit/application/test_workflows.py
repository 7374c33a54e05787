# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which workflows a push to a branch starts that apply migrations."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.application import workflows

JOBS = "jobs: {deploy: {steps: [{run: supabase db push}]}}"
DEPLOYS = {
    "by word": f"on: push\n{JOBS}",
    "in a list": f"on: [pull_request, push]\n{JOBS}",
    "without more": f"on: {{push: }}\n{JOBS}",
    "to the branch": f"on: {{push: {{branches: [main]}}}}\n{JOBS}",
    "to one like it": f"on: {{push: {{branches: ['ma*']}}}}\n{JOBS}",
    "not to another": f"on: {{push: {{branches-ignore: [dev]}}}}\n{JOBS}",
    "with quotes": f"'on': {{push: {{branches: main}}}}\n{JOBS}",
    "where migrations change": "on: {push: {paths: [supabase/migrations/**]}}\njobs: {}",
    "by psql": "on: push\njobs: {deploy: {steps: [{run: psql -f legacy/01.sql}]}}",
    "as far as can be read": f"on:\n  push:\n    branches: [main\n{JOBS} : :",
}
DOES_NOT = {
    "by hand": f"on: workflow_dispatch\n{JOBS}",
    "for a request": f"on: {{pull_request: {{branches: [main]}}}}\n{JOBS}",
    "to another branch": f"on: {{push: {{branches: [dev]}}}}\n{JOBS}",
    "to all but it": f"on: {{push: {{branches: ['**', '!main']}}}}\n{JOBS}",
    "ignored": f"on: {{push: {{branches-ignore: [main]}}}}\n{JOBS}",
    "for tags": f"on: {{push: {{tags: ['v*']}}}}\n{JOBS}",
    "tests": "on: push\njobs: {test: {steps: [{run: npm test}]}}",
    "a list": "- on: push",
}


@pytest.mark.parametrize("text", DEPLOYS.values(), ids=DEPLOYS)
def test_it_deploys(text: str) -> None:
    assert workflows.deploys(text, "main")


@pytest.mark.parametrize("text", DOES_NOT.values(), ids=DOES_NOT)
def test_it_does_not(text: str) -> None:
    assert not workflows.deploys(text, "main")


def test_a_list_that_speaks_of_migrations_is_no_workflow() -> None:
    assert not workflows.deploys("- supabase db push", "main")
