SELECT bag_eq(
    $$SELECT jobname FROM cron.job WHERE NOT active$$,
    ARRAY['bronze-to-silver-etl', 'smart-gold-refresh', 'product-linking'],
    'the jobs that write silver or gold are inactive, and no other'
);

SELECT is_empty(
    $$SELECT jobname, schedule FROM cron.job WHERE schedule = '0 0 30 2 *'$$,
    'no job is left on a date that never comes'
);

SELECT is_empty(
    $$SELECT pid, query FROM pg_stat_activity WHERE (backend_type = 'pg_cron' OR application_name = 'pg_cron')
      AND query ~ 'scout\.(load_silver|maybe_refresh_gold|link_products)'$$,
    'no session loads silver or refreshes gold'
);

-- On a busy machine the scheduler may start one before it has read that the job is off; that one is cancelled by itself.
SELECT is_empty(
    $$SELECT runid, status, return_message FROM cron.job_run_details
      WHERE command ~ 'load_silver|maybe_refresh_gold' AND status <> 'succeeded'
        AND NOT (return_message = 'job canceled'
                 AND (start_time IS NULL
                      OR EXISTS (SELECT FROM scout_ops.pauses
                                 WHERE start_time BETWEEN paused_at AND paused_at + interval '1 minute')))$$,
    'every run that had begun was waited for: none was cancelled, none is under way'
);

SELECT isnt_empty(
    $$SELECT FROM cron.job_run_details WHERE command LIKE '%pg_sleep%' AND end_time - start_time > interval '5 seconds'$$,
    'a slow run was in flight'
);

SELECT is(
    (SELECT count(*) FROM scout.bronze_events b
     WHERE event_type = 'transaction.v1' AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)),
    (SELECT 500 - 10 * count(*) FROM cron.job_run_details WHERE command LIKE '%pg_sleep%' AND status = 'succeeded'),
    'every run has kept what it loaded, and nothing else was loaded'
);
