SELECT is_empty('SELECT jobname FROM cron.job WHERE NOT active', 'every job is active');

SELECT isnt_empty(
    $$SELECT FROM cron.job_run_details WHERE command LIKE '%load_silver%' AND status = 'succeeded' AND start_time > now() - interval '10 seconds'$$,
    'the loader was run within the last seconds'
);

SELECT is_empty(
    $$SELECT return_message FROM cron.job_run_details WHERE command LIKE '%load_silver%' AND status = 'failed'$$,
    'no run of the loader was cancelled or failed'
);
