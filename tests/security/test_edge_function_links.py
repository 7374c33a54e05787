# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a commit of the application has a link in a function's folder, so that the CLI uploads a file of this machine."""

from __future__ import annotations

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import Cli
from tests.integration.clones import quiet_git
from tests.integration.pipeline.test_edge_function import App, Deploy, app, bad, cli, deploy, options

__all__ = ["app", "cli", "deploy", "options", "quiet_git"]


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../elsewhere.txt", "../../../../../secret"])
def test_a_link_that_leads_out_is_refused(deploy: Deploy, app: App, cli: Cli, target: str) -> None:
    (app.clone.path / "supabase/functions/ingest-transaction/link").symlink_to(target)
    commit = app.clone.commit("Link", {})
    for check in (True, False):
        assert "ingest-transaction/link is a link to" in bad(deploy(check=check, commit=commit))
    assert cli.calls == []
