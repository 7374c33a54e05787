-- The materialized views and what refreshes them.

CREATE MATERIALIZED VIEW scout.gold_daily_metrics AS
WITH lines AS (
    SELECT t.date_key, t.store_id, count(DISTINCT i.product_id) AS unique_products_sold, sum(i.quantity) AS units_sold
    FROM scout.silver_transactions t
    JOIN scout.silver_line_items i USING (transaction_id)
    GROUP BY t.date_key, t.store_id
)
SELECT
    t.date_key,
    t.store_id,
    count(*) AS transaction_count,
    sum(t.total_amount) AS total_sales,
    sum(t.discount_amount) AS total_discount,
    sum(t.tax_amount) AS total_tax,
    sum(t.net_amount) AS net_sales,
    count(DISTINCT t.customer_id) AS unique_customers,
    count(*) FILTER (WHERE t.customer_type = 'new') AS new_customers,
    count(*) FILTER (WHERE t.customer_type = 'returning') AS returning_customers,
    count(*) FILTER (WHERE t.customer_type = 'vip') AS vip_customers,
    coalesce(max(l.units_sold), 0) AS units_sold,
    coalesce(max(l.unique_products_sold), 0) AS unique_products_sold,
    avg(t.basket_size) AS avg_basket_size,
    avg(t.total_amount) AS avg_transaction_value,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'morning'), 0) AS morning_sales,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'afternoon'), 0) AS afternoon_sales,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'evening'), 0) AS evening_sales,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'night'), 0) AS night_sales,
    count(t.campaign_id) AS campaign_transactions,
    coalesce(sum(t.total_amount) FILTER (WHERE t.campaign_id IS NOT NULL), 0) AS campaign_sales,
    round(100.0 * count(t.campaign_id) / count(*), 2) AS campaign_effectiveness,
    now() AS created_at,
    now() AS updated_at
FROM scout.silver_transactions t
LEFT JOIN lines l USING (date_key, store_id)
GROUP BY t.date_key, t.store_id;
CREATE UNIQUE INDEX gold_daily_metrics_pk ON scout.gold_daily_metrics (date_key, store_id);

CREATE MATERIALIZED VIEW scout.gold_region_choropleth AS
SELECT
    coalesce(r.region_key, 'UNKNOWN') AS region_key,
    coalesce(max(r.region_name), 'Unknown') AS region_name,
    t.date_key AS day,
    max(r.geom) AS geom,
    count(*) AS txn_count,
    count(DISTINCT t.store_id) AS active_stores,
    count(*) FILTER (WHERE t.customer_type = 'new') AS new_customers,
    sum(t.peso_value) AS peso_total,
    avg(t.total_amount) AS avg_transaction_value,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'morning'), 0) AS morning_sales,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'afternoon'), 0) AS afternoon_sales,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'evening'), 0) AS evening_sales,
    coalesce(sum(t.total_amount) FILTER (WHERE t.time_of_day = 'night'), 0) AS night_sales,
    max(r.area_sqkm) AS area_sqkm,
    max(r.population) AS population,
    sum(t.total_amount) / nullif(max(r.population), 0) AS revenue_per_capita,
    now() AS created_at
FROM scout.silver_transactions t
LEFT JOIN scout.dim_region r ON r.region_name = t.region
GROUP BY coalesce(r.region_key, 'UNKNOWN'), t.date_key;
CREATE UNIQUE INDEX gold_region_choropleth_pk ON scout.gold_region_choropleth (region_key, day);

CREATE FUNCTION scout.refresh_gold_platinum()
RETURNS TABLE (operation text, duration_ms int, status text)
LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz;
BEGIN
    -- quirk 14: a session lock, and a cancellation passes the handler below, so the lock stays with the session.
    IF NOT pg_try_advisory_lock(94752052) THEN
        RETURN QUERY SELECT 'refresh_gold_platinum'::text, 0, 'SKIPPED - refresh already in progress'::text;
        RETURN;
    END IF;
    -- quirk 13: one sub-transaction for both, and a returned row is not taken back when it rolls back.
    BEGIN
        started := clock_timestamp();
        REFRESH MATERIALIZED VIEW CONCURRENTLY scout.gold_daily_metrics;
        RETURN QUERY SELECT 'gold_daily_metrics'::text,
            (extract(epoch FROM clock_timestamp() - started) * 1000)::int, 'SUCCESS'::text;
        started := clock_timestamp();
        REFRESH MATERIALIZED VIEW CONCURRENTLY scout.gold_region_choropleth;
        RETURN QUERY SELECT 'gold_region_choropleth'::text,
            (extract(epoch FROM clock_timestamp() - started) * 1000)::int, 'SUCCESS'::text;
    EXCEPTION WHEN OTHERS THEN
        RETURN QUERY SELECT 'refresh_gold_platinum'::text, 0, 'ERROR: ' || SQLERRM;
    END;
    PERFORM pg_advisory_unlock(94752052);
END;
$$;

CREATE FUNCTION scout.maybe_refresh_gold()
RETURNS TABLE (should_refresh boolean, new_silver_records bigint, last_refresh timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    recent bigint;
BEGIN
    SELECT count(*) INTO recent FROM scout.silver_transactions WHERE processed_at >= now() - interval '5 minutes';
    IF recent > 0 THEN
        PERFORM scout.refresh_gold_platinum(); -- its status rows are thrown away
    END IF;
    RETURN QUERY SELECT recent > 0, recent, now(); -- not the last refresh, simply now
END;
$$;
