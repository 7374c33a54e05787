-- What is wrong, said without the rules: by what was made wrong, and by how silver was before.
CREATE TEMPORARY VIEW bad AS
SELECT transaction_id, 'INVALID_AMOUNTS' AS code FROM tap.silver_transactions WHERE total_amount < 0 OR item_count = 0
UNION ALL SELECT transaction_id, 'LINE_TOTAL_MISMATCH' FROM tap.silver_transactions WHERE total_amount = 9999
UNION ALL SELECT transaction_id, 'UNKNOWN_PAYMENT' FROM tap.marked WHERE mark = 'bad payment'
UNION ALL SELECT transaction_id, 'INVALID_AMOUNTS' FROM tap.marked WHERE mark = 'bad later';

CREATE TEMPORARY VIEW letters AS
SELECT (error_details -> 'event' ->> 'event_id')::uuid AS event_id, error_details -> 'transaction' ->> 'transaction_id' AS transaction_id,
       q.error_code, q.error_details, q.original_payload, q.resolved_at
FROM scout.bronze_events_dlq AS q;

CREATE TEMPORARY VIEW early AS
SELECT * FROM letters WHERE event_id NOT IN (SELECT event_id FROM tap.marked WHERE mark = 'bad later');

-- What is wrong left, each once, and nothing else did.
SELECT bag_eq('SELECT transaction_id, error_code FROM letters', 'SELECT transaction_id, code FROM bad', 'the DLQ holds what is wrong, once');
SELECT bag_eq(
    'SELECT error_code, count(*) FROM early GROUP BY 1',
    $$VALUES ('INVALID_AMOUNTS', 15::bigint), ('LINE_TOTAL_MISMATCH', 2), ('UNKNOWN_PAYMENT', 6)$$,
    'as many of each as there were'
);
SELECT is_empty(
    $$SELECT transaction_id FROM letters WHERE resolved_at IS NOT NULL
      OR error_details ->> 'format' <> 'scout-recovery/1' OR error_details ->> 'kind' <> 'cleanup'
      OR (error_details ->> 'run_id')::uuid NOT IN (SELECT run_id FROM scout_ops.runs WHERE action = 'cleanup')$$,
    'each says what put it there'
);
SELECT bag_eq(
    'SELECT error_details -> ''rules'', count(*) FROM early GROUP BY 1',
    $$VALUES ('["negative_total", "lines_do_not_add_up"]'::jsonb, 6::bigint), ('["negative_total", "empty_basket"]', 5),
             ('["empty_basket"]', 4), ('["lines_do_not_add_up"]', 2), ('["unknown_payment"]', 6)$$,
    'with the names of all rules it violates, the gravest first'
);

-- Each letter holds what there was, exactly.
SELECT bag_eq(
    $$SELECT r.event_id, r.event_type, r.event_ts, r.source_system, original_payload, r.event_hash, r.ingested_at
      FROM early, jsonb_populate_record(NULL::scout.bronze_events, error_details -> 'event') AS r$$,
    $$SELECT * FROM tap.bronze_events WHERE event_id IN (SELECT event_id FROM early)$$,
    'the events as they were'
);
SELECT bag_eq(
    $$SELECT r.* FROM early, jsonb_populate_record(NULL::scout.etl_processed, error_details -> 'ledger') AS r$$,
    $$SELECT * FROM tap.etl_processed WHERE event_id IN (SELECT event_id FROM early)$$,
    'the marks of the ETL'
);
SELECT bag_eq(
    $$SELECT r.* FROM early, jsonb_populate_record(NULL::scout.silver_transactions, error_details -> 'transaction') AS r$$,
    $$SELECT * FROM tap.silver_transactions WHERE transaction_id IN (SELECT transaction_id FROM bad)$$,
    'the transactions'
);
SELECT bag_eq(
    $$SELECT r.* FROM early, jsonb_populate_recordset(NULL::scout.silver_line_items, error_details -> 'lines') AS r$$,
    $$SELECT * FROM tap.silver_line_items WHERE transaction_id IN (SELECT transaction_id FROM bad)$$,
    'the line items'
);
SELECT bag_eq(
    $$SELECT r.* FROM letters, jsonb_populate_recordset(NULL::scout.etl_processed, error_details -> 'requeued') AS r$$,
    $$SELECT * FROM tap.etl_processed WHERE event_id IN (SELECT event_id FROM tap.marked WHERE mark = 'good correction')$$,
    'the marks of what stayed and was to be loaded again'
);

-- Silver keeps what it had of the good ones; corrections have taken the place of what they correct.
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
    $$SELECT source_event_id, total_amount, net_amount FROM scout.silver_transactions WHERE transaction_id IN (SELECT transaction_id FROM bad)$$,
    $$SELECT event_id, 100.00 AS total, 100.00 AS net FROM tap.marked WHERE mark = 'good correction'$$,
    'of the bad ones only those are in silver that a correction has made right'
);

-- The gate, the report and the ledger say the same.
SELECT is_empty('SELECT transaction_id FROM scout.silver_transactions WHERE total_amount < 0 OR item_count <= 0', 'the gate finds nothing');
SELECT is(
    (SELECT sum((effects -> 'moved' ->> 'transactions')::int) FROM scout_ops.runs WHERE action = 'cleanup'),
    (SELECT count(*) FROM bad), 'the runs moved as many transactions'
);
SELECT is(
    (SELECT count(*) FROM scout_ops.runs WHERE action = 'cleanup'),
    (SELECT 1 + count(DISTINCT mark) FROM tap.marked WHERE mark = 'bad later'), 'in one run each time'
);
