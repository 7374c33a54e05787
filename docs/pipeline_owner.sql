-- Gives the pipeline an owner of its own where it, or its jobs, belong to a superuser or to a role that may become one: who
-- operates it has to be able to become its owner, and nobody may become a superuser by that. Run once by a superuser, with
-- psql, in the database that holds schema scout; then docs/operator_role.sql:
--
--   psql -X -d scout -v dry_run=on -f docs/pipeline_owner.sql                 print the statements, and change nothing
--   psql -X -q -d scout -f docs/pipeline_owner.sql > pipeline_owner_undo.sql  do it; what undoes it is printed
--   psql -X -d scout -f pipeline_owner_undo.sql                               undo it
--   psql -X -d scout -v owner=etl -v schema=pos -f …                          another owner, another schema
--   psql -X -d scout -v members=on -f …                                       the same owner as in another database
--
-- Its objects (schema, tables, views, sequences, functions, types) and jobs become those of role scout_owner, with all grants
-- that others have. The role gets the settings of the one before (a time zone decides what a naive time means), and what a
-- superuser needs no grant for: schema cron, and what its views read elsewhere. It has LOGIN, because pg_cron runs a job as a
-- session of its owner, and no password. One transaction; a second run finds nothing to do.
-- What functions read elsewhere is not known from here: ansible-playbook playbooks/preflight.yml says which jobs lack a right.

\set ON_ERROR_STOP on
-- First of all: what somebody made in public or in a schema of our own name must not be what we call.
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
\if :{?owner}
\else
  \set owner scout_owner
\endif
\if :{?schema}
\else
  \set schema scout
\endif
\if :{?members}
\else
  \set members off
\endif
\if :{?dry_run}
\else
  \set dry_run off
\endif
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') AS is_new,
       -- A schema cron of somebody else's is none of pg_cron's, and its triggers and views would run as we are.
       EXISTS (SELECT FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
               WHERE c.oid = to_regclass('cron.job') AND c.relkind = 'r' AND r.rolsuper) AS has_cron \gset

BEGIN;
SET LOCAL lock_timeout = '10s';

-- Who may become a superuser, make roles, or have the server run programs or touch files.
CREATE TEMPORARY TABLE mighty ON COMMIT DROP AS
SELECT r.oid, r.rolname FROM pg_roles AS r
WHERE EXISTS (
    SELECT FROM pg_roles AS d
    WHERE (d.rolsuper OR d.rolcreaterole OR d.rolreplication OR d.rolbypassrls
           OR d.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data'))
      AND (r.oid = d.oid OR pg_has_role(r.oid, d.oid, 'MEMBER')));

-- Nobody else may become the new owner unless he can already.
SELECT set_config('scout.refusal', CASE
    WHEN EXISTS (SELECT FROM pg_temp.mighty WHERE rolname = :'owner')
    THEN format('role %s may become a superuser or more than an owner should: name another one with -v owner=…', :'owner')
    WHEN NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN 'run it as a superuser'
    WHEN to_regnamespace(quote_ident(:'schema')) IS NULL THEN format('there is no schema %s: name it with -v schema=…', :'schema')
    WHEN NOT :'is_new'::boolean
         AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'schema' AND pg_get_userbyid(nspowner) = :'owner')
         AND EXISTS (SELECT FROM pg_auth_members WHERE roleid = quote_ident(:'owner')::regrole) AND NOT :'members'::boolean
    THEN format('role %s is there, and others are members of it: name another one with -v owner=…; or, if they may become the '
                'owner of this pipeline too: -v members=on', :'owner')
    ELSE '' END, false) <> '' AS refused \gset
\if :refused
  DO 'BEGIN RAISE EXCEPTION USING MESSAGE = ''refused: '' || current_setting(''scout.refusal''); END';
\endif

CREATE TEMPORARY TABLE steps (place serial, statement text NOT NULL, undo text) ON COMMIT DROP;
\if :is_new
  INSERT INTO pg_temp.steps (statement) VALUES (format('CREATE ROLE %I LOGIN', :'owner'));
\endif

-- The objects, but for those of extensions, of identity and serial columns (which follow their table), and of ordinary roles.
CREATE TEMPORARY TABLE things ON COMMIT DROP AS
SELECT * FROM (
    SELECT 1 AS kind, 'pg_namespace'::regclass AS classid, oid, nspowner AS owner, format('SCHEMA %I', nspname) AS thing
    FROM pg_namespace WHERE nspname = :'schema'
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 3 ELSE 2 END, 'pg_class'::regclass, c.oid, relowner, format('%s %I.%I', CASE relkind
        WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
        WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, :'schema', relname)
    FROM pg_class AS c
    WHERE relnamespace = to_regnamespace(quote_ident(:'schema')) AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND c.relkind = 'S' AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass)
    UNION ALL
    SELECT 4, 'pg_type'::regclass, oid, typowner, format('%s %I.%I', CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, :'schema', typname)
    FROM pg_type WHERE typnamespace = to_regnamespace(quote_ident(:'schema')) AND typtype IN ('d', 'e', 'r')
    UNION ALL
    SELECT 5, 'pg_proc'::regclass, oid, proowner, format('%s %I.%I(%s)', CASE prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'ROUTINE' END,
        :'schema', proname, pg_get_function_identity_arguments(oid))
    FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(:'schema'))
    UNION ALL
    SELECT 6, 'pg_statistic_ext'::regclass, oid, stxowner, format('STATISTICS %I.%I', :'schema', stxname)
    FROM pg_statistic_ext WHERE stxnamespace = to_regnamespace(quote_ident(:'schema'))
) AS t
WHERE owner IN (SELECT oid FROM pg_temp.mighty)
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = t.classid AND d.objid = t.oid AND d.deptype = 'e');

CREATE TEMPORARY TABLE jobs (jobid bigint, username text) ON COMMIT DROP;
\if :has_cron
  -- Its jobs: those of the runbook, and whatever else says the name of the schema.
  INSERT INTO pg_temp.jobs
  SELECT jobid, username FROM cron.job
  WHERE database = current_database() AND username IN (SELECT rolname::text FROM pg_temp.mighty)
    AND (jobname IN ('bronze-to-silver-etl', 'product-linking', 'smart-gold-refresh')
         OR strpos(lower(command), :'schema' || '.') > 0 OR strpos(command, quote_ident(:'schema') || '.') > 0);
\endif

-- What a superuser needs no grant for. It has what it has already: a second run grants nothing.
CREATE TEMPORARY TABLE needs (privilege text, object text, there boolean) ON COMMIT DROP;
INSERT INTO pg_temp.needs SELECT p, format('DATABASE %I', current_database()), EXISTS (
    SELECT FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
    WHERE d.datname = current_database() AND pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = p)
FROM unnest(ARRAY['CONNECT', 'TEMPORARY']) AS p;
\if :has_cron
  INSERT INTO pg_temp.needs SELECT 'USAGE', 'SCHEMA cron', EXISTS (
      SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
      WHERE n.nspname = 'cron' AND pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'USAGE');
  INSERT INTO pg_temp.needs SELECT 'EXECUTE', format('FUNCTION %s', p.oid::regprocedure), EXISTS (
      SELECT FROM aclexplode(p.proacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'EXECUTE')
  FROM pg_proc AS p WHERE p.pronamespace = 'cron'::regnamespace AND p.proname = 'alter_job';
\endif
-- What its views and rules read in other schemas.
WITH outside AS (
    SELECT DISTINCT c.oid, c.relname, c.relacl, c.relowner, n.nspname, n.nspacl, n.nspowner
    FROM pg_temp.things AS t
    JOIN pg_rewrite AS r ON r.ev_class = t.oid AND t.classid = 'pg_class'::regclass
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN (:'schema', 'pg_catalog', 'information_schema')
)
INSERT INTO pg_temp.needs
SELECT 'SELECT', format('%I.%I', nspname, relname), EXISTS (
    SELECT FROM aclexplode(relacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'SELECT')
FROM outside
UNION
SELECT 'USAGE', format('SCHEMA %I', nspname), EXISTS (
    SELECT FROM aclexplode(nspacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'USAGE')
FROM outside;

-- Settings that a list of names makes up are stored as they are written.
INSERT INTO pg_temp.steps (statement, undo)
SELECT format('ALTER ROLE %I%s SET %I = %s', :'owner', of_database, name, CASE
           WHEN name IN ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries') THEN value
           ELSE quote_literal(value) END),
       format('ALTER ROLE %I%s RESET %I', :'owner', of_database, name)
FROM (
    SELECT DISTINCT ON (s.setdatabase, split_part(c, '=', 1)) split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value,
           CASE WHEN s.setdatabase = 0 THEN '' ELSE format(' IN DATABASE %I', current_database()) END AS of_database
    FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c
    WHERE s.setrole IN (SELECT r.oid FROM pg_roles AS r JOIN pg_temp.jobs AS j ON j.username = r.rolname)
      AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    ORDER BY s.setdatabase, split_part(c, '=', 1), s.setrole
) AS settings;

INSERT INTO pg_temp.steps (statement, undo)
SELECT format('GRANT %s ON %s TO %I', privilege, object, :'owner'), format('REVOKE %s ON %s FROM %I', privilege, object, :'owner')
FROM pg_temp.needs WHERE NOT there ORDER BY object, privilege;

INSERT INTO pg_temp.steps (statement, undo)
SELECT format('ALTER %s OWNER TO %I', thing, :'owner'), format('ALTER %s OWNER TO %I', thing, pg_get_userbyid(owner))
FROM pg_temp.things ORDER BY kind, thing;

-- A job's runs stay with it: pg_cron shows a role only those that have its name.
INSERT INTO pg_temp.steps (statement, undo)
SELECT format('UPDATE cron.job SET username = %L WHERE jobid = %s', :'owner', jobid),
       format('UPDATE cron.job SET username = %L WHERE jobid = %s', username, jobid)
FROM pg_temp.jobs ORDER BY jobid;
INSERT INTO pg_temp.steps (statement, undo)
SELECT format('UPDATE cron.job_run_details SET username = %L WHERE jobid = %s AND username = %L', :'owner', jobid, username),
       format('UPDATE cron.job_run_details SET username = %L WHERE jobid = %s AND username = %L', username, jobid, :'owner')
FROM pg_temp.jobs ORDER BY jobid;

\if :dry_run
  \echo '-- Dry run: nothing was changed. What would be done:'
  SELECT statement || ';' FROM pg_temp.steps ORDER BY place;
  ROLLBACK;
\else
  \o /dev/null
  SELECT statement FROM pg_temp.steps ORDER BY place
  \gexec
  \o
  \echo '-- Undoes what docs/pipeline_owner.sql did. Keep it.'
  \echo '\\set ON_ERROR_STOP on'
  \echo 'SET search_path = pg_catalog, pg_temp;'
  \echo 'BEGIN;'
  SELECT undo || ';' FROM pg_temp.steps WHERE undo IS NOT NULL ORDER BY place DESC;
  \echo 'COMMIT;'
  SELECT format('-- Where nothing else belongs to it, last: DROP ROLE %I;', :'owner');
  COMMIT;
\endif
