# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: texts in every field of a database clear the operator's screen, fill his clipboard, hide words, and turn them round."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import printable, visible, visible_in
from tests import CHECKOUT, warm
from tests.e2e.play import Stage, environment

#: Clears the screen, writes the clipboard (OSC 52), conceals, sets a title by a C1 control, turns round, and is not seen.
HOSTILE = "\x1b[2J\x1b]52;c;cm0gLXJm\x07\x1b[8mx\x9b31m\u202eevil\u2066\u200b\u3164\r\x7f"
#: As much of it as a name may hold, 63 bytes.
NAME = "\x1b[2J\x1b]52;c;eA==\x07\x1b[8m\u202ee\u200b"

EVENT = "INSERT INTO scout.bronze_events (event_type, event_data) VALUES ('transaction.v1', %s)"
LETTER = """
INSERT INTO scout.bronze_events_dlq (source_system, original_payload, error_message, error_code, error_details)
VALUES (%(text)s, %(event)s, %(text)s, %(text)s,
        jsonb_build_object('sqlstate', %(text)s::text, 'incident', %(text)s::text, 'run_id', %(text)s::text))
"""
RAISES = """
CREATE FUNCTION scout.{name}() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
  RAISE NOTICE USING MESSAGE = {text};
  RAISE WARNING USING MESSAGE = {text};
  IF random() < 2 THEN RAISE EXCEPTION USING MESSAGE = {text}, DETAIL = {text}, HINT = {text}; END IF;
  RETURN NEW;
END $f$
"""


def wrong(screen: bytes) -> set[str]:
    """Whatever on a screen is no line break and cannot be seen."""
    text = screen.decode()
    kinds = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return {f"U+{ord(c):04X}" for c in text if c not in "\n\t" and (unicodedata.category(c) in kinds or c == "\u3164")}


@contextmanager
def planted(dsn: str) -> Generator[None]:
    """What an attacker may write, in all of a database."""
    name, text = sql.Identifier(NAME), sql.Literal(HOSTILE)
    with psycopg.connect(dsn, autocommit=True) as attacker:

        def run(statement: str) -> None:
            attacker.execute(sql.SQL(statement).format(name=name, text=text))  # type: ignore[arg-type]

        event = Jsonb({"transaction_id": HOSTILE, "store_id": HOSTILE, "total": HOSTILE, "items": HOSTILE})
        for _ in range(3):
            attacker.execute(EVENT, [event])
            attacker.execute(LETTER, {"text": HOSTILE, "event": event})
        run("INSERT INTO scout.silver_transactions SELECT (jsonb_populate_record(t, jsonb_build_object("
            "'id', gen_random_uuid(), 'transaction_id', {text}::text, 'total_amount', -1))).*"
            " FROM scout.silver_transactions AS t LIMIT 1")  # fmt: skip
        run("DROP ROLE IF EXISTS {name}")
        run("CREATE ROLE {name} LOGIN SUPERUSER")
        run(RAISES)
        run("CREATE TABLE scout.{name} ({name} text DEFAULT {text})")
        run("COMMENT ON TABLE scout.{name} IS {text}")
        run("CREATE VIEW scout." + '"v\x1b[2J\u202e"' + " AS SELECT {text} AS {name} FROM scout.bronze_events")
        run("ALTER TABLE scout.silver_transactions OWNER TO {name}")
        run("COMMENT ON TABLE scout.silver_transactions IS {text}")
        run(
            "CREATE TRIGGER {name} BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.{name}()"
        )
        run("INSERT INTO cron.job (schedule, command, nodeport, database, username, active, jobname)"
            " VALUES ('* * * * *', 'SELECT scout.run_etl_' || {text}, 5432, current_database(), {text}, true, {text})")  # fmt: skip
        run("INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, return_message, start_time,"
            " end_time) SELECT jobid, 1, database, username, command, 'failed', {text}, now(), now() FROM cron.job")  # fmt: skip
        with psycopg.connect(dsn, application_name=HOSTILE.replace("\r", ""), user=NAME) as holder:
            holder.execute("LOCK TABLE scout.silver_line_items IN ACCESS SHARE MODE")
            holder.execute(sql.SQL("SELECT {}").format(text))
            yield
        run("ALTER TABLE scout.silver_transactions OWNER TO CURRENT_USER")
        run("DROP OWNED BY {name}")
        run("DROP ROLE {name}")


def test_nothing_of_it_reaches_the_screen(scout_db: str, tmp_path: Path) -> None:
    stage, screens = Stage(tmp_path), b""
    assert stage.play("capture_release", scout_db, release="before").rc == 0
    with planted(scout_db):
        for playbook, options, arguments in (
            ("assess", {}, ()),
            ("assess", {}, ("-vvv",)),
            ("quarantine", {"transactions": [HOSTILE]}, ()),
            ("rollback", {"release": "before"}, ("--check", "--diff", "-v")),
            ("capture_release", {"release": "now"}, ("-v",)),
            ("quarantine", {"transactions": [HOSTILE]}, ("--check", "-v")),
            ("quarantine", {"older_than": "1 minute"}, ("-v",)),
            ("emergency_reset", {"stuck_after_seconds": 0.5, "drain_timeout_seconds": 5}, ()),
            ("runs", {}, ("-v",)),
            ("assess", {"save_evidence": True}, ("-v",)),
        ):
            env = environment(tmp_path)
            with (tmp_path / "screen").open("w+b") as shown:
                command = stage.command(playbook, scout_db, options, *arguments)
                warm.start(command, env, CHECKOUT, shown.fileno()).wait(180)
                shown.seek(0)
                screen = shown.read()
            assert len(screen) > 500
            assert not wrong(screen), (playbook, arguments, wrong(screen), screen.decode()[:20000])
            screens += screen
    # It was there, and could be read.
    assert b"\\x1b[2J" in screens
    assert b"\\u202e" in screens


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\u202eb", r"a\u202eb"),
        ("\U000e0041", r"\U000e0041"),
        ("\x9b", r"\u009b"),
        ("é 商 — 😀\u3000.", "é 商 — 😀\u3000."),
        ("a\r\nb\tc", "a\nb\tc"),
        ("a\rb", r"a\x0db"),
    ],
)
def test_what_moves_turns_or_hides_is_shown_by_its_number(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible_in({text: [text]}) == {shown: [shown]}
    assert not wrong(visible(text).encode())


def test_a_text_is_bounded() -> None:
    assert printable("x" * 100, 10) == "x" * 9 + "…"
    assert len(visible_in(["x" * 1_000_000])[0]) < 11_000
