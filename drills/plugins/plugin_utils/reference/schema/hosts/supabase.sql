-- Who may what in a database of Supabase, before anything is deployed; to be run as supabase_admin, the superuser nobody has.

DO $$
DECLARE
    role record;
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    name text;
BEGIN
    FOR role IN SELECT * FROM (VALUES
        ('postgres', 'LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS'),
        ('anon', 'NOLOGIN'), ('authenticated', 'NOLOGIN'), ('service_role', 'NOLOGIN BYPASSRLS'),
        ('authenticator', 'LOGIN NOINHERIT'), ('supabase_auth_admin', 'LOGIN NOINHERIT CREATEROLE'),
        ('supabase_storage_admin', 'LOGIN NOINHERIT CREATEROLE'), ('supabase_realtime_admin', 'NOLOGIN NOINHERIT')
    ) AS r (name, options) LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role.name) THEN
            EXECUTE format('CREATE ROLE %I %s', role.name, role.options);
        END IF;
    END LOOP;
    GRANT anon, authenticated, service_role TO authenticator;
    FOREACH name IN ARRAY ARRAY['pg_monitor', 'pg_signal_backend', 'pg_read_all_data', 'anon', 'authenticated', 'service_role', 'authenticator'] LOOP
        EXECUTE format('GRANT %I TO postgres%s', name, CASE WHEN modern THEN ' WITH ADMIN OPTION' ELSE '' END);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I OWNER TO postgres', current_database());
END;
$$;
ALTER ROLE postgres SET search_path = "$user", public, extensions;
ALTER ROLE anon SET statement_timeout = '3s';
ALTER ROLE authenticated SET statement_timeout = '8s';

CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin;
CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text);
ALTER TABLE auth.users OWNER TO supabase_auth_admin;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role, postgres;
GRANT SELECT ON auth.users TO postgres WITH GRANT OPTION;
CREATE SCHEMA storage AUTHORIZATION supabase_storage_admin;
CREATE TABLE storage.objects (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
ALTER TABLE storage.objects OWNER TO supabase_storage_admin;
CREATE SCHEMA extensions AUTHORIZATION postgres;
GRANT USAGE ON SCHEMA extensions TO anon, authenticated, service_role;

CREATE FUNCTION extensions.pgrst_ddl_watch()
RETURNS event_trigger
LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY pgrst, 'reload schema';
END;
$$;
CREATE EVENT TRIGGER pgrst_ddl_watch ON ddl_command_end EXECUTE FUNCTION extensions.pgrst_ddl_watch();
CREATE EVENT TRIGGER pgrst_drop_watch ON sql_drop EXECUTE FUNCTION extensions.pgrst_ddl_watch();
CREATE EVENT TRIGGER issue_pg_cron_access ON ddl_command_end WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION extensions.pgrst_ddl_watch();

CREATE PUBLICATION supabase_realtime;
ALTER PUBLICATION supabase_realtime OWNER TO postgres;
CREATE PUBLICATION supabase_realtime_messages_publication;

GRANT USAGE ON SCHEMA cron TO postgres WITH GRANT OPTION;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO postgres WITH GRANT OPTION;
GRANT SELECT ON cron.job TO postgres WITH GRANT OPTION;
GRANT ALL ON cron.job_run_details TO postgres WITH GRANT OPTION;
REVOKE TRIGGER ON cron.job_run_details FROM postgres;

-- What postgres makes in a schema that is exposed is for everybody; its migrations have their history.
SET ROLE postgres;
CREATE SCHEMA scout;
GRANT USAGE ON SCHEMA scout TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA scout GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA scout GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA scout GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES ('20250901000000', 'scout_v5_2');
RESET ROLE;
