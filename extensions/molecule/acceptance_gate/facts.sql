SELECT isnt_empty(
    $$SELECT FROM cron.job_run_details WHERE command LIKE '%load_silver%' AND status = 'succeeded' AND start_time > now() - interval '10 seconds'$$,
    'the loader was run within the last seconds'
);
SELECT is_empty(
    $$SELECT return_message FROM cron.job_run_details WHERE command LIKE '%load_silver%' AND status = 'failed'$$,
    'no run of the loader was cancelled or failed'
);
SELECT is_empty($$SELECT FROM scout.bronze_events WHERE source_system = 'scout-recovery'$$, 'bronze holds no synthetic event');
SELECT is_empty($$SELECT FROM scout.silver_transactions WHERE transaction_id LIKE 'SMOKE-%'$$, 'silver holds no synthetic sale');
