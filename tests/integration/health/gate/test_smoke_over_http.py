# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sale that is sent over HTTP, as PostgREST or a function would store it, is found and removed, whatever becomes of the request."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import expected, http_sale
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.gates import checks, judge
from tests.integration.modules import call, connect, fingerprint, one, operator, rows

TOKEN = "a-token.of-the~team"
TABLE, FUNCTION = "/rest/v1/bronze_events", "/functions/v1/ingest-transaction"
CUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()
"""
LOAD = "SELECT scout.load_silver_from_bronze(2000)"
LEFT = "INSERT INTO scout.bronze_events (event_type, event_data, ingested_at) VALUES ('transaction.v1', %s, now() - interval '1 hour')"


@dataclasses.dataclass
class Api:
    """What stands before bronze: how it behaves, and what it was asked."""

    dsn: str
    url: str = ""
    does: tuple[str, ...] = ()
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = dataclasses.field(default_factory=list)

    def store(self, path: str, body: dict[str, Any]) -> None:
        """As PostgREST stores the columns that it is given, and as a function stores a sale."""
        if path == FUNCTION:
            body = {"event_type": "transaction.v1", "source_system": "edge", "event_data": body}
        if "halves" in self.does:
            body["event_data"]["total_amount"] /= 2
        columns = sql.SQL(", ").join(map(sql.Identifier, body))
        with connect(self.dsn) as connection:
            connection.execute(
                sql.SQL(
                    "INSERT INTO scout.bronze_events ({0}) SELECT {0} FROM jsonb_populate_record(NULL::scout.bronze_events, %s)"
                ).format(columns),
                [Jsonb(body)],
            )
            if "loads" in self.does:
                connection.execute(LOAD)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.asked.append((handler.path, dict(handler.headers), body))
        if "stores" in self.does:
            self.store(handler.path, body)
        if "twice" in self.does:
            self.store(handler.path, {**body, "event_id": "4fc5a80a-0000-4000-8000-000000000000", "event_hash": None})
        if "holds" in self.does:
            # As a call of the ETL that has it until its end.
            held = psycopg.connect(self.dsn)
            held.execute("SELECT FROM scout.bronze_events ORDER BY ingested_at DESC LIMIT 1 FOR UPDATE")
            threading.Timer(4.0, held.close).start()
        if "cuts" in self.does:
            with connect(self.dsn) as connection:
                connection.execute(CUT)
        if "hangs" in self.does:
            time.sleep(1.5)
        if "moves" in self.does:
            handler.send_response(307)
            handler.send_header("Location", f"{self.url}/elsewhere")
        elif "refuses" in self.does:
            handler.send_response(401)
        else:
            handler.send_response(500 if "fails" in self.does else 201)
        handler.end_headers()
        if "refuses" in self.does:
            handler.wfile.write(json.dumps({"message": f"no such key: {TOKEN}"}).encode())


@pytest.fixture
def api(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = Api(scout_db)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            api.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(http_sale, "GRACE_SECONDS", 0.5)
    monkeypatch.setenv("SCOUT_SMOKE_TOKEN", TOKEN)
    monkeypatch.setenv("SCOUT_SMOKE_URL", api.url)
    # Who would be told the token.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    yield api
    server.shutdown()
    server.server_close()


def sent(api: Api, path: str = TABLE, does: tuple[str, ...] = ("stores",), seconds: float = 5) -> http_sale.Outcome:
    """What became of a sale."""
    api.does = does
    with open_session(Settings(api.dsn)) as session:
        return http_sale.run(session, http_sale.endpoint(api.url + path, os.environ), seconds, Progress())


def test_it_arrives_and_is_removed(api: Api, subtests: pytest.Subtests) -> None:
    before = fingerprint(api.dsn)
    for path in (TABLE, FUNCTION):
        for does in (("stores",), ("stores", "loads")):
            with subtests.test(f"{path} {does}"):
                told = sent(api, path, does)
                assert (told.status, told.http_status, told.remains) == ("pass", 201, ""), told
                asked, headers, body = api.asked[-1]
                sale = body["event_data"] if path == TABLE else body
                assert (asked, sale["transaction_id"]) == (path, told.transaction_id)
                assert (headers["Authorization"], headers["Apikey"]) == (f"Bearer {TOKEN}", TOKEN)
                assert headers.get("Content-Profile") == ("scout" if path == TABLE else None)
    assert fingerprint(api.dsn) == before
    with subtests.test("the gate does both, and says so"):
        result = judge(api.dsn, smoke=True, smoke_url=api.url + TABLE, smoke_timeout_seconds=30)
        told = result["smoke"]
        assert (told["status"], told["http"]["status"]) == ("pass", "pass"), told
        assert told["reason"].endswith("a sale that was sent over HTTP reached bronze, and was removed")
        assert told["steps"][-1] == {"step": "send a sale over HTTP, and remove it", "result": "done"}
        assert checks(result)["smoke_test"]["reason"] == told["reason"]
        assert TOKEN not in json.dumps(result)
        api.does = ("fails",)
        result = judge(api.dsn, smoke=True, smoke_url=api.url + TABLE, smoke_timeout_seconds=30)
        assert checks(result)["smoke_test"]["status"] == "fail"
        assert result["smoke"]["reason"].startswith("could not send a sale over HTTP: HTTP 500")
    with subtests.test("a check sends nothing, nor does a gate without a smoke test"):
        number = len(api.asked)
        judge(api.dsn, check=True, smoke=True, smoke_url=api.url + TABLE)
        judge(api.dsn, smoke_url=api.url + TABLE)
        assert len(api.asked) == number
    assert fingerprint(api.dsn) == before


def test_whatever_goes_wrong_nothing_is_left(api: Api, subtests: pytest.Subtests) -> None:
    before = fingerprint(api.dsn)
    for does, status, said in (
        ((), "fail", "has none of it after"),
        (("stores", "halves"), "fail", "without, or with another total_amount"),
        (("stores", "twice"), "fail", "has the sale 2 times"),
        (("stores", "fails", "loads"), "fail", "HTTP 500"),
        (("stores", "hangs"), "fail", "no response within"),
        (("moves",), "fail", "HTTP 307: redirects are not followed"),
        (("refuses",), "inconclusive", "HTTP 401: no such key: ***; SCOUT_SMOKE_TOKEN holds no token that it takes"),
    ):
        with subtests.test(str(does)):
            told = sent(api, does=does, seconds=1)
            assert (told.status, said in told.reason, told.remains) == (status, True, ""), told
            assert api.asked[-1][0] == TABLE
            assert TOKEN not in str(told)
    with subtests.test("one that may still come"):
        told = sent(api, does=("fails",))
        assert f"the synthetic sale {told.transaction_id} may still arrive; to remove it then: `DELETE" in told.remains
    with subtests.test("the session is lost meanwhile"):
        told = sent(api, does=("stores", "loads", "cuts"))
        assert (told.status, told.remains) == ("inconclusive", ""), told
    assert fingerprint(api.dsn) == before
    with subtests.test("nobody is there"):
        api.url, number = "http://127.0.0.1:9", len(api.asked)
        assert "SCOUT_SMOKE_URL names another server" in refused(api, api.url)["said"]
        assert len(api.asked) == number


def refused(api: Api, url: str) -> dict[str, Any]:
    result = call("scout_gate_info", api.dsn, smoke=True, smoke_url=url)
    assert result["error"]["kind"] == "bad_input", result
    assert TOKEN not in str(result)
    return dict(result["error"])


def test_a_token_goes_nowhere_else(api: Api, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, said in (
        ("http://example.org/x", "neither https nor on this machine"),
        ("ftp://localhost/x", "neither https nor on this machine"),
        (f"https://u:{TOKEN}@example.org/", "it has more than a host and a path"),
        (f"https://example.org/?apikey={TOKEN}", "it has more than a host and a path"),
        ("https://[::1", "is not a URL"),
        ("https:///x", "is not a URL"),
        ("https://example.org/x", "is not told the token"),
        (api.url.replace("127.0.0.1", "localhost"), "is not told the token"),
    ):
        with subtests.test(url):
            assert said in refused(api, url)["attempted"]
    with subtests.test("a token that would be two headers"):
        monkeypatch.setenv("SCOUT_SMOKE_TOKEN", f"{TOKEN}\r\nX: y")
        assert "holds no token" in refused(api, api.url)["attempted"]
    assert api.asked == []


@pytest.mark.parametrize(("expects", "removed"), [(0.0, False), (10.0, True)])
def test_a_call_of_the_etl_is_waited_for_as_long_as_it_usually_takes(
    api: Api, monkeypatch: pytest.MonkeyPatch, expects: float, *, removed: bool
) -> None:
    monkeypatch.setattr(http_sale, "REMOVE_SECONDS", 0.5)
    monkeypatch.setattr(expected, "call_seconds", lambda _session: expects)
    told = sent(api, does=("stores", "holds"))
    assert (told.status == "pass") is removed, told
    assert ("may not be removed" in told.reason) is not removed


def test_what_could_not_be_removed_is_not_sent_and_what_was_left_is_removed(
    api: Api, subtests: pytest.Subtests
) -> None:
    with subtests.test("an operator who may not delete"), operator(api.dsn, without="member") as dsn:
        own = dataclasses.replace(api, dsn=dsn)
        role = sql.Identifier(one(dsn, "SELECT current_user::text"))
        with connect(api.dsn) as connection:
            connection.execute(
                sql.SQL(
                    "GRANT USAGE ON SCHEMA scout TO {0}; GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA scout TO {0};"
                    "REVOKE DELETE ON scout.bronze_events FROM {0}"
                ).format(role)
            )
            told = sent(own)
            assert (told.status, own.asked) == ("inconclusive", [])
            grant = sql.SQL("GRANT DELETE ON scout.bronze_events TO {}").format(role)
            assert f"`{grant.as_string(connection)}`" in told.reason
            connection.execute(grant)
        with open_session(Settings(dsn)) as session:
            api.does = ("stores", "loads")
            to = http_sale.endpoint(api.url + TABLE, os.environ)
            assert http_sale.run(session, to, 5, Progress()).status == "pass"
    with subtests.test("a test that was killed"):
        before = fingerprint(api.dsn)
        sale = sent(api).transaction_id
        with connect(api.dsn) as connection:
            connection.execute(LEFT, [Jsonb({**api.asked[-1][2]["event_data"], "transaction_id": sale})])
            connection.execute(LOAD)
            # One of somebody's own that only speaks of it stays.
            connection.execute(LEFT, [Jsonb({"transaction_id": None, "note": sale})])
        assert one(api.dsn, "SELECT count(*) FROM scout.silver_transactions WHERE transaction_id = %s", sale) == 1
        assert sent(api).status == "pass"
        with connect(api.dsn) as connection:
            assert (
                connection.execute("DELETE FROM scout.bronze_events WHERE event_data ->> 'note' = %s", [sale]).rowcount
                == 1
            )
        assert fingerprint(api.dsn) == before
    with subtests.test("one that stays"):
        with connect(api.dsn) as connection:
            connection.execute(
                """CREATE TABLE scout.kept (id text REFERENCES scout.silver_transactions (transaction_id));
                CREATE FUNCTION scout.keep() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN INSERT INTO scout.kept VALUES (NEW.transaction_id); RETURN NEW; END';
                CREATE TRIGGER keep AFTER INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.keep();
                GRANT ALL ON scout.kept TO PUBLIC"""
            )
        told = sent(api, does=("stores", "loads"))
        assert (told.status, "may not be removed: " in told.remains) == ("fail", True), told
        assert told.remains in told.reason
        statements = told.remains.rpartition("to remove it: `")[2].rstrip("`")
        with connect(api.dsn) as connection:
            connection.execute("DELETE FROM scout.kept")
            connection.execute(statements.encode())
        assert not rows(
            api.dsn,
            "SELECT FROM scout.silver_transactions WHERE transaction_id = %s UNION ALL "
            "SELECT FROM scout.bronze_events WHERE event_data ->> 'transaction_id' = %s",
            *[told.transaction_id] * 2,
        )
