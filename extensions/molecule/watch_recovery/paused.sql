CREATE TEMPORARY VIEW last AS SELECT run_id, status FROM scout_ops.runs WHERE action = 'watch' ORDER BY started_at DESC LIMIT 1;

SELECT is((SELECT status FROM last), 'failed', 'the watch has failed');

SELECT results_eq(
    $$SELECT verdict FROM scout_ops.samples JOIN last USING (run_id) ORDER BY number DESC LIMIT 3$$,
    ARRAY['failing', 'failing', 'failing'],
    'three failing samples ended it'
);

SELECT bag_eq(
    $$SELECT DISTINCT verdict IN ('healthy', 'degraded') FROM (
          SELECT verdict FROM scout_ops.samples JOIN last USING (run_id) ORDER BY number DESC OFFSET 3
      ) AS before$$,
    ARRAY[true],
    'before them all was well'
);

SELECT isnt_empty(
    $$SELECT FROM scout_ops.samples JOIN last USING (run_id) WHERE reason LIKE '%critical_alerts%'$$,
    'they name what fails'
);

SELECT bag_eq(
    $$SELECT jobname FROM cron.job WHERE NOT active$$,
    ARRAY['bronze-to-silver-etl', 'smart-gold-refresh', 'product-linking'],
    'the jobs that write silver or gold are inactive, and no other'
);

SELECT is_empty(
    $$SELECT pid, query FROM pg_stat_activity WHERE (backend_type = 'pg_cron' OR application_name = 'pg_cron')
      AND query ~ 'scout\.(load_silver|maybe_refresh_gold|link_products)'$$,
    'no session loads silver or refreshes gold'
);

SELECT is_empty(
    $$SELECT runid FROM cron.job_run_details WHERE command ~ 'load_silver|maybe_refresh_gold'
      AND start_time > (SELECT paused_at + interval '2 seconds' FROM scout_ops.pauses WHERE resumed_at IS NULL)$$,
    'no run has begun since the pause'
);

SELECT is_empty('SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL', 'no lease is left');
