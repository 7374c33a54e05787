-- Who may what in a database of Amazon RDS, before anything is deployed; to be run as rdsadmin, the superuser nobody has. It is run
-- again in the database that has pg_cron, where that is another one.

DO $$
DECLARE
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_superuser') THEN
        CREATE ROLE rds_superuser NOLOGIN;
        FOREACH name IN ARRAY ARRAY['pg_monitor', 'pg_signal_backend'] LOOP
            EXECUTE format('GRANT %I TO rds_superuser%s', name, CASE WHEN modern THEN ' WITH ADMIN OPTION' ELSE '' END);
        END LOOP;
        CREATE ROLE postgres LOGIN CREATEDB CREATEROLE;
        EXECUTE 'GRANT rds_superuser TO postgres' || CASE WHEN modern THEN ' WITH ADMIN OPTION' ELSE '' END;
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO postgres', current_database());
END;
$$;
-- Whose extension pg_cron is may grant what it has, and tell a job to run in another database.
GRANT USAGE ON SCHEMA cron TO rds_superuser WITH GRANT OPTION;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO rds_superuser WITH GRANT OPTION;
GRANT SELECT, UPDATE ON cron.job TO rds_superuser WITH GRANT OPTION;
GRANT ALL ON cron.job_run_details TO rds_superuser WITH GRANT OPTION;
