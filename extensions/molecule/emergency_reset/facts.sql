CREATE TEMPORARY VIEW pending AS
SELECT event_id FROM scout.bronze_events b
WHERE event_type = 'transaction.v1' AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id);

CREATE TEMPORARY VIEW dead AS
SELECT (error_details -> 'event' ->> 'event_id')::uuid AS event_id, * FROM scout.bronze_events_dlq WHERE resolved_at IS NULL;

-- Nothing is lost, nothing is there twice, nothing appeared.
SELECT bag_eq(
    'SELECT event_id FROM scout.bronze_events UNION ALL SELECT event_id FROM dead',
    'SELECT event_id FROM tap.known',
    'every event is in bronze or in the DLQ, once'
);
SELECT bag_eq('SELECT event_id FROM dead', 'SELECT event_id FROM tap.poison', 'the DLQ holds the poison and nothing else');
SELECT is_empty(
    'SELECT event_id FROM dead WHERE error_message IS NULL OR error_details IS NULL OR original_payload IS NULL',
    'each with what the database said and its full image'
);
SELECT is_empty('SELECT event_id FROM pending', 'no good event is left to be loaded');

-- Nobody is stuck.
SELECT is_empty($$SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'fault/%'$$, 'no session that held the pipeline is left');
SELECT is_empty('SELECT pid FROM pg_locks WHERE locktype = ''advisory'' AND objid = 94752052', 'the refresh lock is free');

-- Gold is newer than silver.
SELECT is_empty('SELECT matviewname FROM pg_matviews WHERE schemaname = ''scout'' AND NOT ispopulated', 'gold is populated');
SELECT cmp_ok(
    (SELECT max(updated_at) FROM scout.gold_daily_metrics), '>=',
    (SELECT max(processed_at) FROM scout.silver_transactions), 'gold is as new as silver'
);

-- The scheduler runs what it ran before, and succeeds.
SELECT bag_eq('SELECT jobname FROM cron.job WHERE NOT active', ARRAY['data-quality-alerts'], 'only the job that was off on purpose is off');
SELECT is(schedule, '2 seconds', 'the loader has its schedule') FROM cron.job WHERE jobname = 'bronze-to-silver-etl';
SELECT is(status, 'succeeded', 'its latest finished run succeeded') FROM cron.job_run_details
WHERE command LIKE '%load_silver%' AND end_time IS NOT NULL ORDER BY runid DESC LIMIT 1;
