SELECT ok(pg_terminate_backend(pid, 5000), 'the fault''s own loader makes room')
FROM pg_stat_activity WHERE application_name = 'fault/stuck_etl/etl';

DO $$
BEGIN
    FOR tick IN 1..100 LOOP
        PERFORM pg_stat_clear_snapshot(), pg_sleep(0.1);
        EXIT WHEN EXISTS (
            SELECT FROM pg_stat_activity
            WHERE backend_type = 'pg_cron' AND wait_event_type = 'Lock' AND xact_start < clock_timestamp() - interval '2 seconds'
        );
    END LOOP;
END
$$;

SELECT isnt_empty(
    $$SELECT FROM pg_stat_activity WHERE backend_type = 'pg_cron' AND wait_event_type = 'Lock' AND query LIKE '%load_silver%'$$,
    'a run of the scheduler waits for the lock'
);
