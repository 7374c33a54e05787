CREATE TEMPORARY VIEW bad AS SELECT * FROM tap.marked WHERE mark LIKE 'bad%';

-- Every event is back exactly as it was, and so is all that was made of it, but for when it was made and its generated keys.
SELECT bag_eq('SELECT * FROM scout.bronze_events', 'SELECT * FROM tap.bronze_events', 'bronze holds the same events');
SELECT bag_eq('SELECT event_id FROM scout.etl_processed', 'SELECT event_id FROM tap.etl_processed', 'the same are loaded');
SELECT bag_eq(
    $$SELECT to_jsonb(t) - '{id,processed_at,created_at,updated_at}'::text[] FROM scout.silver_transactions AS t$$,
    $$SELECT to_jsonb(t) - '{id,processed_at,created_at,updated_at}'::text[] FROM tap.silver_transactions AS t$$,
    'silver holds the same transactions'
);
SELECT bag_eq(
    $$SELECT to_jsonb(l) - '{line_id,processed_at,updated_at}'::text[] FROM scout.silver_line_items AS l$$,
    $$SELECT to_jsonb(l) - '{line_id,processed_at,updated_at}'::text[] FROM tap.silver_line_items AS l$$,
    'with the same lines'
);
SELECT bag_eq(
    $$SELECT * FROM scout.silver_transactions WHERE transaction_id NOT IN (SELECT transaction_id FROM bad)$$,
    $$SELECT * FROM tap.silver_transactions WHERE transaction_id NOT IN (SELECT transaction_id FROM bad)$$,
    'what was never moved was never touched'
);

-- The dead letters stay, and say that they are done with.
SELECT bag_eq(
    $$SELECT (error_details -> 'event' ->> 'event_id')::uuid FROM scout.bronze_events_dlq
      WHERE resolved_at IS NOT NULL AND resolved_by IS NOT NULL AND retry_count = 1 AND last_retry_at IS NOT NULL$$,
    'SELECT event_id FROM bad',
    'each dead letter is marked as resolved, by whom and when'
);
SELECT is((SELECT count(*) FROM scout.bronze_events_dlq), 51::bigint, 'none was added or removed');
SELECT is((SELECT count(*) FROM scout_ops.runs WHERE action = 'redrive'), 1::bigint, 'it took one run');
