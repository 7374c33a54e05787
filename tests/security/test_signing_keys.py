# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: the key by which a controller knows what it signed itself is somebody else's; and a key that leaked cannot be exchanged,
because all that it had signed would be refused."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.trust import signatures
from tests.integration.modules import call, connect, one

SOMEBODY = 65534
OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "key"
    made.touch(mode=0o600)
    monkeypatch.setenv(signatures.KEY_FILE, str(made))
    return made


def refusal(signature: str | None, content: bytes = b"x") -> str:
    with pytest.raises(BadInput) as refused:
        signatures.refuse_unsigned("capture", content, signature, "the capture")
    return str(refused.value)


@pytest.mark.parametrize("how", ["file", "link"])
def test_a_key_of_somebody_else_is_refused(
    how: str, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He knows it, though nobody else may read it."""
    key.write_text(NEW)
    if os.geteuid() != 0:
        monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    elif how == "file":
        os.chown(key, SOMEBODY, SOMEBODY)
    if how == "link":
        link = tmp_path / "link"
        link.symlink_to(key)
        if os.geteuid() == 0:
            os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
        monkeypatch.setenv(signatures.KEY_FILE, str(link))
    with pytest.raises(BadInput, match="somebody else") as refused:
        signatures.sign("capture", b"x")
    assert refused.value.next_step


def test_the_first_key_signs_and_the_others_verify(key: Path) -> None:
    key.write_text(OLD)
    signed = signatures.sign("capture", b"x")
    key.write_text(f"{NEW}\n{OLD}\n")
    signatures.refuse_unsigned("capture", b"x", signed, "the capture")
    newer = signatures.sign("capture", b"x")
    assert newer != signed
    key.write_text(NEW)
    signatures.refuse_unsigned("capture", b"x", newer, "the capture")
    told = refusal(signed)
    assert f"it is signed by key {str(signed)[:16]}, and this controller has {str(newer)[:16]}" in told
    assert OLD not in told
    assert NEW not in told
    assert "its signature is wrong" in refusal(newer, b"y")
    assert "it is not signed" in refusal(None)
    for forged in (
        "",
        "0" * 64,
        str(newer)[:16],
        str(newer)[:16] + "0" * 64,
        str(signed)[:16] + str(newer)[16:],
        "é" * 80,
    ):
        assert refusal(forged)


@pytest.mark.parametrize(
    "whole",
    [
        OLD.encode(),
        secrets.token_bytes(48) + b"\n" + secrets.token_bytes(48),
        base64.encodebytes(secrets.token_bytes(96)).strip(),
    ],
    ids=["a line", "bytes", "several lines"],
)
def test_what_was_signed_before_keys_had_ids_is_verified(key: Path, whole: bytes) -> None:
    key.write_bytes(whole)
    before = hmac.digest(whole.strip(), b"capture\0x", "sha256").hex()
    signatures.refuse_unsigned("capture", b"x", before, "the capture")
    signatures.refuse_unsigned("capture", b"x", signatures.sign("capture", b"x"), "the capture")
    assert "its signature is wrong" in refusal(before, b"y")


def test_a_key_is_exchanged_and_a_dead_letter_is_put_back(key: Path, scout_db: str) -> None:
    """As docs/ledger.md says: first all controllers know the new one, then it signs."""
    key.write_text(OLD)
    event = one(scout_db, "SELECT event_id::text FROM scout.etl_processed LIMIT 1")
    run = call("scout_quarantine", scout_db, event_ids=[event])
    assert not run.get("failed"), run["msg"]
    key.write_text(f"{OLD}\n{NEW}\n")
    key.write_text(f"{NEW}\n{OLD}\n")
    done = call("scout_undo", scout_db, run_id=run["run_id"])
    assert (done.get("failed"), done["put_back"]["events"]) == (None, 1), done["msg"]
    again = call("scout_quarantine", scout_db, event_ids=[event])
    with connect(scout_db) as session:
        session.execute(
            "UPDATE scout_ops.stored SET signature = overlay(signature placing decode('00', 'hex') from 20)"
        )
    assert "its signature is wrong" in call("scout_undo", scout_db, run_id=again["run_id"])["msg"]
