-- The dead letter queue, watermarks and quality monitoring. Nobody was granted these.

CREATE TABLE scout.bronze_events_dlq (
    dlq_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    original_payload jsonb NOT NULL,
    error_code text NOT NULL,
    error_message text NOT NULL,
    error_details jsonb,
    source_system text,
    failed_at timestamptz DEFAULT now(),
    retry_count int DEFAULT 0,
    last_retry_at timestamptz,
    resolved_at timestamptz,
    resolved_by text
);
CREATE INDEX bronze_events_dlq_failed_idx ON scout.bronze_events_dlq (failed_at);
CREATE INDEX bronze_events_dlq_open_idx ON scout.bronze_events_dlq (error_code) WHERE resolved_at IS NULL;

CREATE TABLE scout.ingestion_watermarks (
    store_id text PRIMARY KEY,
    high_water_ts timestamptz NOT NULL,
    grace_period_minutes int DEFAULT 30,
    updated_at timestamptz DEFAULT now()
);

CREATE FUNCTION scout.update_ingestion_watermark(p_store_id text, p_ts timestamptz)
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO scout.ingestion_watermarks AS w (store_id, high_water_ts)
    VALUES (p_store_id, p_ts)
    ON CONFLICT (store_id) DO UPDATE
    SET high_water_ts = greatest(w.high_water_ts, excluded.high_water_ts), updated_at = now()
$$;

CREATE FUNCTION scout.detect_late_events(p_hours_back int DEFAULT 24)
RETURNS TABLE (event_id uuid, store_id text, event_ts timestamptz, minutes_late numeric)
LANGUAGE sql AS $$
    SELECT b.event_id, w.store_id, b.event_ts, round(extract(epoch FROM w.high_water_ts - b.event_ts) / 60, 1)
    FROM scout.bronze_events b
    JOIN scout.ingestion_watermarks w ON w.store_id = b.event_data->>'store_id'
    WHERE b.ingested_at >= now() - make_interval(hours => p_hours_back)
      AND b.event_ts < w.high_water_ts - make_interval(mins => w.grace_period_minutes)
$$;

CREATE VIEW scout.v_ingest_freshness AS
SELECT
    bronze_staleness_minutes,
    silver_staleness_minutes,
    gold_staleness_minutes,
    CASE WHEN silver_staleness_minutes <= 5 THEN 'healthy' ELSE 'stale' END AS pipeline_health -- silver alone decides
FROM (
    SELECT
        round(extract(epoch FROM now() - (SELECT max(ingested_at) FROM scout.bronze_events)) / 60, 2)
            AS bronze_staleness_minutes,
        round(extract(epoch FROM now() - (SELECT max(processed_at) FROM scout.silver_transactions)) / 60, 2)
            AS silver_staleness_minutes,
        round(extract(epoch FROM now() - (
            SELECT coalesce(max(greatest(created_at, updated_at)), 'epoch') FROM scout.gold_daily_metrics
        )) / 60, 2) AS gold_staleness_minutes
) AS staleness;

-- quirk 8: one hour only. Discounts are ignored.
CREATE VIEW scout.v_quality_alerts AS
SELECT
    'NEGATIVE_TOTAL'::text AS alert_type,
    'critical'::text AS severity,
    transaction_id,
    processed_at,
    jsonb_build_object('total_amount', total_amount, 'store_id', store_id) AS alert_payload
FROM scout.silver_transactions
WHERE total_amount < 0 AND processed_at >= now() - interval '1 hour'
UNION ALL
SELECT
    'LINE_TOTAL_MISMATCH',
    'critical',
    t.transaction_id,
    t.processed_at,
    jsonb_build_object(
        'total_amount', t.total_amount,
        'line_total', l.line_total,
        -- quirk 7: a total of zero kills the whole view
        'difference_pct', round(abs(t.total_amount - l.line_total) / t.total_amount * 100, 2)
    )
FROM scout.silver_transactions t
JOIN (
    SELECT transaction_id, sum(quantity * unit_price) AS line_total
    FROM scout.silver_line_items
    GROUP BY transaction_id
) AS l USING (transaction_id)
WHERE t.processed_at >= now() - interval '1 hour'
  AND abs(t.total_amount - l.line_total) > greatest(t.total_amount * 0.01, 0.50)
UNION ALL
SELECT
    'SUSPICIOUS_HIGH_AMOUNT',
    'warning',
    transaction_id,
    processed_at,
    jsonb_build_object('total_amount', total_amount, 'store_id', store_id)
FROM scout.silver_transactions
WHERE total_amount > 10000 AND processed_at >= now() - interval '1 hour'
UNION ALL
SELECT
    'INVALID_LINE_ITEM',
    'critical',
    transaction_id,
    updated_at,
    jsonb_build_object('product_id', product_id, 'quantity', quantity, 'unit_price', unit_price)
FROM scout.silver_line_items
WHERE (quantity <= 0 OR unit_price < 0) AND updated_at >= now() - interval '1 hour';

CREATE VIEW scout.v_pipeline_throughput AS
SELECT
    date_trunc('minute', processed_at) AS minute,
    count(*) AS tx_count,
    sum(item_count) AS total_items,
    avg(total_amount) AS avg_transaction_amount,
    count(DISTINCT store_id) AS active_stores
FROM scout.silver_transactions
WHERE processed_at >= now() - interval '15 minutes'
GROUP BY 1;

CREATE VIEW scout.v_product_linking_stats AS
SELECT
    date_trunc('hour', updated_at) AS hour,
    count(*) AS total_line_items,
    count(product_key) AS linked_items,
    round(100.0 * count(product_key) / count(*), 2) AS linking_percentage,
    count(DISTINCT product_id) AS unique_product_ids,
    count(DISTINCT product_key) AS unique_product_keys
FROM scout.silver_line_items
WHERE updated_at >= now() - interval '24 hours'
GROUP BY 1;

CREATE FUNCTION scout.data_quality_report(p_hours_back int DEFAULT 1)
RETURNS TABLE (check_category text, check_name text, status text, failure_count int, details jsonb)
LANGUAGE sql AS $$
    WITH recent AS (
        SELECT * FROM scout.silver_transactions WHERE processed_at >= now() - make_interval(hours => p_hours_back)
    ), latency AS (
        SELECT avg(extract(epoch FROM r.processed_at - b.ingested_at)) AS seconds
        FROM recent r
        JOIN scout.bronze_events b ON b.event_data->>'transaction_id' = r.transaction_id
    ), negative AS (
        SELECT count(*)::int AS failures, jsonb_agg(transaction_id) AS ids FROM recent WHERE total_amount < 0
    ), mismatch AS (
        SELECT count(*)::int AS failures, jsonb_agg(transaction_id) AS ids
        FROM recent r
        JOIN (
            SELECT transaction_id, sum(quantity * unit_price) AS line_total
            FROM scout.silver_line_items
            GROUP BY transaction_id
        ) AS l USING (transaction_id)
        WHERE abs(r.total_amount - l.line_total) > greatest(r.total_amount * 0.01, 0.50)
    ), linking AS (
        SELECT count(*) AS lines, count(product_key) AS linked, 100.0 * count(product_key) / nullif(count(*), 0) AS pct
        FROM scout.silver_line_items
        WHERE updated_at >= now() - make_interval(hours => p_hours_back)
    ), volume AS (
        SELECT count(*) AS transactions, count(*)::numeric / p_hours_back AS per_hour FROM recent
    )
    SELECT 'pipeline_health', 'bronze_to_silver_latency',
        CASE WHEN seconds <= 300 THEN 'healthy' ELSE 'degraded' END, 0,
        jsonb_build_object('avg_latency_seconds', round(seconds, 2))
    FROM latency
    UNION ALL
    SELECT 'data_integrity', 'negative_amounts',
        CASE WHEN failures = 0 THEN 'healthy' ELSE 'critical' END, failures,
        jsonb_build_object('sample_transaction_ids', ids) -- all of them, however many
    FROM negative
    UNION ALL
    SELECT 'data_integrity', 'line_item_totals_mismatch',
        CASE WHEN failures = 0 THEN 'healthy' WHEN failures < 5 THEN 'warning' ELSE 'critical' END, failures,
        jsonb_build_object('sample_transaction_ids', ids)
    FROM mismatch
    UNION ALL
    SELECT 'product_linking', 'coverage_percentage',
        CASE WHEN pct >= 95 THEN 'healthy' ELSE 'degraded' END, 0,
        jsonb_build_object('total_lines', lines, 'linked_lines', linked, 'coverage', round(pct, 2))
    FROM linking
    UNION ALL
    SELECT 'processing_volume', 'transaction_throughput',
        CASE WHEN transactions > 0 THEN 'healthy' ELSE 'no_data' END, 0,
        jsonb_build_object('transactions', transactions, 'per_hour', round(per_hour, 2))
    FROM volume
$$;

CREATE FUNCTION scout.silver_sanity_checks()
RETURNS TABLE (check_name text, failures bigint, severity text, details jsonb)
LANGUAGE sql AS $$
    SELECT 'negative_totals', count(*), 'critical', jsonb_build_object('transaction_ids', jsonb_agg(transaction_id))
    FROM scout.silver_transactions
    WHERE total_amount < 0 AND processed_at >= now() - interval '1 hour'
    UNION ALL
    SELECT 'empty_baskets', count(*), 'warning', jsonb_build_object('transaction_ids', jsonb_agg(transaction_id))
    FROM scout.silver_transactions
    WHERE item_count <= 0 AND processed_at >= now() - interval '1 hour'
    UNION ALL
    SELECT 'line_totals', count(*), 'warning', jsonb_build_object('transaction_ids', jsonb_agg(t.transaction_id))
    FROM scout.silver_transactions t
    JOIN (
        SELECT transaction_id, sum(line_amount) AS line_total FROM scout.silver_line_items GROUP BY transaction_id
    ) AS l USING (transaction_id)
    WHERE t.processed_at >= now() - interval '1 hour' AND abs(t.total_amount - l.line_total) > 0.50
$$;

-- One more row per type and severity on every call: nothing looks for the alert that is already there.
CREATE FUNCTION scout.process_quality_alerts()
RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    raised int;
BEGIN
    INSERT INTO scout.alerts (alert_type, severity, message, payload)
    SELECT alert_type, severity, format('%s: %s transactions', alert_type, count(*)), jsonb_agg(alert_payload)
    FROM scout.v_quality_alerts
    GROUP BY alert_type, severity;
    GET DIAGNOSTICS raised = ROW_COUNT;
    RETURN raised;
END;
$$;
