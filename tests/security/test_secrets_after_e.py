# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: whoever sees the screen of an operator, or the log of a pipeline with -vvvv, reads the password that was typed after -e."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.plugin_utils import typed_secrets
from tests import CHECKOUT

SECRET, OTHER = "hush-4711", 'hu"sh 4712'
TYPED = [
    f"scout_dsn=postgresql://anna:{SECRET}@127.0.0.1:1/scout scout_incident=INC-1",
    '{"scout_password": "hu\\"sh 4712"}',
]


def test_a_real_run_shows_no_password_and_says_where_to_put_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {**os.environ, "ANSIBLE_LOG_PATH": str(log), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400"}
    words = [word for text in TYPED for word in ("-e", text)]
    done = subprocess.run(
        ["ansible-playbook", "-vvvv", "playbooks/assess.yml", *words],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    text = done.stdout + done.stderr + log.read_text(encoding="utf-8")
    assert [secret for secret in (SECRET, "sh 4712", "sh\\\\ 4712") if secret in text] == []
    assert "scout_dsn=postgresql://anna:***@127.0.0.1:1/scout scout_incident=INC-1" in done.stdout
    assert "could not open a session on scout on 127.0.0.1:1 as anna" in done.stdout, "it was used all the same"
    said = " ".join(text.split())
    assert "a password was typed after -e (scout_dsn, scout_password)" in said
    assert "PGPASSFILE" in said


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("scout_dsn", "postgresql://u:pw1@h/d", ["pw1"]), ("scout_dsn", "host=h password='p w' user=u", ["p w"]),
        ("scout_dsn", "host=h user=u", []),
        ("pguri", "postgres://u:pw1@h/d?sslmode=require&password=pw2", ["pw1", "pw2"]), ("scout_password", "pw1", ["pw1"]),
        ("scout_password", "", []), ("slack_token", "xoxb-1", ["xoxb-1"]), ("vault_password_file", "/x/y", []), ("incident", "INC-1", []),
        ("notify_urls", ["slack://pw1", "json://u:pw2@h/"], ["slack://pw1", "json://u:pw2@h/"]), ("token", 5, []),
    ],
)  # fmt: skip
def test_what_of_a_variable_is_secret(name: str, value: object, secret: list[str]) -> None:
    assert list(typed_secrets.secrets(name, value)) == secret
