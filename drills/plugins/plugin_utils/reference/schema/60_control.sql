-- Switches, checks and simulations.

-- quirks 1 and 2: the strings below occur in the names of the jobs, never in their commands.
CREATE FUNCTION scout.control_ingestion(p_action text DEFAULT 'status')
RETURNS TABLE (action text, ingestion_active boolean, etl_jobs_active int, message text)
LANGUAGE plpgsql AS $$
DECLARE
    jobs int;
BEGIN
    SELECT count(*) INTO jobs
    FROM cron.job j
    WHERE j.active AND (j.command LIKE '%bronze-to-silver%' OR j.command LIKE '%etl%');
    IF p_action = 'pause' THEN
        UPDATE cron.job j SET active = false WHERE j.command LIKE '%bronze-to-silver%' OR j.command LIKE '%etl%';
        RETURN QUERY SELECT 'pause'::text, false, 0, 'Ingestion paused successfully'::text;
    ELSIF p_action = 'resume' THEN
        UPDATE cron.job j SET active = true WHERE j.command LIKE '%bronze-to-silver%' OR j.command LIKE '%etl%';
        RETURN QUERY SELECT 'resume'::text, true, jobs, 'Ingestion resumed successfully'::text;
    ELSE
        RETURN QUERY SELECT 'status'::text, jobs > 0, jobs,
            CASE WHEN jobs > 0 THEN 'Ingestion is active' ELSE 'Ingestion is paused' END;
    END IF;
END;
$$;

CREATE FUNCTION scout.control_simulation(p_action text DEFAULT 'status')
RETURNS TABLE (action text, simulation_active boolean, jobs_active int, message text)
LANGUAGE plpgsql AS $$
DECLARE
    jobs int;
BEGIN
    IF p_action IN ('start', 'stop') THEN
        UPDATE cron.job j SET active = (p_action = 'start') WHERE j.jobname LIKE '%-simulation';
    END IF;
    SELECT count(*) INTO jobs FROM cron.job j WHERE j.active AND j.jobname LIKE '%-simulation';
    RETURN QUERY SELECT p_action, jobs > 0, jobs,
        CASE WHEN jobs > 0 THEN 'Simulation is running' ELSE 'Simulation is stopped' END;
END;
$$;

-- They look for names only; a broken object passes.
CREATE FUNCTION scout.verify_streaming_objects()
RETURNS TABLE (object_name text, present boolean)
LANGUAGE sql AS $$
    SELECT name, to_regclass('scout.' || name) IS NOT NULL
    FROM unnest(ARRAY['bronze_events', 'etl_processed', 'silver_transactions', 'silver_line_items', 'alerts']) AS name
$$;

CREATE FUNCTION scout.verify_gold_objects()
RETURNS TABLE (object_name text, present boolean)
LANGUAGE sql AS $$
    SELECT name, to_regclass('scout.' || name) IS NOT NULL
    FROM unnest(ARRAY['gold_daily_metrics', 'gold_region_choropleth', 'v_gold_freshness']) AS name
$$;

-- Always fails: text goes into the bytea hash; were that repaired, items would arrive as a string.
CREATE FUNCTION scout.smoke_test_ingestion()
RETURNS TABLE (step text, passed boolean, details text)
LANGUAGE plpgsql AS $$
DECLARE
    payload jsonb;
BEGIN
    payload := jsonb_build_object(
        'transaction_id', 'SMOKE-' || gen_random_uuid(), 'store_id', 'S000', 'ts', now(), 'total_amount', 100,
        'items', '[{"product_id": "SMOKE", "qty": 1, "unit_price": 100, "line_amount": 100}]'::text
    );
    INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash)
    VALUES ('transaction.v1', 'smoke-test', payload, encode(scout.canonical_event_hash(payload), 'hex'));
    PERFORM scout.load_silver_from_bronze(10);
    RETURN QUERY SELECT 'ingest_and_load'::text,
        EXISTS (SELECT FROM scout.silver_transactions t WHERE t.transaction_id = payload->>'transaction_id'), NULL::text;
END;
$$;

-- Always fails: dim_store has no is_active; were that repaired, text would go into the bytea hash.
CREATE FUNCTION scout.simulate_transaction_batch(p_count int, p_weekend boolean DEFAULT false, p_burst boolean DEFAULT false)
RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    store record;
    payload jsonb;
    made int := 0;
BEGIN
    FOR store IN SELECT s.store_id FROM scout.dim_store s WHERE s.is_active ORDER BY random() LIMIT p_count LOOP
        payload := jsonb_build_object(
            'transaction_id', 'SIM-' || gen_random_uuid(), 'store_id', store.store_id, 'ts', now(), 'total_amount', 100
        );
        INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash)
        VALUES ('transaction.v1', 'simulation', payload, encode(scout.canonical_event_hash(payload), 'hex'));
        made := made + 1;
    END LOOP;
    RETURN made;
END;
$$;

CREATE FUNCTION scout.simulate_realistic_store_activity(p_stores int DEFAULT 10)
RETURNS int
LANGUAGE plpgsql AS $$
BEGIN
    RETURN scout.simulate_transaction_batch(p_stores, false, false);
END;
$$;

CREATE FUNCTION scout.simulate_peak_hours()
RETURNS int
LANGUAGE plpgsql AS $$
BEGIN
    RETURN scout.simulate_transaction_batch(25, false, true);
END;
$$;
