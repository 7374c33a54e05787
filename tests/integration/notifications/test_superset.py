# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Superset's caches, on a server that answers as its API is documented: what is asked, in which order, and what fails alone."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from ansible_collections.scout.recovery.plugins.modules import scout_superset
from tests.integration.listeners import HANG
from tests.integration.modules import as_declared

PASSWORD = "s3cr3t-of-superset"
TOKEN = "eyJhbGciOi.T0KENT0KENT0KEN.x"
CSRF = "CSRFCSRFCSRF"
MISSING = 'Error: (psycopg2.errors.UndefinedColumn) column "margin" does not exist\nLINE 1: SELECT "margin" FROM scout.gold_daily'
#: What Superset 6 answers, as its OpenAPI document has it, cut to what is read.
DATASETS = {"gold_daily": [7], "gold_stores": [8, 9]}
CHARTS = [
    {"id": 5, "slice_name": "Sales a day", "form_data": {"datasource": "7__table", "viz_type": "line"}},
    {"id": 6, "slice_name": "Margin", "form_data": {"datasource": "8__table", "viz_type": "table"}},
    {"id": 4, "slice_name": "Weather", "form_data": {"datasource": "70__table", "viz_type": "line"}},
]
PLAIN: dict[tuple[str, str], tuple[int, Any]] = {
    ("POST", "/api/v1/cachekey/invalidate"): (201, {}),
    ("GET", "/api/v1/dashboard/sales"): (200, {"result": {"id": 3, "slug": "sales"}}),
    ("GET", "/api/v1/dashboard/sales/charts"): (200, {"result": CHARTS}),
    ("GET", "/api/v1/chart/5/data/"): (200, {"result": [{"is_cached": False}]}),
}


class Superset:
    """Its REST API; `fails` answers a path otherwise, by a status or HANG."""

    def __init__(self) -> None:
        self.fails: dict[str, int] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.stopping = threading.Event()
        superset = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                superset.answer(self, "GET")

            def do_POST(self) -> None:
                superset.answer(self, "POST")

            def do_PUT(self) -> None:
                superset.answer(self, "PUT")

            def log_message(self, *_: Any) -> None:
                """Stays silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that goes away is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        path, _, query = handler.path.partition("?")
        body = json.loads(raw) if raw else urllib.parse.unquote(query.removeprefix("q="))
        self.asked.append((method, path, body))
        status, made, cookie = self.reply(handler, method, path, body)
        if path in self.fails:
            status, made = self.fails[path], {"message": f"no {handler.headers.get('Authorization')} {PASSWORD}"}
        if status == HANG:
            self.stopping.wait(30)
            return
        text = json.dumps(made).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        if cookie:
            handler.send_header("Set-Cookie", f"session={CSRF}; HttpOnly; Path=/")
        handler.end_headers()
        handler.wfile.write(text)

    def reply(self, handler: BaseHTTPRequestHandler, method: str, path: str, body: Any) -> tuple[int, Any, bool]:
        if (method, path) == ("POST", "/api/v1/security/login"):
            good = body == {"username": "scout", "password": PASSWORD, "provider": "db", "refresh": False}
            return (200, {"access_token": TOKEN}, False) if good else (401, {"message": "Not authorized"}, False)
        if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"msg": "Missing Authorization Header"}, False
        if (method, path) == ("GET", "/api/v1/security/csrf_token/"):
            return 200, {"result": CSRF}, True
        if method != "GET":
            given = (handler.headers.get("X-CSRFToken"), handler.headers.get("Cookie"), handler.headers.get("Referer"))
            if given != (CSRF, f"session={CSRF}", self.url):
                return 400, {"errors": [{"message": "400 Bad Request: The CSRF token is missing."}]}, False
        if method == "GET" and path.startswith("/api/v1/chart/") and handler.headers.get("Content-Type"):
            return 400, {"message": "Failed to decode JSON object: Expecting value"}, False
        if path == "/api/v1/dataset/":
            return 200, self.datasets(body), False
        if path == "/api/v1/chart/warm_up_cache" and method == "PUT":
            error = MISSING if body["chart_id"] == 6 else None
            result = {"chart_id": body["chart_id"], "viz_error": error, "viz_status": None if error else "success"}
            return 200, {"result": [result]}, False
        return *PLAIN.get((method, path), (404, {"message": "Not found"})), False

    @staticmethod
    def datasets(query: str) -> Any:
        """All of them where the table is one that the filter does not know, as an old version might."""
        found = [
            {"id": number, "table_name": name, "schema": "scout", "database": {"id": 1, "database_name": "Scout"}}
            for name, numbers in DATASETS.items()
            for number in numbers
            if f"value:{name})" in query or "value:gold_else)" in query
        ]
        return {"count": len(found), "ids": [each["id"] for each in found], "result": found}

    @property
    def paths(self) -> list[str]:
        return [f"{method} {path.removeprefix('/api/v1/')}" for method, path, _ in self.asked]


@pytest.fixture
def superset(monkeypatch: pytest.MonkeyPatch) -> Iterator[Superset]:
    monkeypatch.setenv("SUPERSET_USERNAME", "scout")
    monkeypatch.setenv("SUPERSET_PASSWORD", PASSWORD)
    made = Superset()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    made.stopping.set()
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def seen_to(url: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The module's result, which holds no secret."""
    given = {"relations": ["scout.gold_daily", "scout.gold_stores"], **options}
    defaults = {name: option.get("default") for name, option in scout_superset.SPEC.items()}
    params = {**defaults, "url": url, **given}
    result = invoke(scout_superset.run, "scout_superset", params, check=check, progress=Progress(lambda _line: None))
    for secret in (PASSWORD, TOKEN, CSRF):
        assert secret not in json.dumps(result)
    return as_declared("scout_superset", result)


def test_the_caches_of_what_was_changed_are_invalidated_and_named_dashboards_warmed(superset: Superset) -> None:
    would = seen_to(superset.url, check=True)
    assert (would["changed"], superset.asked) == (False, [])
    assert would["summary"] == "would invalidate Superset's caches of what reads gold_daily, gold_stores"
    made = seen_to(superset.url, dashboards=["sales"])
    assert superset.paths == [
        "POST security/login", "GET security/csrf_token/", "GET dataset/", "GET dataset/", "POST cachekey/invalidate",
        "GET dashboard/sales", "GET dashboard/sales/charts", "GET chart/5/data/", "PUT chart/warm_up_cache", "PUT chart/warm_up_cache",
    ]  # fmt: skip
    bodies = [body for _, _, body in superset.asked]
    assert bodies[2] == (
        "(filters:!((col:table_name,opr:eq,value:gold_daily),(col:schema,opr:eq,value:scout)),page_size:100)"
    )
    assert bodies[4] == {"datasource_uids": ["7__table", "8__table", "9__table"]}
    assert bodies[8:] == [{"chart_id": 5, "dashboard_id": 3}, {"chart_id": 6, "dashboard_id": 3}]
    assert (made["changed"], made["invalidated"], made["warmed"], made["unreached"]) == (
        True,
        True,
        ["Sales a day"],
        "",
    )
    [broken] = made["broken"]
    assert (broken["dashboard"], broken["chart"], broken["column"]) == ("sales", "Margin", "margin")
    assert made["warnings"] == ["Superset chart of sales fails: Margin: no column margin"]
    assert made["summary"] == (
        "asked Superset to invalidate its caches of 3 datasets (gold_daily, gold_stores); warmed 1 chart; "
        "charts that fail: Margin: no column margin"
    )


def test_a_superset_that_keeps_what_it_was_asked_to_forget_is_found_out(
    superset: Superset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is 201 either way; the first chart of a dashboard says what came of it, and warming renews all of that dashboard."""
    chart = ("GET", "/api/v1/chart/5/data/")
    monkeypatch.setitem(PLAIN, chart, (200, {"result": [{"is_cached": True}]}))
    made = seen_to(superset.url, dashboards=["sales"])
    assert (made["changed"], made["invalidated"], made["warmed"]) == (True, False, ["Sales a day"])
    assert made["summary"].startswith(
        "Superset still has its caches of 3 datasets (gold_daily, gold_stores); warmed 1 chart"
    )
    assert any("have STORE_CACHE_KEYS_IN_METADATA_DB = True" in each for each in made["warnings"])
    # An old chart has no query that could be asked for.
    monkeypatch.setitem(PLAIN, chart, (400, {"message": "Chart has no query context saved."}))
    made = seen_to(superset.url, dashboards=["sales"])
    assert (made["invalidated"], made["warmed"], made["unreached"]) == (True, ["Sales a day"], "")


def test_nothing_is_invalidated_where_no_dataset_reads_it(superset: Superset) -> None:
    # Even where a filter is not heeded, and all datasets are answered.
    made = seen_to(superset.url, relations=["scout.gold_else", 'scout."odd'])
    assert (made["changed"], made["datasets"]) == (False, [])
    assert made["summary"] == "no dataset of Superset reads what was changed"
    assert "POST cachekey/invalidate" not in superset.paths


FAILURES: dict[str, tuple[str, int, str, list[str], bool]] = {
    "a wrong password": ("/api/v1/security/login", 401, "HTTP 401", ["POST security/login"], False),
    "a login that hangs": ("/api/v1/security/login", HANG, "it was not done within 0.5 s", ["POST security/login"], False),
    "a server that is down": ("/api/v1/dataset/", 503, "GET /api/v1/dataset/: HTTP 503", [], False),
    "a login that redirects": ("/api/v1/security/login", 302, "redirects are not followed", ["POST security/login"], False),
    "no right to invalidate": ("/api/v1/cachekey/invalidate", 403, "cachekey/invalidate: HTTP 403", [], False),
    "no such dashboard": ("/api/v1/dashboard/sales", 404, "GET /api/v1/dashboard/sales: HTTP 404", [], True),
    "a chart that hangs": ("/api/v1/chart/warm_up_cache", HANG, "it was not done within 4 s", [], True),
}  # fmt: skip


def test_what_fails_is_named_within_its_time(superset: Superset, subtests: pytest.Subtests) -> None:
    for what, (path, status, said, paths, invalidated) in FAILURES.items():
        with subtests.test(what):
            superset.fails, superset.asked = {path: status}, []
            # The one that hangs at its end has to get there first, on a busy machine as well.
            seconds = 20 if status != HANG else 4 if invalidated else 0.5
            began = time.monotonic()
            made = seen_to(superset.url, dashboards=["sales"], timeout_seconds=seconds)
            assert time.monotonic() - began < 15
            assert said in made["unreached"], made["unreached"]
            assert (made["changed"], made["invalidated"]) == (invalidated, invalidated)
            assert not made.get("failed")
            assert not paths or superset.paths == paths
            [warning] = made["warnings"]
            assert ("up to 24 h" in warning) is not invalidated


def test_without_a_password_nothing_is_asked(superset: Superset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERSET_PASSWORD")
    made = seen_to(superset.url)
    assert "set SUPERSET_USERNAME and SUPERSET_PASSWORD" in made["unreached"]
    assert superset.asked == []
    assert seen_to(superset.url, user="scout", password=PASSWORD)["invalidated"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://superset.example.org"}, "url is not encrypted"),
        ({"url": "superset"}, "url is not usable"),
        ({"dashboards": ["a/../b"]}, "dashboard 'a/../b' is not usable"),
        ({"timeout_seconds": 0}, "timeout_seconds 0"),
    ],
)
def test_what_cannot_be_used_is_refused(options: Any, said: str) -> None:
    made = seen_to(**{"url": "https://superset.example.org", **options})
    assert made["failed"]
    assert said in made["msg"]
