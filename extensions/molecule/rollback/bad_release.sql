-- Version 5.3.0, as its owner deploys it. The loader fails from here on, and what comes after it is hardly better.
SET ROLE loader;

CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RAISE EXCEPTION 'v5.3.0 cannot load';
END;
$$;

ALTER TABLE scout.dim_store DROP COLUMN opened_on;
ALTER TABLE scout.alerts ADD COLUMN team text;
INSERT INTO scout.alerts (alert_type, severity, team, resolved_at)
SELECT 'LOYALTY', 'info', 'team ' || n, now() FROM generate_series(1, 7) AS n;

CREATE TABLE scout.loyalty (member_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, points int NOT NULL CHECK (points >= 0));
INSERT INTO scout.loyalty (points) SELECT n FROM generate_series(1, 40) AS n;
CREATE FUNCTION scout.loyalty_points() RETURNS bigint LANGUAGE sql AS 'SELECT sum(points) FROM scout.loyalty';

-- Other columns, so that the view is another one, without its grants.
DROP VIEW scout.v_edge_ingest_24h;
CREATE VIEW scout.v_edge_ingest_24h AS SELECT source_system, count(*) AS events FROM scout.bronze_events GROUP BY 1;

REVOKE SELECT ON scout.silver_transactions FROM dashboard_reader;

-- A job has another schedule, one another command, one is off, one is gone, and one is new.
SELECT cron.alter_job(jobid, schedule := '3 seconds') FROM cron.job WHERE jobname = 'bronze-to-silver-etl';
SELECT cron.alter_job(jobid, command := 'SELECT scout.loyalty_points()') FROM cron.job WHERE jobname = 'data-quality-alerts';
SELECT cron.alter_job(jobid, active := false) FROM cron.job WHERE jobname = 'smart-gold-refresh';
SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = 'product-linking';
SELECT cron.schedule('loyalty', '2 seconds', 'SELECT scout.loyalty_points()');

RESET ROLE;
