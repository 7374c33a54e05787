-- The deployed schedule. Run as loader, whose jobs these become, on the real pg_cron or on the stand-in.

SELECT cron.schedule('bronze-to-silver-etl', '* * * * *', 'SELECT scout.load_silver_from_bronze(2000);');
SELECT cron.schedule('product-linking', '*/5 * * * *', 'SELECT scout.link_products_to_catalog(1000);');
SELECT cron.schedule('smart-gold-refresh', '*/5 * * * *', 'SELECT scout.maybe_refresh_gold();');
SELECT cron.schedule('data-quality-alerts', '*/10 * * * *', $job$
DO $$
DECLARE
    finding record;
BEGIN
    FOR finding IN SELECT * FROM scout.silver_sanity_checks() WHERE failures > 0 LOOP
        INSERT INTO scout.alerts (alert_type, severity, message, payload)
        VALUES (finding.check_name, finding.severity, finding.failures || ' failures', finding.details);
    END LOOP;
END;
$$;
$job$);
SELECT cron.schedule('realistic-transaction-simulation', '* 6-23 * * *', 'SELECT scout.simulate_peak_hours();');
SELECT cron.schedule('store-activity-simulation', '*/10 * * * *', 'SELECT scout.simulate_realistic_store_activity(10);');
SELECT cron.schedule('weekend-burst-simulation', '*/5 * * * 0,6', 'SELECT scout.simulate_transaction_batch(35, TRUE, TRUE);');
