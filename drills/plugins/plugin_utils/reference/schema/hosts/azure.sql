-- Who may what in a database of Azure Database, before anything is deployed; to be run as azuresu, the superuser nobody has.

DO $$
DECLARE
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'azure_pg_admin') THEN
        CREATE ROLE azure_pg_admin NOLOGIN;
        FOREACH name IN ARRAY ARRAY['pg_monitor', 'pg_signal_backend'] LOOP
            EXECUTE format('GRANT %I TO azure_pg_admin%s', name, CASE WHEN modern THEN ' WITH ADMIN OPTION' ELSE '' END);
        END LOOP;
        CREATE ROLE deployer LOGIN CREATEDB CREATEROLE;
        EXECUTE 'GRANT azure_pg_admin TO deployer' || CASE WHEN modern THEN ' WITH ADMIN OPTION' ELSE '' END;
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO deployer', current_database());
END;
$$;
-- Jobs can be made and removed, and row security shows each role its own.
GRANT USAGE ON SCHEMA cron TO azure_pg_admin WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION cron.schedule(text, text), cron.schedule(text, text, text), cron.unschedule(bigint), cron.unschedule(text),
    cron.schedule_in_database(text, text, text, text, text, boolean) TO azure_pg_admin WITH GRANT OPTION;
