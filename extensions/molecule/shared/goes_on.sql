SELECT isnt_empty($$SELECT FROM tap.marked WHERE mark = 'afterwards'$$, 'sales have arrived');
SELECT is_empty(
    $$SELECT event_id FROM tap.marked WHERE mark = 'afterwards' AND event_id NOT IN (SELECT source_event_id FROM scout.silver_transactions)$$,
    'each is in silver'
);
SELECT is_empty(
    $$SELECT event_id FROM tap.marked WHERE mark = 'afterwards' AND event_id NOT IN (SELECT event_id FROM scout.etl_processed)$$,
    'each is marked as loaded'
);
