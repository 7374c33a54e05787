# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was typed, and what of it the next command needs to reach the same database."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import advice
from ansible_collections.scout.recovery.plugins.plugin_utils import command_line, standing

DSN = "postgresql://oncall@db1.example.com/scout?sslmode=verify-full"
SECRET = "hunter2"


@pytest.mark.parametrize(
    ("words", "reach"),
    [
        ([], ""),
        (["--check", "-l", "luzon", "-vvv", "--tags", "x", "-f", "5"], ""),
        (["--vault-password-file", "our vault.pass"], " --vault-password-file 'our vault.pass'"),
        (["--vault-pass-file=v"], " --vault-password-file v"),
        (["--vault-id", "prod@prompt", "--vault-id=dev@x"], " --vault-id prod@prompt --vault-id dev@x"),
        (["-J"], " -J"),
        (["--ask-vault-pass"], " -J"),
        (["-vbK", "-uops", "--private-key", "k"], " -b -K -u ops --private-key k"),
        (["-e", f"scout_dsn={DSN}"], f" -e 'scout_dsn={DSN}'"),
        ([f"--extra-vars=scout_dsn={DSN}"], f" -e 'scout_dsn={DSN}'"),
        ([f"-ve=scout_dsn={DSN}"], ""),
        (["-ve", "allow_superuser=yes last=2h"], " -e allow_superuser=yes"),
        (["-e", '{"scout_dsn": "dbname=x host=db", "last": "2h"}'], """ -e '{"scout_dsn": "dbname=x host=db"}'"""),
        (["-e", "{scout_contract: {schema: shop}}"], """ -e '{"scout_contract": {"schema": "shop"}}'"""),
        (["-e", f"scout_dsn=postgresql://a:{SECRET}@db/x scout_password={SECRET}"], """ -e '{"scout_dsn": "user=a dbname=x host=db"}'"""),
        (["-e", "scout_cron_dsn=dbname=postgres"], " -e scout_cron_dsn=dbname=postgres"),
        (["-e", json.dumps({"scout_cron_dsn": f"dbname=x password={SECRET}"})], " -e scout_cron_dsn=dbname=x"),
        (["-e", "@nowhere.yml", "-e", "[1"], ""),
    ],
)  # fmt: skip
def test_what_the_next_command_needs_as_well(words: list[str], reach: str) -> None:
    """It is a part of the command for whoever looks for commands in a text, and a shell reads it as it was meant."""
    assert command_line.reach(words) == reach
    command = f"ansible-playbook playbooks/undo.yml{reach} -e run_id=7"
    assert advice.commands([f"wait, then {command}; or not"]) == [command]
    assert advice.Typed(inventory=reach).text("ansible-playbook playbooks/undo.yml -e run_id=7") == command
    assert shlex.split(command)


def test_a_file_of_variables_is_named_where_it_holds_a_secret(tmp_path: Path) -> None:
    plain, secret, vault = (str(tmp_path / name) for name in ("plain.json", "secret file.yml", "vault.yml"))
    Path(plain).write_text(json.dumps({"scout_dsn": DSN, "event_ids": ["a"]}))
    Path(secret).write_text(f"scout_dsn: {DSN}\nscout_password: {SECRET}\n")
    Path(vault).write_text("$ANSIBLE_VAULT;1.1;AES256\n3232\n")
    assert command_line.reach(["-e", f"@{plain}"]) == f" -e 'scout_dsn={DSN}'"
    assert command_line.reach(["-e", f"@{secret}"]) == f" -e '@{secret}'"
    assert command_line.reach(["-e", f"@{vault}"]) == f" -e @{vault}"


@pytest.mark.parametrize(
    "words",
    [
        [f"-escout_password={SECRET}"],
        [f"--extra-vars=scout_password={SECRET}"],
        [f"--extra-v=scout_password={SECRET}"],
        ["-ve", f"scout_password={SECRET}"],
        ["-e", f"last=2h edge_function_token={SECRET}"],
        ["-e", f"{{edge_function_token: {SECRET}, last: 2h}}"],
    ],
)
def test_no_secret_is_in_the_same_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """However it was typed, what stands beside it is still there."""
    monkeypatch.setattr("sys.argv", ["/usr/bin/ansible-playbook", "playbooks/runs.yml", *words, "--check"])
    said = standing.same_command()
    assert SECRET not in said
    assert said.startswith("ansible-playbook playbooks/runs.yml ")
    assert said.endswith(" --check")
    assert ("last" in said) == any("last" in word for word in words)
