-- pg_cron 1.6 without a scheduler, for servers that lack it: the same tables, policies, grants, checks and messages.

CREATE SCHEMA cron;
CREATE SEQUENCE cron.jobid_seq;
CREATE SEQUENCE cron.runid_seq;

CREATE TABLE cron.job (
    jobid bigint PRIMARY KEY DEFAULT nextval('cron.jobid_seq'),
    schedule text NOT NULL,
    command text NOT NULL,
    nodename text NOT NULL DEFAULT 'localhost',
    nodeport int NOT NULL DEFAULT inet_server_port(),
    database text NOT NULL DEFAULT current_database(),
    username text NOT NULL DEFAULT current_user,
    active boolean NOT NULL DEFAULT true,
    jobname text,
    CONSTRAINT jobname_username_uniq UNIQUE (jobname, username)
);

CREATE TABLE cron.job_run_details (
    jobid bigint,
    runid bigint PRIMARY KEY DEFAULT nextval('cron.runid_seq'),
    job_pid int,
    database text,
    username text,
    command text,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz
);

ALTER TABLE cron.job ENABLE ROW LEVEL SECURITY;
ALTER TABLE cron.job_run_details ENABLE ROW LEVEL SECURITY;
CREATE POLICY cron_job_policy ON cron.job USING (username = current_user);
CREATE POLICY cron_job_run_details_policy ON cron.job_run_details USING (username = current_user);
GRANT SELECT ON cron.job TO public;
GRANT SELECT, DELETE ON cron.job_run_details TO public;
GRANT SELECT ON SEQUENCE cron.jobid_seq, cron.runid_seq TO public;

-- The functions below run as their owner, and find nothing of whoever calls them; this is the role that called, as SET ROLE or the login chose it.
CREATE FUNCTION cron.caller()
RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('role'), 'none'), session_user)
$$;

CREATE FUNCTION cron.check_schedule(schedule text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    field constant text := '(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?';
BEGIN
    IF lower(schedule) ~ '^\s*([1-9]|[1-5][0-9]) seconds?\s*$'
        OR schedule ~ '^@(yearly|annually|monthly|weekly|daily|midnight|hourly|reboot)$'
        OR schedule ~ format('^\s*(%1$s(,%1$s)*\s+){4}(%1$s(,%1$s)*|\$)\s*$', field) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('invalid schedule: %s', schedule),
        HINT = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
END;
$$;

CREATE FUNCTION cron.put(
    job_name text, schedule text, command text, database text, username text, active boolean
)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    owner constant text := coalesce(username, cron.caller());
    id bigint;
BEGIN
    IF schedule IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'schedule can not be NULL';
    ELSIF command IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'command can not be NULL';
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = format('role "%s" does not exist', owner);
    ELSIF owner <> cron.caller() AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = cron.caller()) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'internal_error', MESSAGE = 'must be superuser to create a job for another role';
    END IF;
    PERFORM cron.check_schedule(schedule);
    INSERT INTO cron.job AS j (schedule, command, nodeport, database, username, active, jobname)
    VALUES (
        schedule, command, current_setting('port')::int, coalesce(database, current_database()), owner,
        coalesce(active, true), job_name
    )
    ON CONFLICT ON CONSTRAINT jobname_username_uniq
    DO UPDATE SET schedule = excluded.schedule, command = excluded.command
    RETURNING j.jobid INTO id;
    RETURN id;
END;
$$;

CREATE FUNCTION cron.schedule(schedule text, command text)
RETURNS bigint
LANGUAGE sql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT cron.put(NULL, schedule, command, NULL, NULL, true)
$$;

CREATE FUNCTION cron.schedule(job_name text, schedule text, command text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF job_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'job_name can not be NULL';
    END IF;
    RETURN cron.put(job_name, schedule, command, NULL, NULL, true);
END;
$$;

CREATE FUNCTION cron.schedule_in_database(
    job_name text, schedule text, command text, database text, username text DEFAULT NULL, active boolean DEFAULT true
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF job_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'job_name can not be NULL';
    END IF;
    RETURN cron.put(job_name, schedule, command, database, username, active);
END;
$$;

CREATE FUNCTION cron.alter_job(
    job_id bigint, schedule text DEFAULT NULL, command text DEFAULT NULL,
    database text DEFAULT NULL, username text DEFAULT NULL, active boolean DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_super constant boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = cron.caller());
BEGIN
    IF job_id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'job_id can not be NULL';
    ELSIF username IS NOT NULL AND NOT is_super THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'must be superuser to alter username';
    ELSIF username IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = username) THEN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = format('role "%s" does not exist', username);
    ELSIF database IS NOT NULL AND NOT EXISTS (SELECT FROM pg_database WHERE datname = database) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_catalog_name', MESSAGE = format('database "%s" does not exist', database);
    ELSIF num_nonnulls(schedule, command, database, username, active) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'internal_error',
            MESSAGE = 'no updates specified',
            HINT = 'You must specify at least one job attribute to change when calling alter_job';
    END IF;
    IF schedule IS NOT NULL THEN
        PERFORM cron.check_schedule(schedule);
    END IF;
    UPDATE cron.job AS j SET
        schedule = coalesce(alter_job.schedule, j.schedule),
        command = coalesce(alter_job.command, j.command),
        database = coalesce(alter_job.database, j.database),
        username = coalesce(alter_job.username, j.username),
        active = coalesce(alter_job.active, j.active)
    WHERE j.jobid = job_id AND (is_super OR j.username = cron.caller());
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'internal_error', MESSAGE = format('Job %s does not exist or you don''t own it', job_id);
    END IF;
END;
$$;

CREATE FUNCTION cron.unschedule(job_id bigint)
RETURNS boolean
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner text;
BEGIN
    SELECT username INTO owner FROM cron.job WHERE jobid = job_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'internal_error', MESSAGE = format('could not find valid entry for job %s', job_id);
    ELSIF owner <> cron.caller() AND NOT has_table_privilege(cron.caller(), 'cron.job', 'DELETE') THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'permission denied for table job';
    END IF;
    DELETE FROM cron.job WHERE jobid = job_id;
    RETURN true;
END;
$$;

CREATE FUNCTION cron.unschedule(job_name text)
RETURNS boolean
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM cron.job WHERE jobname = job_name AND username = cron.caller();
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'internal_error', MESSAGE = format('could not find valid entry for job ''%s''', job_name);
    END IF;
    RETURN true;
END;
$$;

REVOKE ALL ON FUNCTION cron.put(text, text, text, text, text, boolean) FROM public;
REVOKE ALL ON FUNCTION cron.alter_job(bigint, text, text, text, text, boolean) FROM public;
REVOKE ALL ON FUNCTION cron.schedule_in_database(text, text, text, text, text, boolean) FROM public;
