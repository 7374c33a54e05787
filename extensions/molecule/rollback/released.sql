SELECT bag_eq('SELECT * FROM tap.shape', 'SELECT * FROM tap.bad_shape', 'schema, privileges and jobs are those of the newer release');
SELECT bag_eq('SELECT * FROM scout.alerts', 'SELECT * FROM tap.bad_alerts', 'its column has its data');
SELECT bag_eq('SELECT * FROM scout.loyalty', 'SELECT * FROM tap.bad_loyalty', 'so has its table');
SELECT is_empty('SELECT incident FROM scout_ops.pauses WHERE resumed_at IS NULL', 'no pause is in force');
SELECT is_empty('SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL', 'nobody holds the lease');
