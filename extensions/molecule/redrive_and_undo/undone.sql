SELECT is_empty('SELECT dlq_id FROM scout.bronze_events_dlq', 'no dead letter is left');
SELECT is_empty(
    $$SELECT run_id FROM scout_ops.runs AS r WHERE action = 'quarantine'
      AND NOT EXISTS (SELECT FROM scout_ops.runs AS u WHERE u.action = 'undo' AND u.parameters ->> 'run_id' = r.run_id::text)$$,
    'the ledger remembers who undid what'
);
