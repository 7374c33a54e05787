# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is unusual about the sales of the last 24 hours, beside the 7 days before. It informs a person and never changes a verdict."""

from __future__ import annotations

import typing as t

from ..core.text import in_words, printable
from ..postgres.read_budget import Budget
from ..scout import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Row, Session

#: How long the query may take.
SECONDS: t.Final = 2.0
MOST_LINES: t.Final = 10
#: Fewer sales than this prove nothing, and neither does a factor below this, or fewer days to compare with.
LEAST_SALES: t.Final = 20
FACTOR: t.Final = 3
LEAST_DAYS: t.Final = 3

#: A day is 24 hours of arrivals that end at this time of the day: day 0 is the last one. `late` is how long after its `ts` a sale arrived.
#: A column `region` that the table lacks is NULL: its name then means that of `absent`.
RECENT = """
WITH recent AS MATERIALIZED (
    SELECT s.transaction_id, s.store_id COLLATE "C" AS store, b.source_system COLLATE "C" AS source, s.region COLLATE "C" AS region, s.ts,
           s.total,
           coalesce(upper(s.region), 'UNKNOWN') = 'UNKNOWN' AS nowhere,
           a.age / 86400 AS day, a.age %% 86400 < 3 * 3600 AS lately, a.age_of_ts - a.age AS late
    FROM (SELECT NULL::text AS region) AS absent
    CROSS JOIN LATERAL (
        SELECT t.transaction_id, t.store_id, t.ts, t.processed_at, t.source_event_id, region::text AS region,
               nullif(t.total_amount, 'NaN')::float8 AS total
        FROM {transactions} AS t
        WHERE t.processed_at > now() - interval '8 days' AND t.processed_at <= now() AND isfinite(t.ts)) AS s
    LEFT JOIN {bronze} AS b ON b.event_id = s.source_event_id
    CROSS JOIN LATERAL (
        SELECT floor(extract(epoch FROM now() - least(b.ingested_at, s.processed_at)))::int AS age,
               floor(extract(epoch FROM now() - s.ts))::int8 AS age_of_ts) AS a
    WHERE least(b.ingested_at, s.processed_at) > now() - interval '8 days'
"""
#: The dearest sale of a day is left out of its mean, so that one large sale is not unusual. How late sales are is compared by quartiles,
#: of a whole day and of its last 3 hours. A clock that is a month off is wrong.
DAYS = """
), twice AS (
    SELECT store, ts, total, min(day) AS day, count(*) - 1 AS copies FROM recent GROUP BY store, ts, total
    HAVING min(transaction_id) <> max(transaction_id)
), daily AS (
    SELECT CASE WHEN grouping(store) = 0 THEN 'store' WHEN grouping(source) = 0 THEN 'source' ELSE 'region' END AS kind,
           coalesce(store, source, region) AS name, day, count(*) AS sales, count(*) FILTER (WHERE lately) AS lately,
           (sum(total) - max(total)) / nullif(count(total) - 1, 0) AS mean, count(*) FILTER (WHERE nowhere) AS nowhere,
           percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY late) FILTER (WHERE copies IS NULL) AS late,
           percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY late) FILTER (WHERE copies IS NULL AND lately) AS late_lately,
           count(*) FILTER (WHERE abs(late) > 30 * 86400) AS far, max(late) AS latest, min(late) AS earliest
    FROM recent LEFT JOIN twice USING (store, ts, total, day) GROUP BY GROUPING SETS ((store, day), (source, day), (region, day))
), usual AS (
    SELECT kind, name, count(*) AS days, percentile_cont(0.5) WITHIN GROUP (ORDER BY sales) AS sales,
           max(sales) FILTER (WHERE day = 7) AS week_ago, percentile_cont(0.5) WITHIN GROUP (ORDER BY lately) AS lately,
           max(lately) FILTER (WHERE day = 7) AS lately_week_ago, percentile_cont(0.5) WITHIN GROUP (ORDER BY mean) AS mean,
           sum(nowhere) / sum(sales) AS nowhere, percentile_cont(0.5) WITHIN GROUP (ORDER BY late[2]) AS late,
           min(late[1]) - 3600 AS soon, max(late[3]) + 3600 AS late_enough, max(far) AS far,
           count(*) FILTER (WHERE lately >= %(least)s) AS days_lately, min(late_lately[1]) - 3600 AS soon_lately,
           max(late_lately[3]) + 3600 AS late_enough_lately
    FROM daily WHERE day > 0 AND name IS NOT NULL GROUP BY kind, name
), copied AS (
    SELECT name, coalesce(sum(copies) FILTER (WHERE day = 0), 0) AS copies, coalesce(max(copies) FILTER (WHERE day > 0), 0) AS usual
    FROM (SELECT store AS name, day, sum(copies) AS copies FROM twice GROUP BY store, day) AS by_day GROUP BY name
)
"""
#: One row for each thing that is unusual: `times` says how unusual, to choose among a store, its source and its region. Fewer sales
#: are unusual if chance (three standard deviations of a count) does not explain them and the same weekday had more as well.
UNUSUAL = """
SELECT rule.what, kind, name, rule.now, rule.usual, rule.times
FROM usual AS u LEFT JOIN (SELECT * FROM daily WHERE day = 0) AS d USING (kind, name)
CROSS JOIN LATERAL (SELECT coalesce(d.sales, 0)::float8 AS sales, coalesce(d.lately, 0)::float8 AS lately) AS n
CROSS JOIN LATERAL (VALUES
    ('fewer sales', n.sales, u.sales, (u.sales + 1) / (n.sales + 1),
     n.sales < 0.6 * least(u.sales, u.week_ago) AND u.sales - n.sales >= greatest(%(least)s, 3 * sqrt(u.sales))),
    ('fewer, last 3 h', n.lately, u.lately, (u.lately + 1) / (n.lately + 1),
     n.lately < least(u.lately, u.lately_week_ago) / 4 AND u.lately - n.lately >= greatest(%(least)s, 4 * sqrt(u.lately))),
    ('more sales', n.sales, u.sales, n.sales / u.sales,
     n.sales >= %(least)s AND n.sales > %(factor)s * greatest(u.sales, u.week_ago)),
    ('mean amount', d.mean, u.mean, greatest(d.mean / nullif(u.mean, 0), u.mean / nullif(d.mean, 0)),
     n.sales >= %(least)s AND u.mean > 0 AND (d.mean > %(factor)s * u.mean OR d.mean * %(factor)s < u.mean)),
    ('unknown region', 100 * d.nowhere / n.sales, 100 * u.nowhere, d.nowhere / n.sales,
     kind <> 'region' AND d.nowhere >= %(least)s AND d.nowhere > n.sales * greatest(0.1, %(factor)s * u.nowhere)),
    ('ts to arrival', CASE WHEN d.latest > -d.earliest THEN d.latest ELSE d.earliest END, u.late, d.far / n.sales,
     d.far >= %(least)s AND d.far > %(factor)s * u.far),
    ('ts to arrival', d.late[2], u.late, abs(d.late[2] - u.late),
     n.sales >= %(least)s AND d.far < %(least)s AND d.late[2] NOT BETWEEN u.soon AND u.late_enough),
    ('ts to arrival', d.late_lately[2], u.late, abs(d.late_lately[2] - u.late),
     n.lately >= %(least)s AND d.far < %(least)s AND u.days_lately >= %(days)s
     AND d.late_lately[2] NOT BETWEEN u.soon_lately AND u.late_enough_lately)
) AS rule (what, now, usual, times, is_unusual)
WHERE rule.is_unusual AND u.days >= %(days)s
UNION ALL
SELECT 'equal sales, new ids', 'store', name, copies, usual, copies FROM copied
WHERE copies >= %(least)s AND copies > %(factor)s * usual
"""


def read(session: Session) -> list[Row] | None:
    """What is unusual, most unusual first, each thing once: `what`, `kind` (source, store or region), `name`, `now`, `usual`, and how many
    `others` of that kind share it. None if that took too long or could not be read."""
    with session.read():
        values = {"least": LEAST_SALES, "factor": FACTOR, "days": LEAST_DAYS}
        query = contract.compose(RECENT + DAYS + UNUSUAL)
        found = Budget(session, SECONDS).read("unusual", lambda limited: limited.rows(query, **values))
    return None if found is None else _once(found)


def _once(found: list[Row]) -> list[Row]:
    """One row for each thing: of the kinds whose worst case is about as unusual as any, that of which the fewest share it."""
    lines: list[Row] = []
    for what in dict.fromkeys(row["what"] for row in found):
        kinds: dict[str, dict[str, Row]] = {"store": {}, "source": {}, "region": {}}
        for row in sorted((row for row in found if row["what"] == what), key=lambda row: -row["times"]):
            kinds[row["kind"]].setdefault(row["name"], row)
        shared = [list(rows.values()) for rows in kinds.values() if rows]
        worst = max(rows[0]["times"] for rows in shared)
        chosen = min((rows for rows in shared if rows[0]["times"] >= worst / 2), key=len)
        row = {key: chosen[0][key] for key in ("what", "kind", "now", "usual")}
        lines.append({**row, "name": printable(chosen[0]["name"], 60), "others": len(chosen) - 1})
    return lines[:MOST_LINES]


def table(rows: list[Row]) -> list[str]:
    """A line for each thing that is unusual."""
    return [
        f"{row['what']:<16} {row['kind']} {printable(row['name'], 20)}"
        + (f" and {row['others']} more" if row["others"] else "")
        + f": {_shown(row['what'], row['now'])}, usually {_shown(row['what'], row['usual'])}"
        for row in rows
    ]


def _shown(what: str, value: float) -> str:
    """A value in its unit."""
    if what == "ts to arrival":
        return f"{'-' if value < 0 else ''}{in_words(abs(value))}"
    return {"mean amount": f"{value:,.2f}", "unknown region": f"{value:.0f} %"}.get(what, f"{value:,.0f}")
