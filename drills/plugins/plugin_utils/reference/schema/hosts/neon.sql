-- Who may what in a database of Neon, before anything is deployed; to be run as cloud_admin, the superuser nobody has.

DO $$
DECLARE
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'neon_superuser') THEN
        CREATE ROLE neon_superuser NOLOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
        GRANT pg_read_all_data, pg_write_all_data TO neon_superuser;
        EXECUTE 'GRANT pg_monitor TO neon_superuser' || CASE WHEN modern THEN ' WITH ADMIN OPTION' ELSE '' END;
        EXECUTE 'GRANT pg_signal_backend TO neon_superuser' || CASE WHEN modern THEN ' WITH ADMIN OPTION' ELSE '' END;
        CREATE ROLE neondb_owner LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
        GRANT neon_superuser TO neondb_owner;
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO neondb_owner', current_database());
END;
$$;
-- Nothing of cron may be granted on.
GRANT USAGE ON SCHEMA cron TO neondb_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO neondb_owner;
GRANT SELECT ON cron.job TO neondb_owner;
SET ROLE neondb_owner;
CREATE SCHEMA scout;
RESET ROLE;
