# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can happen in a round, with what its options may be; pure."""

from __future__ import annotations

import typing as t

from tests.e2e.gameday.script import Kind

#: Which of several: the names of a catalog, in order, wrap around.
PICK: t.Final = (0, 63)
SECONDS: t.Final = (1.0, 6.0)

MODES: t.Final = (
    *("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE"),
    *("EXCLUSIVE", "ACCESS EXCLUSIVE"),
)
TABLES: t.Final = (
    *("silver_transactions", "silver_line_items", "etl_processed", "bronze_events", "bronze_events_dlq"),
    *("gold_daily_metrics", "dim_store"),
)
POISON: t.Final = ("non_numeric_amount", "bad_ts", "duplicate_in_batch")

#: Faults of the library: what they break is known to the toolkit, their company is not.
FAULTS: t.Final = (
    Kind("poison_event", "events that no batch survives", {"kind": POISON, "count": (1, 4)}),
    Kind("backlog", "more events than are loaded in a minute", {"count": (100, 1500)}),
    Kind("stuck_etl", "a load that does not end", {"variant": ("row_lock", "idle_in_transaction", "nested")}),
    Kind("lock_holder", "somebody holds the refresh's lock", {}),
    Kind("blocked_refresh", "a reader that a refresh waits for", {}),
    Kind("negative_totals", "sales below zero", {"count": (1, 4)}, touches=("silver",)),
    Kind("empty_baskets", "sales of nothing", {"count": (1, 4)}, touches=("silver",)),
    Kind("line_mismatch", "sales that are not the sum of their lines", {"count": (1, 4)}, touches=("silver",)),
    Kind("lost_window", "sales that are marked as loaded and are not in silver", {}, touches=("silver",)),
    Kind("gold_stale", "gold that is older than silver", {"minutes": (20, 120)}),
    Kind("gold_unpopulated", "a gold view without data", {}),
    Kind("gold_broken", "a gold view without its unique index", {}),
    Kind("etl_job_failing", "runs of the load that failed", {}),
)

#: Operators on the catalog.
OPERATORS: t.Final = (
    Kind(
        "drop_object",
        "something is dropped",
        {
            "kind": ("index", "constraint", "function", "view", "materialized view", "column", "job"),
            "pick": PICK,
        },
        touches=("jobs", "functions", "silver"),
    ),
    Kind(
        "rename_object",
        "something is renamed",
        {"kind": ("index", "function", "column", "table"), "pick": PICK},
        touches=("functions",),
    ),
    Kind("revoke_right", "a right is taken away", {"kind": ("table", "function", "schema"), "pick": PICK}),
    Kind(
        "change_owner",
        "something belongs to a stranger",
        {"kind": ("table", "function", "materialized view"), "pick": PICK},
        touches=("rights",),
    ),
    Kind("alter_setting", "a setting of the database or of a role", {"of": ("database", "role"), "pick": PICK}),
    Kind(
        "mutate_function",
        "a function that is almost what it was",
        {"pick": PICK, "change": PICK},
        touches=("functions", "silver"),
    ),
    Kind(
        "trigger",
        "a trigger refuses or swallows rows",
        {"does": ("raise", "swallow"), "pick": PICK},
        touches=("silver",),
    ),
    Kind(
        "change_job",
        "a job is off, does something else, at another time, or as a stranger",
        {"how": ("off", "command", "schedule", "role"), "pick": PICK},
        touches=("jobs",),
    ),
)

#: What befalls a server, a network and a machine.
DISTURBANCES: t.Final = (
    Kind("hold_lock", "somebody holds a lock", {"mode": MODES, "table": TABLES, "seconds": SECONDS}),
    Kind("prepare_transaction", "a prepared transaction that nobody ends", {"table": TABLES}),
    Kind("limit_connections", "a role may have few sessions", {"role": ("loader", "operator"), "limit": (0, 2)}),
    Kind("skew_clock", "a store whose clock is wrong sells", {"days": (-400, 400), "count": (1, 4)}),
    Kind("restart_server", "the server restarts", {"immediate": (False, True)}),
    Kind("slow_network", "every message takes longer", {"milliseconds": (5, 60)}),
    Kind("cut_network", "operators lose their connections", {"seconds": (0.1, 3.0)}),
)

ENDS: t.Final = ("wait", "interrupt", "kill")
#: What somebody may type who does not know what is wrong.
PLAYBOOKS: t.Final = (
    *("assess", "emergency_reset", "pause_ingestion", "resume_ingestion", "terminate_sessions", "refresh_gold"),
    *("redrive", "quality_cleanup", "quarantine", "window_recovery", "acceptance_gate", "undo"),
)
TYPED: t.Final = (
    Kind(
        "play",
        "an operator types a playbook, and may lose patience or power",
        {"playbook": PLAYBOOKS, "ends": ENDS, "after": (0.5, 6.0), "actor": ("first", "second")},
        typed=True,
    ),
    Kind(
        "takeover",
        "an operator takes the lease from whoever is at work",
        {"playbook": ("emergency_reset", "resume_ingestion", "quality_cleanup", "undo"), "actor": ("second", "first")},
        typed=True,
    ),
    Kind(
        "colleague",
        "a colleague with psql",
        {"does": ("load", "refresh", "end_sessions", "cancel_queries", "switch_jobs_on", "vacuum")},
        typed=True,
    ),
)

KINDS: t.Final = {kind.name: kind for kind in (*FAULTS, *OPERATORS, *DISTURBANCES, *TYPED)}


def touched(names: t.Iterable[str]) -> set[str]:
    """What these acts change on purpose, and no recovery has to restore."""
    return {each for name in names for each in KINDS[name].touches}
