-- Makes a role that may do everything this collection does, and nothing else. Run once with psql in the database that holds
-- schema scout, by a superuser or by who may make roles and has the rights of the pipeline's owner; again after new gold views,
-- and after an upgrade of PostgreSQL or of the collection:
--
--   psql -X -d scout -f docs/operator_role.sql                  role scout_operator
--   psql -X -d scout -v role=alice -v owner=etl -f …            another role; another owner of the pipeline and its jobs
--   psql -X -d scout -v rollback=on -f …                        also to roll back to a captured release: with the owners' rights
--
-- It gets no password: give it one (ALTER ROLE … PASSWORD), or let persons be members of it (GRANT scout_operator TO alice).
-- Where the pipeline or its jobs belong to a superuser, or to who may make roles, it refuses: docs/pipeline_owner.sql gives them an
-- owner of their own; docs/hosted.md says what else can be done on a hosted service.
-- docs/privileges.md says what each grant is for.

\set ON_ERROR_STOP on
-- First of all: what somebody made in public or in a schema of our own name must not be what we call.
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = warning;
\if :{?role}
\else
  \set role scout_operator
\endif
\if :{?owner}
\else
  SELECT pg_get_userbyid(proowner) AS owner FROM pg_proc
  WHERE pronamespace = 'scout'::regnamespace AND proname = 'load_silver_from_bronze' AND proargtypes = '23' \gset
\endif
-- Whose objects in the schema are not the pipeline's, so that nothing is granted because of them: who may create there can have put
-- them there. The pipeline's are those of who owns it or may become its owner, and of superusers.
SELECT coalesce(string_agg(r.oid::text, ','), '0') AS strangers
FROM pg_roles AS r
WHERE NOT r.rolsuper AND r.rolname <> :'role'
  AND NOT EXISTS (
      SELECT FROM (
          SELECT nspowner AS oid FROM pg_namespace WHERE nspname = 'scout'
          UNION SELECT oid FROM pg_roles WHERE rolname = :'owner'
          UNION SELECT relowner FROM pg_class WHERE relnamespace = 'scout'::regnamespace AND relname IN (
              'bronze_events', 'bronze_events_dlq', 'etl_processed', 'silver_transactions', 'silver_line_items')
      ) AS o WHERE pg_has_role(r.oid, o.oid, 'MEMBER')) \gset
SELECT current_setting('server_version_num')::int >= 160000 AS chooses_inheritance,
       current_setting('server_version_num')::int >= 170000 AS has_maintain,
       NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') AS is_new,
       NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_plain, current_user AS me \gset

-- Who may become a superuser, make roles, or have the server run programs or touch files is no owner to become.
SELECT set_config('scout.refusal', coalesce((
    SELECT format('refused: the pipeline belongs to %s, who %s, and role %s would have to be able to become him', r.rolname, CASE
               WHEN r.rolsuper THEN 'is a superuser'
               WHEN r.oid = d.oid THEN 'may make roles, replicate or bypass row security'
               ELSE format('may become %s', d.rolname) END, :'role')
    FROM pg_roles AS r JOIN pg_roles AS d ON r.oid = d.oid OR pg_has_role(r.oid, d.oid, 'MEMBER')
    WHERE r.rolname = :'owner'
      AND (d.rolsuper OR d.rolcreaterole OR d.rolreplication OR d.rolbypassrls
           OR d.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data'))
    ORDER BY r.rolsuper DESC, r.oid <> d.oid LIMIT 1), ''), false) <> '' AS refused,
    EXISTS (SELECT FROM pg_roles WHERE rolname = :'role' AND rolsuper) OR :'role' = :'owner' AS unfit,
    -- Whoever is no superuser has to be able to make the role, and to grant what the owner may.
    set_config('scout.lack', CASE
        WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ''
        WHEN NOT (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user)
        THEN format('refused: role %s is no superuser, and may make no roles', current_user)
        WHEN NOT pg_has_role(quote_ident(:'owner')::regrole::oid, 'USAGE')
        THEN format('refused: role %s has not the rights of %s, who owns the pipeline', current_user, :'owner')
        ELSE '' END, false) <> '' AS lacking \gset
\if :refused
  DO 'BEGIN RAISE EXCEPTION USING MESSAGE = current_setting(''scout.refusal''),
      HINT = ''first: psql -X -d '' || current_database() || '' -f docs/pipeline_owner.sql''
             || CASE WHEN (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN ''''
                     ELSE '', by a superuser or by who may make roles; or operate the pipeline as its owner, with -e scout_allow_owner=true'' END; END';
\endif
\if :lacking
  DO 'BEGIN RAISE EXCEPTION USING MESSAGE = current_setting(''scout.lack''),
      HINT = ''run it as who may; or operate the pipeline as its owner, with -e scout_allow_owner=true''; END';
\endif
\if :unfit
  DO 'BEGIN RAISE EXCEPTION ''the role to be made is a superuser, or owns the pipeline: name another one with -v role=…''; END';
\endif

BEGIN;

\if :is_new
  CREATE ROLE :"role" LOGIN;
\endif
ALTER ROLE :"role" SET search_path = pg_catalog, pg_temp;

-- Read the pipeline.
GRANT USAGE ON SCHEMA scout TO :"role";
GRANT SELECT ON scout.bronze_events, scout.bronze_events_dlq, scout.etl_processed, scout.silver_transactions,
    scout.silver_line_items TO :"role";

-- Read gold, and what its views are made of.
SELECT DISTINCT format('GRANT SELECT ON %I.%I TO %I', n.nspname, c.relname, :'role')
FROM pg_class AS view
JOIN pg_rewrite AS r ON r.ev_class = view.oid
JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE view.relkind = 'm' AND view.relnamespace = 'scout'::regnamespace AND view.relowner NOT IN (:strangers)
\gexec

-- Ask what the runbook's dashboards show, as far as there are such views.
SELECT format('GRANT SELECT ON scout.%I TO %I', relname, :'role')
FROM pg_class
WHERE relkind = 'v' AND relnamespace = 'scout'::regnamespace
  AND relname IN ('v_ingest_freshness', 'v_pipeline_throughput', 'v_etl_performance', 'v_quality_alerts', 'v_product_linking_stats')
  AND relowner NOT IN (:strangers)
\gexec

-- Capture a release: the migration history, if there is one.
SELECT unnest(ARRAY[
    format('GRANT USAGE ON SCHEMA supabase_migrations TO %I', :'role'),
    format('GRANT SELECT ON supabase_migrations.schema_migrations TO %I', :'role')])
WHERE to_regclass('supabase_migrations.schema_migrations') IS NOT NULL
\gexec

SELECT format('GRANT SELECT ON scout.migration_manifest TO %I', :'role')
FROM pg_class WHERE oid = to_regclass('scout.migration_manifest') AND relowner NOT IN (:strangers)
\gexec

-- Judge: the acceptance gate looks for alerts that nobody has resolved.
SELECT format('GRANT SELECT ON scout.alerts TO %I', :'role')
FROM pg_class WHERE oid = to_regclass('scout.alerts') AND relowner NOT IN (:strangers)
\gexec

-- Drain: the ETL reads FOR UPDATE what it loads; a poison event leaves bronze for the dead letter queue; the ETL's ledger
-- hides the other events of a batch while the bad one is being found.
GRANT UPDATE, DELETE ON scout.bronze_events TO :"role";
GRANT INSERT ON scout.bronze_events_dlq TO :"role";
GRANT INSERT, DELETE ON scout.etl_processed TO :"role";
GRANT EXECUTE ON FUNCTION scout.load_silver_from_bronze(int) TO :"role";

-- Move rows to the dead letter queue and back: an event moves with everything derived from it, and undo restores what was there.
GRANT INSERT ON scout.bronze_events TO :"role";
GRANT INSERT, DELETE ON scout.silver_transactions, scout.silver_line_items TO :"role";
GRANT UPDATE, DELETE ON scout.bronze_events_dlq TO :"role";

-- Refresh gold. Before PostgreSQL 17 only the owner may, and whoever has his rights.
\if :has_maintain
  SELECT format('GRANT MAINTAIN ON scout.%I TO %I', relname, :'role')
  FROM pg_class WHERE relkind = 'm' AND relnamespace = 'scout'::regnamespace AND relowner NOT IN (:strangers)
  \gexec
\endif

-- Pause and resume: pg_cron lets only the owner see and alter a job, so the role has to be able to become the owner.
-- From PostgreSQL 17 on it does so only where it asks to (SET ROLE) and inherits nothing.
\if :has_maintain
  GRANT :"owner" TO :"role" WITH INHERIT FALSE, SET TRUE;
\elif :chooses_inheritance
  GRANT :"owner" TO :"role" WITH INHERIT TRUE, SET TRUE;
\else
  GRANT :"owner" TO :"role";
\endif
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'cron') AS has_cron \gset
\if :has_cron
  GRANT USAGE ON SCHEMA cron TO :"owner";
  GRANT EXECUTE ON FUNCTION cron.alter_job(bigint, text, text, text, text, boolean) TO :"owner";
\else
  \warn 'pg_cron is not in this database: preflight.yml with -e scout_cron_dsn=... names what to grant where it is'
\endif

-- Roll back to a captured release, which alters, drops and creates what the owner owns.
\if :{?rollback}
  \if :chooses_inheritance
    GRANT :"owner" TO :"role" WITH INHERIT TRUE, SET TRUE;
  \endif
  GRANT CREATE ON SCHEMA scout TO :"owner";
  -- The same for everybody else who owns something in the schema, but for superusers, members of one, and others whom nobody
  -- should be able to become; and for our own role and its members. What belongs to an extension is its owner's affair.
  WITH things AS (
      SELECT 'pg_class'::regclass AS classid, oid, relowner AS owner FROM pg_class
      WHERE relnamespace = 'scout'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
      UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc WHERE pronamespace = 'scout'::regnamespace
      UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type
      WHERE typnamespace = 'scout'::regnamespace AND typtype IN ('d', 'e', 'r')
      UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace WHERE nspname = 'scout'
  ), owners AS (
      SELECT DISTINCT r.oid, r.rolname FROM things AS t JOIN pg_roles AS r ON r.oid = t.owner
      WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = t.classid AND d.objid = t.oid AND d.deptype = 'e')
        AND NOT pg_has_role(r.oid, :'role', 'MEMBER') AND (r.oid NOT IN (:strangers) OR has_schema_privilege(r.oid, 'scout', 'CREATE'))
        AND NOT EXISTS (
            SELECT FROM pg_roles AS d WHERE (r.oid = d.oid OR pg_has_role(r.oid, d.oid, 'MEMBER'))
              AND (d.rolsuper OR d.rolcreaterole OR d.rolreplication OR d.rolbypassrls
                   OR d.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data')))
  )
  SELECT unnest(ARRAY[
      format('GRANT %I TO %I%s', rolname, :'role', CASE WHEN :'chooses_inheritance' THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END),
      format('GRANT CREATE ON SCHEMA scout TO %I', rolname)])
  FROM owners WHERE rolname <> :'owner' ORDER BY rolname
  \gexec
  SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), :'role')
  \gexec
  SELECT format('GRANT INSERT, DELETE ON supabase_migrations.schema_migrations TO %I', :'role')
  WHERE to_regclass('supabase_migrations.schema_migrations') IS NOT NULL
  \gexec
  SELECT format('GRANT INSERT, UPDATE, DELETE ON scout.migration_manifest TO %I', :'role')
  FROM pg_class WHERE oid = to_regclass('scout.migration_manifest') AND relowner NOT IN (:strangers)
  \gexec
\endif

-- See all sessions, and whether pg_cron records its runs; end sessions that are stuck; from PostgreSQL 16 on, connect where others
-- have taken all connections but those that reserved_connections keeps back.
-- Where we may not grant what reads statistics alone, as on a hosted service, pg_monitor has it.
SELECT format('GRANT %I TO %I%s', CASE WHEN NOT may AND name LIKE 'pg\_read\_%' THEN 'pg_monitor' ELSE name END, :'role',
              CASE WHEN :'chooses_inheritance' THEN ' WITH INHERIT TRUE' ELSE '' END)
FROM (
    SELECT name, NOT :'is_plain'::boolean OR pg_has_role(name, 'MEMBER WITH ADMIN OPTION') OR NOT :'chooses_inheritance'::boolean AS may
    FROM (SELECT rolname::text AS name FROM pg_roles) AS known
    WHERE name IN ('pg_read_all_stats', 'pg_signal_backend')
       OR name = 'pg_read_all_settings' AND (NOT :'has_cron'::boolean OR EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron'))
       OR name = 'pg_use_reserved_connections' AND (NOT :'is_plain'::boolean OR pg_has_role(name, 'MEMBER WITH ADMIN OPTION'))
) AS r
WHERE NOT pg_has_role(:'role', name, 'USAGE')
\gexec

-- The ledger: runs, the lease, what a pause took. Whatever is in it already becomes the role's.
SELECT :'is_plain'::boolean AND NOT pg_has_role(:'role', CASE WHEN :'chooses_inheritance'::boolean THEN 'SET' ELSE 'MEMBER' END) AS joins \gset
\if :joins
  \if :chooses_inheritance
    GRANT :"role" TO :"me" WITH INHERIT FALSE, SET TRUE;
  \else
    GRANT :"role" TO :"me";
  \endif
\endif
CREATE SCHEMA IF NOT EXISTS scout_ops AUTHORIZATION :"role";
SELECT format('ALTER SCHEMA scout_ops OWNER TO %I', :'role')
FROM pg_namespace WHERE nspname = 'scout_ops' AND pg_get_userbyid(nspowner) <> :'role'
\gexec
SELECT format('ALTER TABLE scout_ops.%I OWNER TO %I', relname, :'role')
FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace('scout_ops') AND pg_get_userbyid(relowner) <> :'role'
\gexec
\if :joins
  REVOKE :"role" FROM :"me";
\endif

COMMIT;
