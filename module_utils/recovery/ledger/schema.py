# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of schema scout_ops, version by version."""

from __future__ import annotations

import typing as t

#: One entry a version of the schema, applied in order; never edited after a release.
VERSIONS: t.Final[tuple[t.LiteralString, ...]] = (
    """
CREATE TABLE scout_ops.versions (
    version int PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT current_user
);
COMMENT ON TABLE scout_ops.versions IS 'Versions of this schema that have been applied';
COMMENT ON COLUMN scout_ops.versions.version IS 'Number of the version, from 1';
COMMENT ON COLUMN scout_ops.versions.applied_at IS 'When it was applied';
COMMENT ON COLUMN scout_ops.versions.applied_by IS 'The database role that applied it';

CREATE TABLE scout_ops.runs (
    run_id uuid PRIMARY KEY,
    parent_run_id uuid,
    action text NOT NULL,
    incident text NOT NULL,
    actor text NOT NULL,
    controller text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'succeeded', 'failed', 'stopped')),
    parameters jsonb NOT NULL DEFAULT '{}',
    effects jsonb NOT NULL DEFAULT '{}',
    error jsonb
);
CREATE INDEX runs_started_at ON scout_ops.runs (started_at);
CREATE INDEX runs_incident ON scout_ops.runs (incident);
COMMENT ON TABLE scout_ops.runs IS 'Every writing action of the toolkit: who, when, on whose behalf, with what effect';
COMMENT ON COLUMN scout_ops.runs.run_id IS 'Identifies the run; named in results, in dead letters and in undo';
COMMENT ON COLUMN scout_ops.runs.parent_run_id IS 'The run of the playbook this action belongs to, if one held the lease';
COMMENT ON COLUMN scout_ops.runs.action IS 'What was done: pause, resume, clear, drain, refresh, lease';
COMMENT ON COLUMN scout_ops.runs.incident IS 'The incident it was done for, or adhoc';
COMMENT ON COLUMN scout_ops.runs.actor IS 'The person: login@host';
COMMENT ON COLUMN scout_ops.runs.controller IS 'The process: host and pid';
COMMENT ON COLUMN scout_ops.runs.started_at IS 'When it began';
COMMENT ON COLUMN scout_ops.runs.finished_at IS 'When it ended; NULL while running or if it was killed';
COMMENT ON COLUMN scout_ops.runs.status IS 'running, succeeded, failed, stopped; running with a dead controller means killed';
COMMENT ON COLUMN scout_ops.runs.parameters IS 'Its options, without secrets';
COMMENT ON COLUMN scout_ops.runs.effects IS 'What it changed so far; committed together with each change';
COMMENT ON COLUMN scout_ops.runs.error IS 'Why it failed: attempted, on, said, sqlstate, next_step';

CREATE TABLE scout_ops.leases (
    name text PRIMARY KEY,
    token bigint NOT NULL,
    run_id uuid,
    incident text,
    owner text,
    host_key text,
    pid int,
    process_started text,
    acquired_at timestamptz,
    ttl_seconds int,
    expires_at timestamptz
);
COMMENT ON TABLE scout_ops.leases IS 'One operator at a time';
COMMENT ON COLUMN scout_ops.leases.name IS 'What is leased: pipeline';
COMMENT ON COLUMN scout_ops.leases.token IS 'Fencing token: grows with every acquisition; every write checks it';
COMMENT ON COLUMN scout_ops.leases.run_id IS 'The run that holds it';
COMMENT ON COLUMN scout_ops.leases.incident IS 'The incident it is held for';
COMMENT ON COLUMN scout_ops.leases.owner IS 'The person who holds it: login@host; NULL when free';
COMMENT ON COLUMN scout_ops.leases.host_key IS 'The machine, boot and pid namespace of the holder; tells whether pid can be looked up';
COMMENT ON COLUMN scout_ops.leases.pid IS 'The controller process of the holder';
COMMENT ON COLUMN scout_ops.leases.process_started IS 'When that process started, in its kernel''s ticks: guards against pid reuse';
COMMENT ON COLUMN scout_ops.leases.acquired_at IS 'When it was acquired';
COMMENT ON COLUMN scout_ops.leases.ttl_seconds IS 'After how many seconds without a write it expires';
COMMENT ON COLUMN scout_ops.leases.expires_at IS 'When it expires unless renewed; every write renews it';

CREATE TABLE scout_ops.pauses (
    pause_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    incident text NOT NULL,
    actor text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    jobs jsonb NOT NULL,
    switched boolean NOT NULL,
    resumed_at timestamptz,
    resumed_by text,
    resume_run_id uuid
);
CREATE UNIQUE INDEX pauses_one_open ON scout_ops.pauses ((true)) WHERE resumed_at IS NULL;
COMMENT ON TABLE scout_ops.pauses IS 'What each pause changed, so that resume restores exactly that';
COMMENT ON COLUMN scout_ops.pauses.pause_id IS 'Identifies the pause';
COMMENT ON COLUMN scout_ops.pauses.run_id IS 'The run that paused';
COMMENT ON COLUMN scout_ops.pauses.incident IS 'The incident it was paused for';
COMMENT ON COLUMN scout_ops.pauses.actor IS 'Who paused';
COMMENT ON COLUMN scout_ops.pauses.paused_at IS 'When';
COMMENT ON COLUMN scout_ops.pauses.jobs IS 'The jobs it deactivated: jobid, jobname, schedule, owner, command';
COMMENT ON COLUMN scout_ops.pauses.switched IS 'Whether the pipeline''s own switch could be called';
COMMENT ON COLUMN scout_ops.pauses.resumed_at IS 'When it was resumed; NULL while in force';
COMMENT ON COLUMN scout_ops.pauses.resumed_by IS 'Who resumed';
COMMENT ON COLUMN scout_ops.pauses.resume_run_id IS 'The run that resumed';
""",
    """
ALTER TABLE scout_ops.runs ADD COLUMN asked jsonb, ADD COLUMN undoes uuid, ADD COLUMN undone_by uuid;
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, clear, drain, refresh, lease, quarantine, cleanup, redrive, undo';
COMMENT ON COLUMN scout_ops.runs.parameters IS 'Its options, without secrets; of a move the frozen selection';
COMMENT ON COLUMN scout_ops.runs.asked IS 'The options of a move as they were given: the same options continue an interrupted run';
COMMENT ON COLUMN scout_ops.runs.undoes IS 'The run that this one undoes';
COMMENT ON COLUMN scout_ops.runs.undone_by IS 'The run that has undone this one';

CREATE TABLE scout_ops.related_events (
    run_id uuid NOT NULL,
    transaction_id text NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (run_id, transaction_id, event_id)
);
COMMENT ON TABLE scout_ops.related_events IS 'During a move: related events, of transactions that several events feed';
COMMENT ON COLUMN scout_ops.related_events.run_id IS 'The run that moves';
COMMENT ON COLUMN scout_ops.related_events.transaction_id IS 'The transaction';
COMMENT ON COLUMN scout_ops.related_events.event_id IS
    'An event that names it; the run''s own id marks the transaction itself, a dead letter''s id one that comes back';

CREATE TABLE scout_ops.images (
    item bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    dlq_id uuid,
    event_id uuid,
    transaction_id text,
    removed jsonb NOT NULL,
    added jsonb NOT NULL,
    undone_by uuid
);
CREATE INDEX images_run ON scout_ops.images (run_id, item);
CREATE INDEX images_transaction ON scout_ops.images (run_id, transaction_id) WHERE transaction_id IS NOT NULL;
COMMENT ON TABLE scout_ops.images IS 'What redrive and undo removed and put back, item by item, so that they can be undone';
COMMENT ON COLUMN scout_ops.images.item IS 'Identifies the item; in the order of the work';
COMMENT ON COLUMN scout_ops.images.run_id IS 'The run that did it';
COMMENT ON COLUMN scout_ops.images.dlq_id IS 'The dead letter it came from';
COMMENT ON COLUMN scout_ops.images.event_id IS 'The event it is about';
COMMENT ON COLUMN scout_ops.images.transaction_id IS 'The transaction it is about; items of the same one are undone together';
COMMENT ON COLUMN scout_ops.images.removed IS 'Images of the rows it removed, by table';
COMMENT ON COLUMN scout_ops.images.added IS 'Images of the rows it put there, by table';
COMMENT ON COLUMN scout_ops.images.undone_by IS 'The run that undid this item; NULL while it is in force';
""",
    """
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, clear, drain, refresh, lease, quarantine, cleanup, redrive, undo, window';

CREATE TABLE scout_ops.todo (
    run_id uuid NOT NULL,
    place bigint NOT NULL,
    unit text,
    events uuid[] NOT NULL,
    PRIMARY KEY (run_id, place)
);
COMMENT ON TABLE scout_ops.todo IS 'While a window is recovered: what is still to be rebuilt';
COMMENT ON COLUMN scout_ops.todo.run_id IS 'The run that recovers';
COMMENT ON COLUMN scout_ops.todo.place IS 'Its turn, in the order in which the events arrived';
COMMENT ON COLUMN scout_ops.todo.unit IS 'The transaction; NULL for events that are not about one, or that look malformed';
COMMENT ON COLUMN scout_ops.todo.events IS 'The events it is made of, first to last';
""",
    """
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, clear, drain, refresh, lease, quarantine, cleanup, redrive, undo, window, watch';

CREATE TABLE scout_ops.samples (
    run_id uuid NOT NULL,
    number int NOT NULL,
    at timestamptz NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('healthy', 'degraded', 'failing', 'inconclusive', 'paused')),
    reason text NOT NULL,
    state text NOT NULL,
    figures jsonb NOT NULL,
    statuses jsonb NOT NULL,
    PRIMARY KEY (run_id, number)
);
COMMENT ON TABLE scout_ops.samples IS 'What a watch observed, sample by sample';
COMMENT ON COLUMN scout_ops.samples.run_id IS 'The run that watched';
COMMENT ON COLUMN scout_ops.samples.number IS 'Its place among the samples of the run, from 1';
COMMENT ON COLUMN scout_ops.samples.at IS 'When it was taken, by the clock of the database';
COMMENT ON COLUMN scout_ops.samples.verdict IS
    'healthy, degraded, failing, paused; inconclusive where the pipeline could not be judged, or not be reached';
COMMENT ON COLUMN scout_ops.samples.reason IS 'What was not as it should be, or why nothing could be observed';
COMMENT ON COLUMN scout_ops.samples.state IS 'Of ingestion: running, paused or unknown';
COMMENT ON COLUMN scout_ops.samples.figures IS 'Every indicator by name, in its unit; null where it could not be read';
COMMENT ON COLUMN scout_ops.samples.statuses IS 'The judgement of each: ok, warn, fail, unknown';
""",
    """
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, clear, drain, refresh, lease, quarantine, cleanup, redrive, undo, window, watch, capture, deploy';

CREATE TABLE scout_ops.releases (
    capture_id uuid PRIMARY KEY,
    release text NOT NULL,
    digest text NOT NULL,
    captured_at timestamptz NOT NULL,
    captured_by text NOT NULL,
    incident text NOT NULL,
    run_id uuid NOT NULL,
    git_commit text,
    protect jsonb NOT NULL,
    document jsonb NOT NULL,
    superseded_at timestamptz,
    superseded_by uuid
);
CREATE UNIQUE INDEX releases_current ON scout_ops.releases (release) WHERE superseded_at IS NULL;
CREATE INDEX releases_captured_at ON scout_ops.releases (captured_at);
COMMENT ON TABLE scout_ops.releases IS 'What the schemas of a release were made of when it was captured';
COMMENT ON COLUMN scout_ops.releases.capture_id IS 'Identifies the capture';
COMMENT ON COLUMN scout_ops.releases.release IS 'The release; one of its captures is the current one';
COMMENT ON COLUMN scout_ops.releases.digest IS 'SHA-256 of all definitions: equal schemas have equal digests';
COMMENT ON COLUMN scout_ops.releases.captured_at IS 'When, by the clock of the database';
COMMENT ON COLUMN scout_ops.releases.captured_by IS 'Who captured it';
COMMENT ON COLUMN scout_ops.releases.incident IS 'The incident it was captured for, or adhoc';
COMMENT ON COLUMN scout_ops.releases.run_id IS 'The run that captured it';
COMMENT ON COLUMN scout_ops.releases.git_commit IS 'The commit of the application that belongs to it; NULL where none was named';
COMMENT ON COLUMN scout_ops.releases.protect IS 'What was to be saved of the data, as it was asked for';
COMMENT ON COLUMN scout_ops.releases.document IS 'The capture as its file has it: docs/release-capture.md';
COMMENT ON COLUMN scout_ops.releases.superseded_at IS 'When another replaced it; NULL while it is the current one of its release';
COMMENT ON COLUMN scout_ops.releases.superseded_by IS 'The capture that did';

CREATE TABLE scout_ops.protected_data (
    item bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    capture_id uuid NOT NULL,
    relation text NOT NULL,
    key jsonb NOT NULL,
    image jsonb NOT NULL
);
CREATE INDEX protected_data_capture ON scout_ops.protected_data (capture_id, relation, item);
COMMENT ON TABLE scout_ops.protected_data IS 'Data that was saved with a capture, row by row';
COMMENT ON COLUMN scout_ops.protected_data.item IS 'Identifies the row; in the order of the primary key';
COMMENT ON COLUMN scout_ops.protected_data.capture_id IS 'The capture';
COMMENT ON COLUMN scout_ops.protected_data.relation IS 'The table it is from, as its entry is named';
COMMENT ON COLUMN scout_ops.protected_data.key IS 'The primary key, every value as text';
COMMENT ON COLUMN scout_ops.protected_data.image IS 'The saved columns, every value as text, NULL as null';
""",
    """
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, clear, drain, refresh, lease, quarantine, cleanup, redrive, undo, window, watch, capture, '
    'restore, deploy';
COMMENT ON TABLE scout_ops.protected_data IS
    'Data that was saved with a capture, row by row; with the one that a rollback takes first, what it drops';
COMMENT ON COLUMN scout_ops.protected_data.key IS
    'The primary key, every value as text; for a dropped table without one, where its row was';
""",
    """
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, clear, drain, refresh, lease, quarantine, cleanup, redrive, undo, window, watch, capture, '
    'restore, deploy; while an incident is open also what was only checked: assess, gate, evidence';
COMMENT ON COLUMN scout_ops.runs.incident IS 'The incident it was done for or was adopted by, or adhoc';

CREATE TABLE scout_ops.incidents (
    incident text PRIMARY KEY,
    title text NOT NULL,
    severity text NOT NULL,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    closed_at timestamptz,
    closed_by text,
    root_cause text,
    next_update_at timestamptz
);
CREATE UNIQUE INDEX incidents_one_open ON scout_ops.incidents ((true)) WHERE closed_at IS NULL;
COMMENT ON TABLE scout_ops.incidents IS 'Incidents that were opened; one at most is open';
COMMENT ON COLUMN scout_ops.incidents.incident IS 'Its name; runs carry it, before it was opened too';
COMMENT ON COLUMN scout_ops.incidents.title IS 'What is wrong, on one line';
COMMENT ON COLUMN scout_ops.incidents.severity IS 'Name of its severity now';
COMMENT ON COLUMN scout_ops.incidents.opened_at IS 'When it was opened';
COMMENT ON COLUMN scout_ops.incidents.opened_by IS 'Who opened it';
COMMENT ON COLUMN scout_ops.incidents.closed_at IS 'When it was closed; NULL while it is open';
COMMENT ON COLUMN scout_ops.incidents.closed_by IS 'Who closed it';
COMMENT ON COLUMN scout_ops.incidents.root_cause IS 'The root cause as it was last noted';
COMMENT ON COLUMN scout_ops.incidents.next_update_at IS 'By when an update is promised; NULL where none is';

CREATE TABLE scout_ops.incident_entries (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('opened', 'note', 'update', 'adopted', 'notified', 'closed')),
    text text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX incident_entries_incident ON scout_ops.incident_entries (incident, entry);
COMMENT ON TABLE scout_ops.incident_entries IS 'What was noted of an incident; what was done for it is in runs';
COMMENT ON COLUMN scout_ops.incident_entries.entry IS 'Identifies the entry; in the order of writing';
COMMENT ON COLUMN scout_ops.incident_entries.incident IS 'The incident';
COMMENT ON COLUMN scout_ops.incident_entries.at IS 'When, by the clock of the database';
COMMENT ON COLUMN scout_ops.incident_entries.actor IS 'Who wrote it';
COMMENT ON COLUMN scout_ops.incident_entries.kind IS 'opened, note, update, adopted, notified or closed';
COMMENT ON COLUMN scout_ops.incident_entries.text IS 'The words';
COMMENT ON COLUMN scout_ops.incident_entries.details IS
    'What belongs to them: the checklist item that a note settles, severity with response_minutes and escalation, '
    'next_update_at, adopted runs, what was missing when it was closed';
""",
    """
UPDATE scout_ops.runs SET action = new.name
FROM (VALUES ('clear', 'terminate_sessions'), ('refresh', 'refresh_gold'), ('window', 'window_recovery'), ('restore', 'rollback'))
     AS new (former, name)
WHERE action = new.former;
UPDATE scout_ops.runs SET effects = effects - 'cleared' || jsonb_build_object('ended', effects -> 'cleared')
WHERE action = 'terminate_sessions' AND effects ? 'cleared';
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, terminate_sessions, drain, refresh_gold, lease, quarantine, cleanup, redrive, undo, '
    'window_recovery, watch, capture, rollback, deploy; while an incident is open also what was only checked: assess, gate, evidence';
""",
    # Two names that ledgers before 1.0 have. A transaction_id may be longer than an index takes: a digest of it is indexed.
    """
DO $$
BEGIN
    IF to_regclass('scout_ops.kin') IS NOT NULL THEN
        ALTER TABLE scout_ops.kin RENAME CONSTRAINT kin_pkey TO related_events_pkey;
        ALTER TABLE scout_ops.kin RENAME TO related_events;
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid = 'scout_ops.images'::regclass AND attname = 'taken_back_by') THEN
        ALTER TABLE scout_ops.images RENAME COLUMN taken_back_by TO undone_by;
    END IF;
END
$$;
ALTER TABLE scout_ops.related_events DROP CONSTRAINT related_events_pkey;
ALTER TABLE scout_ops.related_events ADD COLUMN entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
CREATE UNIQUE INDEX related_events_key ON scout_ops.related_events
    (hashtextextended(transaction_id, 0), hashtextextended(transaction_id, 1), run_id, event_id);
CREATE INDEX related_events_transaction ON scout_ops.related_events USING hash (transaction_id);
DROP INDEX scout_ops.images_transaction;
CREATE INDEX images_transaction ON scout_ops.images USING hash (transaction_id);
COMMENT ON COLUMN scout_ops.related_events.entry IS 'Identifies the line';
""",
    """
ALTER TABLE scout_ops.pauses ADD COLUMN reason text;
COMMENT ON COLUMN scout_ops.pauses.reason IS 'Why, as whoever paused gave it with -e scout_reason=; NULL where nothing was given';
""",
    """
ALTER TABLE scout_ops.runs DROP CONSTRAINT runs_status_check;
ALTER TABLE scout_ops.runs ADD CONSTRAINT runs_status_check
    CHECK (status IN ('running', 'succeeded', 'failed', 'stopped', 'interrupted'));
COMMENT ON COLUMN scout_ops.runs.status IS
    'running, succeeded, failed, stopped, interrupted: killed, as the next run found out; running with a dead controller means killed';
""",
    """
CREATE TABLE scout_ops.stored (
    dlq_id uuid PRIMARY KEY,
    run_id uuid NOT NULL,
    digest bytea NOT NULL
);
CREATE INDEX stored_run ON scout_ops.stored (run_id);
COMMENT ON TABLE scout_ops.stored IS 'What each run stored among the dead letters: undo and redrive believe only that';
COMMENT ON COLUMN scout_ops.stored.dlq_id IS 'The dead letter';
COMMENT ON COLUMN scout_ops.stored.run_id IS 'The run that stored it';
COMMENT ON COLUMN scout_ops.stored.digest IS 'SHA-256, cut to 16 bytes, of its payload and its details as they were stored';

ALTER TABLE scout_ops.runs ADD COLUMN backend_pid int, ADD COLUMN backend_start timestamptz, ADD COLUMN backend_role text;
COMMENT ON COLUMN scout_ops.runs.backend_pid IS 'The server process of its session; NULL through a pooler';
COMMENT ON COLUMN scout_ops.runs.backend_start IS 'When that process started: guards against pid reuse';
COMMENT ON COLUMN scout_ops.runs.backend_role IS 'The role it logged in as';

UPDATE scout_ops.pauses AS p SET jobs = (
    SELECT coalesce(jsonb_agg(CASE WHEN job ? 'command' THEN job - 'command' || jsonb_build_object(
        'command_digest', encode(sha256(convert_to(job ->> 'command', 'UTF8')), 'hex')) ELSE job END), '[]')
    FROM jsonb_array_elements(p.jobs) AS job);
COMMENT ON COLUMN scout_ops.pauses.jobs IS
    'The jobs it deactivated: jobid, jobname, schedule, owner, SHA-256 of the command, which may hold a secret';
""",
    """
ALTER TABLE scout_ops.stored ADD COLUMN signature bytea;
COMMENT ON COLUMN scout_ops.stored.signature IS 'HMAC-SHA256 of dead letter, run and digest; NULL where the controller had no key';
""",
    """
CREATE TABLE scout_ops.evidence (
    incident text NOT NULL,
    place text NOT NULL,
    number int NOT NULL,
    manifest_sha256 text NOT NULL,
    actor text NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (incident, place, number, manifest_sha256)
);
COMMENT ON TABLE scout_ops.evidence IS 'Each snapshot of evidence that was kept, so that one that is missing is missed';
COMMENT ON COLUMN scout_ops.evidence.incident IS 'The incident, or adhoc';
COMMENT ON COLUMN scout_ops.evidence.place IS 'Where it was written: host:folder';
COMMENT ON COLUMN scout_ops.evidence.number IS 'Its place in the chain of the incident in that folder, from 1';
COMMENT ON COLUMN scout_ops.evidence.manifest_sha256 IS 'SHA-256 of its manifest, which has that of the one before';
COMMENT ON COLUMN scout_ops.evidence.actor IS 'Who kept it: login@host';
COMMENT ON COLUMN scout_ops.evidence.kept_at IS 'When it was recorded, by the clock of the database';
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, terminate_sessions, drain, refresh_gold, lease, quarantine, cleanup, redrive, undo, '
    'window_recovery, watch, capture, rollback, deploy; while an incident is open also what was only checked or told: assess, gate, '
    'evidence, downstream';
""",
    """
CREATE TABLE scout_ops.servers (
    system_identifier text NOT NULL,
    timeline int NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    last_position pg_lsn NOT NULL,
    PRIMARY KEY (system_identifier, timeline)
);
COMMENT ON TABLE scout_ops.servers IS 'Where this ledger was written, so that a server that was restored or promoted since is told';
COMMENT ON COLUMN scout_ops.servers.system_identifier IS 'The cluster; empty where the role may not ask for it';
COMMENT ON COLUMN scout_ops.servers.timeline IS 'The timeline: each promotion and each restored backup begins one';
COMMENT ON COLUMN scout_ops.servers.first_seen_at IS 'When it was first written there';
COMMENT ON COLUMN scout_ops.servers.last_seen_at IS 'When it was last written there, by an operation that began or ended';
COMMENT ON COLUMN scout_ops.servers.last_position IS 'How far the WAL was then';
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, terminate_sessions, drain, refresh_gold, lease, quarantine, cleanup, redrive, undo, '
    'window_recovery, watch, capture, rollback, deploy, restored; while an incident is open also what was only checked or told: '
    'assess, gate, evidence, downstream';
""",
    """
ALTER TABLE scout_ops.leases ADD COLUMN kept_at timestamptz, ADD COLUMN session_pid int, ADD COLUMN session_start timestamptz,
    ADD COLUMN session_role text;
COMMENT ON COLUMN scout_ops.leases.ttl_seconds IS 'After how many seconds without a renewal it expires';
COMMENT ON COLUMN scout_ops.leases.expires_at IS
    'When it expires unless renewed, by its keeper every few seconds and by every write; not before its keeper''s session is gone';
COMMENT ON COLUMN scout_ops.leases.kept_at IS 'When its keeper renewed it last; NULL where it has none';
COMMENT ON COLUMN scout_ops.leases.session_pid IS 'The server process of its keeper''s session; NULL through a pooler';
COMMENT ON COLUMN scout_ops.leases.session_start IS 'When that process started: guards against pid reuse';
COMMENT ON COLUMN scout_ops.leases.session_role IS 'The role it logged in as';
COMMENT ON COLUMN scout_ops.runs.actor IS
    'The person: login@host; in a container the login of the database; or whom a controller of automation told, marked so, and that login';
COMMENT ON COLUMN scout_ops.leases.owner IS 'Who holds it, as in runs.actor; NULL when free';
COMMENT ON COLUMN scout_ops.evidence.actor IS 'Who kept it, as in runs.actor';
COMMENT ON COLUMN scout_ops.runs.backend_role IS 'The role that logged in to the database';
""",
    """
CREATE TABLE scout_ops.rollouts (
    rollout text NOT NULL,
    operation text NOT NULL,
    batches jsonb NOT NULL,
    most float8 NOT NULL,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL,
    PRIMARY KEY (rollout, operation)
);
COMMENT ON TABLE scout_ops.rollouts IS 'Operations on many databases that several controllers share, where this database keeps the record';
COMMENT ON COLUMN scout_ops.rollouts.rollout IS 'Its name, which all slices give';
COMMENT ON COLUMN scout_ops.rollouts.operation IS 'The play that it is';
COMMENT ON COLUMN scout_ops.rollouts.batches IS 'How many databases each batch has over all slices; 100% takes all others';
COMMENT ON COLUMN scout_ops.rollouts.most IS 'The share of a batch, in percent, after which no further database begins';
COMMENT ON COLUMN scout_ops.rollouts.started_by IS 'Who started it, as in runs.actor';
COMMENT ON COLUMN scout_ops.rollouts.started_at IS 'When its first slice joined';
COMMENT ON COLUMN scout_ops.rollouts.last_at IS 'When a slice last joined, began a database or ended one';

CREATE TABLE scout_ops.rollout_slices (
    slice uuid PRIMARY KEY,
    rollout text NOT NULL,
    operation text NOT NULL,
    controller text NOT NULL,
    actor text NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kept_at timestamptz
);
COMMENT ON TABLE scout_ops.rollout_slices IS 'The controllers of a rollout, each a run of ansible-playbook';
COMMENT ON COLUMN scout_ops.rollout_slices.slice IS 'Identifies the slice';
COMMENT ON COLUMN scout_ops.rollout_slices.rollout IS 'The rollout';
COMMENT ON COLUMN scout_ops.rollout_slices.operation IS 'The play';
COMMENT ON COLUMN scout_ops.rollout_slices.controller IS 'The process: host and pid';
COMMENT ON COLUMN scout_ops.rollout_slices.actor IS 'Who runs it, as in runs.actor';
COMMENT ON COLUMN scout_ops.rollout_slices.entered_at IS 'When it joined';
COMMENT ON COLUMN scout_ops.rollout_slices.kept_at IS 'When its keeper was last heard of; NULL once it is over';

CREATE TABLE scout_ops.rollout_hosts (
    rollout text NOT NULL,
    operation text NOT NULL,
    host text NOT NULL,
    place text NOT NULL,
    slice uuid NOT NULL,
    number bigint NOT NULL,
    batch int,
    begun_at timestamptz,
    ended_at timestamptz,
    failed boolean,
    row jsonb,
    PRIMARY KEY (rollout, operation, host)
);
COMMENT ON TABLE scout_ops.rollout_hosts IS 'The databases of a rollout, and what came of each';
COMMENT ON COLUMN scout_ops.rollout_hosts.rollout IS 'The rollout';
COMMENT ON COLUMN scout_ops.rollout_hosts.operation IS 'The play';
COMMENT ON COLUMN scout_ops.rollout_hosts.host IS 'Its name in the inventory';
COMMENT ON COLUMN scout_ops.rollout_hosts.place IS 'A digest of where it is, so that one name is one database';
COMMENT ON COLUMN scout_ops.rollout_hosts.slice IS 'The slice that has it';
COMMENT ON COLUMN scout_ops.rollout_hosts.number IS 'Its place in that slice';
COMMENT ON COLUMN scout_ops.rollout_hosts.batch IS 'The batch that it began in, from 0; NULL until then';
COMMENT ON COLUMN scout_ops.rollout_hosts.begun_at IS 'When it began';
COMMENT ON COLUMN scout_ops.rollout_hosts.ended_at IS 'When it ended';
COMMENT ON COLUMN scout_ops.rollout_hosts.failed IS 'Whether it ended badly; NULL until it has ended';
COMMENT ON COLUMN scout_ops.rollout_hosts.row IS 'Its line in the table of all databases';
""",
    """
DROP TABLE scout_ops.rollouts, scout_ops.rollout_slices, scout_ops.rollout_hosts, scout_ops.evidence, scout_ops.servers;
DROP TABLE scout_ops.samples;
-- People wrote these: they go only where nobody did.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM scout_ops.incidents) AND NOT EXISTS (SELECT FROM scout_ops.incident_entries) THEN
        DROP TABLE scout_ops.incident_entries, scout_ops.incidents;
    END IF;
END $$;
ALTER TABLE scout_ops.stored DROP COLUMN signature;
COMMENT ON COLUMN scout_ops.runs.action IS
    'What was done: pause, resume, terminate_sessions, drain, refresh_gold, lease, quarantine, cleanup, redrive, undo, '
    'window_recovery, capture, rollback, deploy; of earlier releases also assess, gate, evidence, watch, restored';
COMMENT ON COLUMN scout_ops.runs.incident IS 'The incident it was done for, or adhoc';
""",
    """
ALTER TABLE scout_ops.leases DROP COLUMN host_key;
ALTER TABLE scout_ops.leases DROP COLUMN pid;
ALTER TABLE scout_ops.leases DROP COLUMN process_started;
ALTER TABLE scout_ops.leases DROP COLUMN kept_at;
ALTER TABLE scout_ops.leases DROP COLUMN session_pid;
ALTER TABLE scout_ops.leases DROP COLUMN session_start;
ALTER TABLE scout_ops.leases DROP COLUMN session_role;
COMMENT ON COLUMN scout_ops.leases.token IS
    'Fencing token: grows with every acquisition; whoever has it holds the lease, and every write checks it';
COMMENT ON COLUMN scout_ops.leases.expires_at IS
    'From when others may take it, unless it is renewed: by each call of a module when it begins and ends, every 10 s between, '
    'and by each write';
""",
)

#: What a ledger that nobody has written to since does not have; whoever only reads asks whether it is there.
ADDED_LAST: t.Final = ("stored",)
TABLES: t.Final = (
    *("versions", "runs", "leases", "pauses", "related_events", "images", "todo"),
    *("releases", "protected_data"),
    *ADDED_LAST,
)
