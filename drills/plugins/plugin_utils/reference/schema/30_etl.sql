-- Bronze to silver, and the functions around it.

CREATE FUNCTION scout.canonical_event_hash(p_payload jsonb)
RETURNS bytea
LANGUAGE sql AS $$
    SELECT sha256(convert_to(p_payload::text, 'UTF8'))
$$;

CREATE FUNCTION scout.ingest_event(p_payload jsonb)
RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    stored uuid;
BEGIN
    INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, event_hash)
    VALUES (
        coalesce(p_payload->>'event_type', 'transaction.v1'),
        coalesce((p_payload->>'ts')::timestamptz, now()),
        coalesce(p_payload->>'source_system', 'edge'),
        p_payload,
        scout.canonical_event_hash(p_payload)
    )
    ON CONFLICT (event_hash) DO NOTHING
    RETURNING event_id INTO stored;
    RETURN stored;
END;
$$;

-- quirk 22: runs with its owner's rights for everybody, and without a fixed search_path.
CREATE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    started timestamptz := clock_timestamp();
    n_events int;
    n_transactions int;
    n_lines int;
    elapsed int;
BEGIN
    -- quirks 4, 5 and 6: one all-or-nothing statement, oldest first, locked rows skipped, and no lock between loaders.
    WITH batch AS (
        SELECT b.event_id, b.event_data, b.ingested_at
        FROM scout.bronze_events b
        WHERE b.event_type = 'transaction.v1'
          AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)
        ORDER BY b.ingested_at
        LIMIT p_limit
        FOR UPDATE OF b SKIP LOCKED
    ), sales AS MATERIALIZED (
        -- Anything that is no object with a transaction_id is marked as processed and silently dropped.
        SELECT event_id, event_data AS e, ingested_at, coalesce((event_data->>'ts')::timestamptz, ingested_at) AS ts
        FROM batch
        WHERE jsonb_typeof(event_data) = 'object' AND event_data ? 'transaction_id'
    ), transactions AS (
        INSERT INTO scout.silver_transactions AS t (
            transaction_id, store_id, ts, date_key, time_of_day, customer_id, customer_type,
            total_amount, discount_amount, tax_amount, net_amount, payment_method,
            item_count, unique_products, basket_size, units_per_transaction, peso_value, product_category,
            handshake_triggered, handshake_score, campaign_id, campaign_influenced,
            region, province, city, quality_score, source_event_id
        )
        SELECT
            e->>'transaction_id',
            e->>'store_id',
            s.ts,
            coalesce((e->>'ts')::date, s.ingested_at::date), -- quirk 23: the date as written, whatever its offset
            CASE
                WHEN hour BETWEEN 5 AND 11 THEN 'morning'
                WHEN hour BETWEEN 12 AND 16 THEN 'afternoon'
                WHEN hour BETWEEN 17 AND 20 THEN 'evening'
                ELSE 'night'
            END::scout.time_of_day,
            e->>'customer_id',
            CASE WHEN e->>'customer_type' IN ('new', 'returning', 'vip')
                THEN (e->>'customer_type')::scout.customer_type END,
            coalesce((e->>'total_amount')::numeric, 0),
            coalesce((e->>'discount_amount')::numeric, 0),
            coalesce((e->>'tax_amount')::numeric, 0),
            coalesce((e->>'net_amount')::numeric, (e->>'total_amount')::numeric),
            coalesce(e->>'payment_method', 'unknown'),
            coalesce(jsonb_array_length(e->'items'), 0),
            i.products,
            coalesce(jsonb_array_length(e->'items'), 0),
            i.units,
            coalesce((e->>'total_amount')::numeric, 0),
            e->'items'->0->>'category',
            coalesce(e->'handshake_triggered' = 'true'::jsonb, false),
            CASE WHEN jsonb_typeof(e->'handshake_score') = 'number' THEN (e->>'handshake_score')::numeric END,
            e->>'campaign_id',
            e->>'campaign_id' IS NOT NULL,
            e->>'region',
            e->>'province',
            e->>'city',
            1.0,
            s.event_id
        FROM sales s
        CROSS JOIN LATERAL extract(hour FROM s.ts AT TIME ZONE 'Asia/Manila') AS hour
        CROSS JOIN LATERAL (
            SELECT count(DISTINCT item->>'product_id') AS products,
                coalesce(sum(greatest(coalesce((item->>'qty')::int, (item->>'quantity')::int, 1), 1)), 0) AS units
            FROM jsonb_array_elements(e->'items') AS item
        ) AS i
        -- quirks 9 and 10: an update leaves total_amount, processed_at and most of the rest as first written.
        ON CONFLICT (transaction_id) DO UPDATE SET
            updated_at = now(),
            net_amount = excluded.net_amount,
            item_count = excluded.item_count,
            unique_products = excluded.unique_products
        RETURNING 1
    ), lines AS (
        INSERT INTO scout.silver_line_items AS l (
            transaction_id, product_id, product_name, brand_name, category,
            quantity, unit_price, line_amount, line_sequence
        )
        SELECT
            e->>'transaction_id',
            item->>'product_id',
            coalesce(item->>'product_name', 'Unknown Product'),
            coalesce(item->>'brand_name', 'Unknown Brand'),
            coalesce(item->>'category', 'Uncategorized'),
            greatest(coalesce((item->>'qty')::int, (item->>'quantity')::int, 1), 1),
            greatest(coalesce((item->>'unit_price')::numeric, 0), 0),
            greatest(coalesce((item->>'line_amount')::numeric, 0), 0),
            position
        FROM sales s
        CROSS JOIN LATERAL jsonb_array_elements(e->'items') WITH ORDINALITY AS items (item, position)
        ON CONFLICT (transaction_id, product_id, line_sequence) DO UPDATE SET
            quantity = excluded.quantity,
            unit_price = excluded.unit_price,
            line_amount = excluded.line_amount
        RETURNING 1
    ), counts AS (
        SELECT (SELECT count(*) FROM transactions)::int AS transactions, (SELECT count(*) FROM lines)::int AS lines
    ), marks AS (
        -- Every event of the batch gets the total of the whole batch.
        INSERT INTO scout.etl_processed (event_id, silver_records_created)
        SELECT b.event_id, c.transactions + c.lines FROM batch b CROSS JOIN counts c
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM marks), c.transactions, c.lines
    INTO n_events, n_transactions, n_lines
    FROM counts c;

    elapsed := extract(epoch FROM clock_timestamp() - started) * 1000;
    -- Never matches: processed_at is the start of the transaction, which lies before this function's clock.
    UPDATE scout.etl_processed p SET processing_duration_ms = elapsed WHERE p.processed_at >= started;
    RETURN QUERY SELECT n_events, n_transactions, n_lines, elapsed;
END;
$$;

-- quirk 12: the output columns hide those of the loader, so every call fails with 42702.
CREATE FUNCTION scout.reprocess_bronze_window(p_start_ts timestamptz, p_end_ts timestamptz, p_limit int DEFAULT 1000)
RETURNS TABLE (events_reprocessed int, transactions_created int, line_items_created int)
LANGUAGE plpgsql AS $$
DECLARE
    n_events int;
    n_transactions int;
    n_lines int;
BEGIN
    DELETE FROM scout.etl_processed p
    USING scout.bronze_events b
    WHERE b.event_id = p.event_id AND b.ingested_at BETWEEN p_start_ts AND p_end_ts;
    SELECT events_processed, transactions_created, line_items_created
    INTO n_events, n_transactions, n_lines
    FROM scout.load_silver_from_bronze(p_limit);
    RETURN QUERY SELECT n_events, n_transactions, n_lines;
END;
$$;

-- The limit is ignored, and so is every line updated more than an hour ago.
CREATE FUNCTION scout.link_products_to_catalog(p_limit int DEFAULT 1000)
RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    linked int;
BEGIN
    UPDATE scout.silver_line_items l
    SET product_key = d.product_key, detected_brand = d.brand_name, brand_match_confidence = 1.0
    FROM scout.dim_product d
    WHERE d.product_id = l.product_id
      AND l.product_key IS NULL
      AND l.updated_at >= now() - interval '1 hour';
    GET DIAGNOSTICS linked = ROW_COUNT;
    RETURN linked;
END;
$$;
