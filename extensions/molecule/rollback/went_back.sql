SELECT isnt_empty(
    $$SELECT runid FROM cron.job_run_details WHERE status = 'failed' AND return_message LIKE '%v5.3.0 cannot load%'$$,
    'the scheduler ran the loader of the bad release'
);
SELECT is(
    (SELECT count(*) FROM scout.silver_transactions JOIN tap.marked USING (transaction_id) WHERE mark = 'waiting'), 20::bigint,
    'what waited meanwhile is loaded'
);
SELECT is((SELECT count(*) FROM scout_ops.runs WHERE action = 'rollback'), 1::bigint, 'it took one run');
