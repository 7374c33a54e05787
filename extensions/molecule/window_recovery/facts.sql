-- Each transaction of the window as it was before the damage, clocks and generated ids aside.
SELECT bag_eq(
    $$SELECT to_jsonb(t) - '{id,processed_at,created_at,updated_at}'::text[] FROM scout.silver_transactions AS t
      WHERE transaction_id IN (SELECT transaction_id FROM tap.marked WHERE mark NOT IN ('pending', 'poison'))$$,
    $$SELECT to_jsonb(t) - '{id,processed_at,created_at,updated_at}'::text[] FROM tap.silver_transactions AS t
      WHERE transaction_id IN (SELECT transaction_id FROM tap.marked)$$,
    'what was missing or wrong is as it was, corrections too'
);
SELECT bag_eq(
    $$SELECT transaction_id, product_id, line_sequence, quantity, unit_price, line_amount FROM scout.silver_line_items
      WHERE transaction_id IN (SELECT transaction_id FROM tap.marked WHERE mark NOT IN ('pending', 'poison'))$$,
    $$SELECT transaction_id, product_id, line_sequence, quantity, unit_price, line_amount FROM tap.silver_line_items
      WHERE transaction_id IN (SELECT transaction_id FROM tap.marked)$$,
    'line by line'
);
SELECT bag_eq(
    $$SELECT source_event_id, total_amount, net_amount FROM scout.silver_transactions
      WHERE transaction_id IN (SELECT transaction_id FROM tap.marked WHERE mark = 'pending')$$,
    $$SELECT event_id, (event_data ->> 'total_amount')::numeric(10,2) AS total, (event_data ->> 'net_amount')::numeric(10,2) AS net
      FROM scout.bronze_events JOIN tap.marked USING (event_id) WHERE mark = 'pending'$$,
    'what waited in the window is loaded'
);

-- What was right, and all that is not of the window, has not been rewritten.
SELECT bag_eq(
    $$SELECT * FROM scout.silver_transactions WHERE transaction_id NOT IN
      (SELECT transaction_id FROM tap.marked WHERE mark NOT IN ('right', 'outside'))$$,
    $$SELECT * FROM tap.silver_transactions WHERE transaction_id NOT IN
      (SELECT transaction_id FROM tap.marked WHERE mark NOT IN ('right', 'outside'))$$,
    'the other transactions are the same rows'
);
SELECT bag_eq(
    $$SELECT * FROM scout.silver_line_items WHERE transaction_id NOT IN
      (SELECT transaction_id FROM tap.marked WHERE mark NOT IN ('right', 'outside'))$$,
    $$SELECT * FROM tap.silver_line_items WHERE transaction_id NOT IN
      (SELECT transaction_id FROM tap.marked WHERE mark NOT IN ('right', 'outside'))$$,
    'so are their lines'
);

-- Poison of the window is set aside, as it was; elsewhere everything waits on.
SELECT bag_eq(
    $$SELECT (error_details -> 'event' ->> 'event_id')::uuid, error_details ->> 'sqlstate' FROM scout.bronze_events_dlq$$,
    $$SELECT event_id, '22P02' FROM tap.marked WHERE mark = 'poison'$$,
    'the poison of the window is in the DLQ'
);
SELECT bag_eq(
    $$SELECT * FROM scout.bronze_events$$,
    $$SELECT * FROM tap.bronze_events WHERE event_id NOT IN (SELECT event_id FROM tap.marked WHERE mark = 'poison')$$,
    'bronze has all other events as they were'
);
SELECT bag_eq(
    $$SELECT event_id FROM scout.bronze_events b WHERE event_type = 'transaction.v1'
      AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)$$,
    $$SELECT event_id FROM tap.marked WHERE mark LIKE 'waiting%'$$,
    'what waited outside the window waits, and nothing else does'
);

-- Gold says what silver says.
SELECT bag_eq(
    'SELECT date_key, store_id, transaction_count, total_sales FROM scout.gold_daily_metrics',
    'SELECT date_key, store_id, count(*), sum(total_amount) FROM scout.silver_transactions GROUP BY 1, 2',
    'gold says what silver says'
);

-- The scheduler is as it was found, and nobody holds anything.
SELECT bag_eq('SELECT jobname FROM cron.job WHERE NOT active', ARRAY['bronze-to-silver-etl'], 'only the job that was off on purpose is off');
SELECT is_empty('SELECT incident FROM scout_ops.pauses WHERE resumed_at IS NULL', 'no pause is in force');
SELECT is_empty('SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL', 'nobody holds the lease');
SELECT bag_eq($$SELECT status FROM scout_ops.runs WHERE action = 'window_recovery'$$, ARRAY['succeeded'], 'it was done in one run');
