-- The role of prometheus-sql-exporter, which only reads: psql -X -d scout -f monitoring/metrics_role.sql, as a superuser.
-- Give it a password with \password scout_metrics, or a line in pg_hba.conf.
CREATE ROLE scout_metrics LOGIN CONNECTION LIMIT 3;
GRANT pg_read_all_stats TO scout_metrics;
GRANT USAGE ON SCHEMA scout, cron TO scout_metrics;
GRANT SELECT ON scout.bronze_events, scout.etl_processed, scout.silver_transactions, scout.silver_line_items,
    scout.bronze_events_dlq, scout.gold_daily_metrics, scout.gold_region_choropleth TO scout_metrics;
-- pg_cron shows a job and its runs to their owner alone.
GRANT SELECT ON cron.job, cron.job_run_details TO scout_metrics;
CREATE POLICY scout_metrics ON cron.job FOR SELECT TO scout_metrics USING (true);
CREATE POLICY scout_metrics ON cron.job_run_details FOR SELECT TO scout_metrics USING (true);
