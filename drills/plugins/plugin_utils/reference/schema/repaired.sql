-- Turns the pipeline as deployed into one whose switch and reprocessing work.

CREATE OR REPLACE FUNCTION scout.control_ingestion(p_action text DEFAULT 'status')
RETURNS TABLE (action text, ingestion_active boolean, etl_jobs_active int, message text)
LANGUAGE plpgsql AS $$
DECLARE
    jobs int;
    pattern constant text := '(bronze-to-silver|etl)';
BEGIN
    SELECT count(*) INTO jobs FROM cron.job j WHERE j.active AND (j.jobname ~ pattern OR j.command ~ pattern);
    IF p_action = 'pause' THEN
        UPDATE cron.job j SET active = false WHERE j.jobname ~ pattern OR j.command ~ pattern;
        RETURN QUERY SELECT 'pause'::text, false, 0, 'Ingestion paused successfully'::text;
    ELSIF p_action = 'resume' THEN
        UPDATE cron.job j SET active = true WHERE j.jobname ~ pattern OR j.command ~ pattern;
        RETURN QUERY SELECT 'resume'::text, true, jobs, 'Ingestion resumed successfully'::text;
    ELSE
        RETURN QUERY SELECT 'status'::text, jobs > 0, jobs,
            CASE WHEN jobs > 0 THEN 'Ingestion is active' ELSE 'Ingestion is paused' END;
    END IF;
END;
$$;

-- The limit stays what it was: the size of one loader run, which takes the oldest pending events wherever they lie.
CREATE OR REPLACE FUNCTION scout.reprocess_bronze_window(
    p_start_ts timestamptz, p_end_ts timestamptz, p_limit int DEFAULT 1000
)
RETURNS TABLE (events_reprocessed int, transactions_created int, line_items_created int)
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM scout.etl_processed p
    USING scout.bronze_events b
    WHERE b.event_id = p.event_id AND b.ingested_at BETWEEN p_start_ts AND p_end_ts;
    RETURN QUERY
    SELECT l.events_processed, l.transactions_created, l.line_items_created
    FROM scout.load_silver_from_bronze(p_limit) AS l;
END;
$$;
