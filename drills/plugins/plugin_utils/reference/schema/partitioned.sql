-- Turns the pipeline into one whose bronze has a partition for each day, which pg_partman can be handed.

ALTER TABLE scout.bronze_events RENAME TO bronze_events_plain;
ALTER TABLE scout.bronze_events_plain DROP CONSTRAINT bronze_events_pkey, DROP CONSTRAINT bronze_events_event_hash_key;
-- Every unique key of such a table has the column by which it is partitioned, so none keeps an event from coming twice.
CREATE TABLE scout.bronze_events (
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    event_type text NOT NULL,
    event_ts timestamptz NOT NULL DEFAULT now(),
    source_system text,
    event_data jsonb NOT NULL,
    event_hash bytea,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, ingested_at),
    CONSTRAINT bronze_events_event_hash_key UNIQUE (event_hash, ingested_at)
) PARTITION BY RANGE (ingested_at);
CREATE INDEX bronze_events_event_hash_idx ON scout.bronze_events (event_hash);
CREATE TABLE scout.bronze_events_default PARTITION OF scout.bronze_events DEFAULT;

-- As pg_partman has made them after a while, and calls them: for a month that is over, and for days to come.
DO $$
DECLARE
    day timestamptz;
BEGIN
    FOR n IN -30..4 LOOP
        day := date_trunc('day', now(), 'UTC') + n * interval '24 hours';
        EXECUTE format('CREATE TABLE scout.%I PARTITION OF scout.bronze_events FOR VALUES FROM (%L) TO (%L)',
                       'bronze_events_p' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD'), day, day + interval '24 hours');
    END LOOP;
END;
$$;

CREATE OR REPLACE FUNCTION scout.ingest_event(p_payload jsonb)
RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    stored uuid;
    hash constant bytea := scout.canonical_event_hash(p_payload);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(hash, 'hex'), 0));
    INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, event_hash)
    SELECT
        coalesce(p_payload->>'event_type', 'transaction.v1'),
        coalesce((p_payload->>'ts')::timestamptz, now()),
        coalesce(p_payload->>'source_system', 'edge'),
        p_payload,
        hash
    WHERE NOT EXISTS (SELECT FROM scout.bronze_events b WHERE b.event_hash = hash)
    RETURNING event_id INTO stored;
    RETURN stored;
END;
$$;

-- The views read the table by its number.
CREATE OR REPLACE VIEW scout.v_ingest_latency AS
SELECT
    date_trunc('minute', ingested_at) AS minute,
    count(*) AS events,
    avg(extract(epoch FROM ingested_at - event_ts)) AS avg_latency_seconds,
    max(extract(epoch FROM ingested_at - event_ts)) AS max_latency_seconds
FROM scout.bronze_events
WHERE ingested_at >= now() - interval '1 hour'
GROUP BY 1;

CREATE OR REPLACE VIEW scout.v_edge_ingest_24h AS
SELECT date_trunc('hour', ingested_at) AS hour, source_system, count(*) AS events
FROM scout.bronze_events
WHERE ingested_at >= now() - interval '24 hours'
GROUP BY 1, 2;

DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW scout.v_ingest_freshness AS '
        || replace(pg_get_viewdef('scout.v_ingest_freshness'::regclass), 'bronze_events_plain', 'bronze_events');
END;
$$;
DROP TABLE scout.bronze_events_plain;

GRANT INSERT, SELECT ON scout.bronze_events TO edge_ingest;
GRANT SELECT ON ALL TABLES IN SCHEMA scout TO dashboard_reader;
