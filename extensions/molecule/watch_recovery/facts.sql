SELECT bag_eq(
    $$SELECT status, effects ->> 'verdict' IN ('healthy', 'degraded') AS good, (effects ->> 'samples')::int AS samples
      FROM scout_ops.runs WHERE action = 'watch'$$,
    $$VALUES ('succeeded', true, 5), ('succeeded', true, 5)$$,
    'both watches came to a good end'
);

SELECT bag_eq(
    $$SELECT run_id, number FROM scout_ops.samples WHERE state = 'running' AND verdict IN ('healthy', 'degraded')$$,
    $$SELECT run_id, number FROM scout_ops.runs, generate_series(1, 5) AS number WHERE action = 'watch'$$,
    'each has its five samples'
);

SELECT is_empty(
    $$SELECT run_id, number, figures FROM scout_ops.samples
      WHERE NOT figures ?& ARRAY['silver_staleness', 'gold_staleness', 'backlog_events', 'loaded_per_minute']$$,
    'each sample has its figures'
);

SELECT is_empty('SELECT pause_id FROM scout_ops.pauses', 'nothing was paused');
SELECT is_empty('SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL', 'no lease is left');
