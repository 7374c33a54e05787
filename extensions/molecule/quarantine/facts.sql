CREATE TEMPORARY VIEW bad AS SELECT * FROM tap.marked WHERE mark LIKE 'bad%';

-- A dead letter beside the mark of its event.
CREATE TEMPORARY VIEW letters AS
SELECT mark, transaction_id, bad.event_id AS bad_event, q.*
FROM scout.bronze_events_dlq AS q
LEFT JOIN bad ON bad.event_id = (q.error_details -> 'event' ->> 'event_id')::uuid;

-- The bad events left, and nothing else did.
SELECT bag_eq('SELECT bad_event FROM letters', 'SELECT event_id FROM bad', 'the DLQ holds the bad hour and nothing else');
SELECT bag_eq(
    $$SELECT mark, count(*) FROM letters WHERE mark <> 'bad and late' GROUP BY mark$$,
    $$VALUES ('bad hour', 40::bigint), ('bad sale', 3), ('bad correction', 3), ('bad count', 5)$$,
    'as many of each as there were'
);
SELECT is_empty(
    $$SELECT dlq_id FROM letters WHERE error_code <> 'QUARANTINE' OR source_system <> 'pos-sync' OR resolved_at IS NOT NULL
      OR retry_count <> 0 OR error_details ->> 'format' <> 'scout-recovery/1' OR error_details ->> 'kind' <> 'quarantine'
      OR (error_details ->> 'run_id')::uuid NOT IN (SELECT run_id FROM scout_ops.runs WHERE action = 'quarantine')
      OR error_details ->> 'incident' NOT LIKE 'molecule-quarantine%'$$,
    'each says why it is there, by which run and for which incident'
);

-- Each letter holds what there was, exactly.
SELECT bag_eq(
    $$SELECT r.event_id, r.event_type, r.event_ts, r.source_system, original_payload, r.event_hash, r.ingested_at
      FROM letters, jsonb_populate_record(NULL::scout.bronze_events, error_details -> 'event') AS r WHERE mark <> 'bad and late'$$,
    $$SELECT * FROM tap.bronze_events WHERE event_id IN (SELECT event_id FROM bad)$$,
    'the events as they were'
);
SELECT bag_eq(
    $$SELECT r.* FROM letters, jsonb_populate_record(NULL::scout.etl_processed, error_details -> 'ledger') AS r
      WHERE mark <> 'bad and late' AND error_details ? 'ledger'$$,
    $$SELECT * FROM tap.etl_processed WHERE event_id IN (SELECT event_id FROM bad)$$,
    'the marks of the ETL'
);
SELECT bag_eq(
    $$SELECT r.* FROM letters, jsonb_populate_record(NULL::scout.silver_transactions, error_details -> 'transaction') AS r
      WHERE mark <> 'bad and late' AND error_details ? 'transaction'$$,
    $$SELECT * FROM tap.silver_transactions WHERE transaction_id IN (SELECT transaction_id FROM bad WHERE mark <> 'bad count')$$,
    'the transactions'
);
SELECT bag_eq(
    $$SELECT r.* FROM letters, jsonb_populate_recordset(NULL::scout.silver_line_items, error_details -> 'lines') AS r
      WHERE mark <> 'bad and late'$$,
    $$SELECT * FROM tap.silver_line_items WHERE transaction_id IN (SELECT transaction_id FROM bad)$$,
    'the line items'
);
SELECT bag_eq(
    $$SELECT r.* FROM letters, jsonb_populate_recordset(NULL::scout.etl_processed, error_details -> 'requeued') AS r$$,
    $$SELECT * FROM tap.etl_processed WHERE event_id IN (SELECT event_id FROM tap.marked WHERE mark IN ('good sale', 'good correction'))$$,
    'the marks of what stayed and was to be loaded again'
);
SELECT bag_eq(
    $$SELECT mark, count(*) FROM letters WHERE error_details ? 'ledger' AND error_details ? 'transaction' GROUP BY mark$$,
    $$SELECT mark, count(*) FROM bad WHERE mark <> 'bad count' GROUP BY mark$$,
    'what the ETL passed over has no closure, all else has'
);

-- Silver keeps what it had of the good ones, and was made again of what remained of a pair.
SELECT is_empty(
    $$SELECT transaction_id FROM scout.silver_transactions WHERE transaction_id IN
      (SELECT transaction_id FROM bad WHERE mark IN ('bad hour', 'bad count', 'bad and late'))$$,
    'no bad transaction is in silver'
);
SELECT bag_eq(
    $$SELECT * FROM scout.silver_transactions WHERE transaction_id IN (SELECT transaction_id FROM tap.silver_transactions)
      AND transaction_id NOT IN (SELECT transaction_id FROM bad)$$,
    'SELECT * FROM tap.silver_transactions WHERE transaction_id NOT IN (SELECT transaction_id FROM bad)',
    'the good transactions are as they were'
);
SELECT bag_eq(
    $$SELECT * FROM scout.silver_line_items WHERE transaction_id IN (SELECT transaction_id FROM tap.silver_transactions)
      AND transaction_id NOT IN (SELECT transaction_id FROM bad)$$,
    'SELECT * FROM tap.silver_line_items WHERE transaction_id NOT IN (SELECT transaction_id FROM bad)',
    'so are their lines'
);
SELECT bag_eq(
    $$SELECT source_event_id, total_amount, net_amount, payment_method FROM scout.silver_transactions
      WHERE transaction_id IN (SELECT transaction_id FROM bad)$$,
    $$SELECT event_id, (event_data ->> 'total_amount')::numeric(10,2) AS total, (event_data ->> 'net_amount')::numeric(10,2) AS net,
          event_data ->> 'payment_method' AS payment
      FROM scout.bronze_events JOIN tap.marked USING (event_id) WHERE mark IN ('good sale', 'good correction')$$,
    'each pair is made of its good half'
);
SELECT bag_eq(
    $$SELECT transaction_id, product_id, quantity, unit_price FROM scout.silver_line_items
      WHERE transaction_id IN (SELECT transaction_id FROM bad)$$,
    $$SELECT transaction_id, i ->> 'product_id' AS product, (i ->> 'qty')::int AS qty, (i ->> 'unit_price')::numeric(10,2) AS price
      FROM scout.bronze_events JOIN tap.marked USING (event_id), jsonb_array_elements(event_data -> 'items') AS i
      WHERE mark IN ('good sale', 'good correction')$$,
    'line by line'
);

-- The ledger counts the same.
SELECT is(
    (SELECT sum((effects -> 'moved' ->> 'events')::int) FROM scout_ops.runs WHERE action = 'quarantine'),
    (SELECT count(*) FROM bad), 'the runs moved as many events'
);
SELECT is(
    (SELECT sum((effects ->> 'requeued')::int) FROM scout_ops.runs WHERE action = 'quarantine'), 6::bigint, 'and sent 6 back to the ETL'
);
SELECT is(
    (SELECT count(*) FROM scout_ops.runs WHERE action = 'quarantine'),
    (SELECT 1 + count(DISTINCT mark) FROM bad WHERE mark = 'bad and late'), 'in one run each time'
);
