-- What must hold after every move, whatever was moved.
CREATE TEMPORARY VIEW dead AS
SELECT (error_details -> 'event' ->> 'event_id')::uuid AS event_id FROM scout.bronze_events_dlq WHERE resolved_at IS NULL;

SELECT bag_eq(
    'SELECT event_id FROM scout.bronze_events UNION ALL SELECT event_id FROM dead',
    'SELECT event_id FROM tap.known',
    'every event is in bronze or in the DLQ, once'
);
SELECT is_empty(
    $$SELECT event_id FROM scout.bronze_events b WHERE event_type = 'transaction.v1'
      AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)$$,
    'no event is left to be loaded'
);
SELECT is_empty(
    'SELECT event_id FROM scout.etl_processed WHERE event_id NOT IN (SELECT event_id FROM scout.bronze_events)',
    'nothing is marked as loaded that is not in bronze'
);
SELECT is_empty(
    'SELECT transaction_id FROM scout.silver_transactions WHERE source_event_id NOT IN (SELECT event_id FROM scout.bronze_events)',
    'nothing is in silver whose event is not in bronze'
);

-- Gold is newer than silver and says the same.
SELECT cmp_ok(
    (SELECT max(updated_at) FROM scout.gold_daily_metrics), '>=',
    (SELECT max(processed_at) FROM scout.silver_transactions), 'gold is as new as silver'
);
SELECT bag_eq(
    'SELECT date_key, store_id, transaction_count, total_sales FROM scout.gold_daily_metrics',
    'SELECT date_key, store_id, count(*), sum(total_amount) FROM scout.silver_transactions GROUP BY 1, 2',
    'gold says what silver says'
);

-- The scheduler runs what it ran before, and nobody holds anything.
SELECT bag_eq('SELECT jobname FROM cron.job WHERE NOT active', ARRAY['product-linking'], 'only the job that was off on purpose is off');
SELECT is(schedule, '2 seconds', 'the loader has its schedule') FROM cron.job WHERE jobname = 'bronze-to-silver-etl';
-- On a busy machine a run may last longer than a pause waits for it; whatever it was to load, another one has loaded.
SELECT is_empty(
    $$SELECT return_message FROM cron.job_run_details
      WHERE command LIKE '%load_silver%' AND status = 'failed' AND return_message <> 'job canceled'$$,
    'no run of the loader failed'
);
SELECT is_empty('SELECT incident FROM scout_ops.pauses WHERE resumed_at IS NULL', 'no pause is in force');
SELECT is_empty('SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL', 'nobody holds the lease');
SELECT is_empty($$SELECT action FROM scout_ops.runs WHERE status <> 'succeeded'$$, 'no run is left unfinished');
SELECT is_empty('SELECT run_id FROM scout_ops.related_events', 'no notes of a run are left');
