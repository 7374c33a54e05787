SELECT bag_eq('SELECT * FROM tap.shape', 'SELECT * FROM tap.good_shape', 'schema, privileges and jobs are those of the release');
SELECT bag_eq('SELECT * FROM scout.dim_store', 'SELECT * FROM tap.good_stores', 'what was protected has its data');
SELECT bag_eq(
    'SELECT to_jsonb(a) FROM scout.alerts AS a', $$SELECT to_jsonb(a) - 'team' FROM tap.bad_alerts AS a$$,
    'the rows of a column that went are there'
);

-- Flow.
SELECT is_empty(
    $$SELECT event_id FROM scout.bronze_events b WHERE event_type = 'transaction.v1'
      AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)$$,
    'no event is left to be loaded'
);
SELECT is_empty('SELECT dlq_id FROM scout.bronze_events_dlq', 'none was set aside');
SELECT bag_eq(
    'SELECT date_key, store_id, transaction_count, total_sales FROM scout.gold_daily_metrics',
    'SELECT date_key, store_id, count(*), sum(total_amount) FROM scout.silver_transactions GROUP BY 1, 2',
    'gold says what silver says'
);

-- Nobody holds anything.
SELECT is_empty('SELECT incident FROM scout_ops.pauses WHERE resumed_at IS NULL', 'no pause is in force');
SELECT is_empty('SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL', 'nobody holds the lease');
SELECT is_empty($$SELECT action FROM scout_ops.runs WHERE status <> 'succeeded'$$, 'no run is left unfinished');
SELECT is_empty('SELECT datname FROM pg_database WHERE datname LIKE $$scout_rehearsal%$$', 'no copy is left of a rehearsal');
