# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Superset after gold has changed: the caches of the datasets that read it are invalidated, named dashboards are warmed, and charts
that no longer find a column are named. Whatever fails is a result, never an error."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import threading
import time
import typing as t
import urllib.parse

from ..core import redaction
from ..core.errors import BadInput
from ..core.results import ModuleResult
from ..core.text import count, printable
from ..core.values import as_list, loaded
from ..scout import contract
from . import channels
from .services import Undelivered

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..invoke import Params, WithoutSession

Result = dict[str, t.Any]

MOST_SECONDS: t.Final = 3600.0
#: How long one request may go without a sign of life; a chart that is warmed may take all that is left.
REQUEST_SECONDS: t.Final = 10.0
STEP_SECONDS: t.Final = 0.25
#: So many relations are looked for, and so many datasets of one are taken.
MOST_RELATIONS: t.Final = 50
PAGE: t.Final = 100
SAID: t.Final = 200
FEW: t.Final = 3
#: A dashboard by its number or its slug.
DASHBOARD: t.Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
#: How PostgreSQL, and Superset itself, say that a chart asks for a column that is gone.
NO_COLUMN: t.Final = re.compile(
    r"column \"?([\w.]+)\"? does not exist|Columns missing in dataset: \[?'?([\w., ']+?)'?\]", re.IGNORECASE
)
KEPT: t.Final = (
    "Superset accepted the invalidation and still answers from its caches: have STORE_CACHE_KEYS_IN_METADATA_DB = True in its "
    "superset_config.py; charts that were not warmed may show the figures of before for up to 24 h"
)
USER: t.Final = "SUPERSET_USERNAME"
PASSWORD: t.Final = "SUPERSET_PASSWORD"


class SupersetResult(ModuleResult):
    """What scout_superset returns."""

    datasets: list[dict[str, t.Any]]
    invalidated: bool
    warmed: list[str]
    broken: list[dict[str, str]]
    unreached: str
    effects: dict[str, t.Any]
    warnings: list[str]


@dataclasses.dataclass
class _Course:
    """How far it has come; written by its thread, read when its time is up."""

    datasets: list[Result] = dataclasses.field(default_factory=list["Result"])
    invalidated: bool = False
    warmed: list[str] = dataclasses.field(default_factory=list[str])
    broken: list[dict[str, str]] = dataclasses.field(default_factory=list[dict[str, str]])
    #: Whether it answered from a cache that it had been asked to invalidate; None before a chart was looked at.
    kept: bool | None = None
    unreached: str = ""
    over: bool = False


class _Api:
    """A session of Superset's REST API; nothing of its secrets stands in an error."""

    def __init__(self, url: str, ca_file: str | None, deadline: float, hidden: set[str]) -> None:
        self.url = url.rstrip("/")
        self.ca_file = ca_file
        self.deadline = deadline
        self.hidden = hidden
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, body: Result | None = None, *, seconds: float = REQUEST_SECONDS) -> Result:
        """What it answers. Raises Undelivered, naming the request, where that is no answer of 2xx in JSON."""
        # HTTP and TLS take long to load.
        from . import delivery

        left = self.deadline - time.monotonic()
        what = f"{method} {path.partition('?')[0]}"
        if left <= 0:
            raise Undelivered(f"{what}: the time is up", again=False)
        request = channels.Posted(f"{self.url}{path}", body or {}, self.headers, self.ca_file)
        try:
            reply = delivery.exchange(request, min(seconds, left), method=method)
            answer: t.Any = loaded(reply.body) if reply.body.strip() else {}
        except Undelivered as e:
            raise Undelivered(f"{what}: {channels.hide(str(e), self.hidden)}", again=False) from None
        except ValueError:
            raise Undelivered(
                f"{what}: its answer is no JSON; is superset_url that of Superset?", again=False
            ) from None
        if cookie := reply.cookies:
            self.headers = {**self.headers, "Cookie": cookie}
        return t.cast("Result", answer) if isinstance(answer, dict) else {}

    def log_in(self, user: str, password: str, provider: str) -> None:
        """Gets a token, and the one against forged requests that goes with each that changes something."""
        given = {"username": user, "password": password, "provider": provider, "refresh": False}
        token = str(self.ask("POST", "/api/v1/security/login", given).get("access_token") or "")
        if not token:
            raise Undelivered("POST /api/v1/security/login: it gave no access_token", again=False)
        self.hidden |= {token}
        self.headers = {"Authorization": f"Bearer {token}", "Referer": self.url}
        csrf = str(self.ask("GET", "/api/v1/security/csrf_token/").get("result") or "")
        self.hidden |= {csrf} if csrf else set()
        self.headers |= {"X-CSRFToken": csrf} if csrf else {}

    def datasets(self, relation: str) -> list[Result]:
        """Those that read a table or a view."""
        schema, _, table = relation.rpartition(".")
        asked = (
            f"(filters:!((col:table_name,opr:eq,value:{table}),(col:schema,opr:eq,value:{schema})),page_size:{PAGE})"
        )
        found = self.ask("GET", f"/api/v1/dataset/?q={urllib.parse.quote(asked)}")
        # A filter that it did not understand selects all there are.
        return [
            {"id": each["id"], "name": relation}
            for each in as_list(found.get("result"))
            if isinstance(each.get("id"), int) and (each.get("table_name"), each.get("schema")) == (table, schema)
        ]


def carry_out(call: WithoutSession, params: Params) -> SupersetResult:
    """The datasets that read what was changed, whether their caches were invalidated, the charts that were warmed, and those that no
    longer find a column; `unreached` says why not all of it was done.

    In check mode connects to nothing. Raises BadInput for options that cannot be used, without a secret.
    """
    url = channels.read_http({"url": params["url"]})["url"]
    seconds = channels.at_most("timeout_seconds", params["timeout_seconds"], MOST_SECONDS)
    for name in params["dashboards"]:
        if not DASHBOARD.fullmatch(str(name)):
            raise BadInput(f"dashboard {str(name)[:80]!r} is not usable", next_step="give its number, or its slug")
    user = params["user"] or os.environ.get(USER, "")
    password = params["password"] or os.environ.get(PASSWORD, "")
    relations = [name for name in params["relations"] if _is_relation(name)]
    course = _Course()
    if not (user and password):
        course.unreached = (
            f"no user or password: set {USER} and {PASSWORD}, or superset_user and a vault's superset_password"
        )
    elif relations and not call.check:
        api = _Api(url, params["ca_file"], time.monotonic() + seconds, channels.secrets({"password": password}))
        _within(seconds, course, lambda: _go(api, course, params, relations, user, password), call.progress.checkpoint)
    return _told(course, relations, check=call.check)


def _is_relation(name: t.Any) -> bool:
    """Whether it can stand in a request as it is."""
    parts = str(name).split(".")
    return len(parts) == 2 and all(contract.PLAIN.fullmatch(part) for part in parts)


def _within(seconds: float, course: _Course, work: Callable[[], None], checkpoint: Callable[[], None]) -> None:
    """Does it in a thread of its own, which is not waited for beyond its time."""

    def go() -> None:
        try:
            work()
        except Undelivered as e:
            course.unreached = str(e)
        except Exception as e:  # noqa: BLE001  # nothing that hangs on it may stop a recovery; its text may hold a secret
            course.unreached = f"unexpected answer: {type(e).__name__}"
        course.over = True

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    deadline = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < deadline:
        checkpoint()
        thread.join(min(STEP_SECONDS, max(0.0, deadline - time.monotonic())))
    if not course.over:
        course.unreached = f"it was not done within {seconds:g} s"


def _go(api: _Api, course: _Course, params: Params, relations: Sequence[str], user: str, password: str) -> None:
    api.log_in(user, password, params["provider"])
    for relation in relations[:MOST_RELATIONS]:
        course.datasets += api.datasets(relation)
    if not course.datasets:
        return
    uids = [f"{each['id']}__table" for each in course.datasets]
    api.ask("POST", "/api/v1/cachekey/invalidate", {"datasource_uids": uids})
    course.invalidated = True
    for name in params["dashboards"]:
        _warm(api, course, str(name), set(uids))


def _warm(api: _Api, course: _Course, dashboard: str, uids: set[str]) -> None:
    """The charts of a dashboard that read these datasets, each asked for once so that it is in the cache again."""
    about: Result = api.ask("GET", f"/api/v1/dashboard/{dashboard}").get("result") or {}
    charts = as_list(api.ask("GET", f"/api/v1/dashboard/{dashboard}/charts").get("result"))
    for chart in charts:
        form: Result = chart.get("form_data") or {}
        if form.get("datasource") not in uids or not isinstance(chart.get("id"), int):
            continue
        if course.kept is None:
            course.kept = _is_kept(api, chart["id"])
        asked = {"chart_id": chart["id"], **({"dashboard_id": about["id"]} if isinstance(about.get("id"), int) else {})}
        answer = api.ask("PUT", "/api/v1/chart/warm_up_cache", asked, seconds=MOST_SECONDS)
        name = printable(str(chart.get("slice_name") or chart["id"]))[:80]
        errors = [each.get("viz_error") for each in as_list(answer.get("result")) if each.get("viz_error")]
        if errors:
            said = redaction.clean(" ".join(printable(json.dumps(errors[0], ensure_ascii=False).strip('"')).split()))
            course.broken.append({"dashboard": dashboard, "chart": name, **_column(said)})
        else:
            course.warmed.append(name)


def _is_kept(api: _Api, chart: int) -> bool | None:
    """Whether a chart is still answered from the cache: Superset knows no key of it unless its STORE_CACHE_KEYS_IN_METADATA_DB is True,
    and accepts an invalidation all the same. None where that cannot be told."""
    try:
        answer = api.ask("GET", f"/api/v1/chart/{chart}/data/", seconds=MOST_SECONDS)
    except Undelivered:
        return None
    return any(each.get("is_cached") for each in as_list(answer.get("result")))


def _column(said: str) -> dict[str, str]:
    """The column that a chart did not find, empty where it was something else, and what was said."""
    found = NO_COLUMN.search(said.replace('\\"', '"'))
    column = next((part for part in found.groups() if part), "") if found else ""
    return {"column": column, "said": said[:SAID]}


def _told(course: _Course, relations: Sequence[str], *, check: bool) -> SupersetResult:
    parts: list[str] = []
    names = ", ".join(dict.fromkeys(contract.bare(each["name"]) for each in course.datasets))
    if check and relations and not course.unreached:
        parts.append(f"would invalidate Superset's caches of what reads {', '.join(map(contract.bare, relations))}")
    elif course.invalidated:
        verb = "Superset still has its" if course.kept else "asked Superset to invalidate its"
        parts.append(f"{verb} caches of {count(len(course.datasets), 'dataset')} ({names})")
    elif not course.unreached and relations:
        parts.append("no dataset of Superset reads what was changed")
    if course.warmed:
        parts.append(f"warmed {count(len(course.warmed), 'chart')}")
    broken = [
        f"{each['chart']}: " + (f"no column {each['column']}" if each["column"] else each["said"])
        for each in course.broken
    ]
    if broken:
        more = f" and {len(broken) - FEW} more" if len(broken) > FEW else ""
        parts.append(f"charts that fail: {'; '.join(broken[:FEW])}{more}")
    warnings = [
        f"Superset chart of {each['dashboard']} fails: {told}" for each, told in zip(course.broken, broken, strict=True)
    ]
    if course.kept:
        warnings.append(KEPT)
    if course.unreached:
        old = "" if course.invalidated else "; its dashboards may show the figures of before for up to 24 h"
        warnings.append(f"Superset was not seen to: {course.unreached}{old}")
        parts.append("Superset was not seen to" if not course.invalidated else "not all charts were warmed")
    told: Result = {
        "datasets": course.datasets,
        "invalidated": course.invalidated and not course.kept,
        "warmed": course.warmed,
        "broken": course.broken,
        "unreached": course.unreached,
    }
    return t.cast(
        "SupersetResult",
        {
            "changed": told["invalidated"] or bool(course.warmed),
            **told,
            "effects": told,
            "warnings": warnings,
            "summary": "; ".join(parts) or "nothing was changed that Superset could read",
        },
    )
