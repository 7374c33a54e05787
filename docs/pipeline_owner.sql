-- Gives the pipeline an owner of its own where it, or its jobs, belong to a superuser or to a role that may become one or make
-- roles: who operates it has to be able to become its owner, and nobody may gain more by that. Run with psql, in the database
-- that holds schema scout, by a superuser, or by who owns it now and may make roles, as on a hosted service; then
-- docs/operator_role.sql. docs/hosted.md says where this cannot be done, and what can:
--
--   psql -X -d scout -v dry_run=on -f docs/pipeline_owner.sql                 print the statements, and change nothing
--   psql -X -q -d scout -f docs/pipeline_owner.sql > "pipeline_owner_undo_$(date +%Y%m%dT%H%M%S).sql"
--                                                                             do it; each run prints what undoes it, into a new file
--   psql -X -d scout -f pipeline_owner_undo_….sql                             undo it; of several files the newest first
--   psql -X -d scout -v owner=etl -v schema=pos -f …                          another owner, another schema
--   psql -X -d scout -v members=on -f …                                       the same owner as in another database
--   psql -X -d scout -v leave=on -f …                                         leave what cannot be handed over to who owns it
--
-- Its objects (schema, tables, views, sequences, functions, types) and jobs become those of role scout_owner, with all grants
-- that others have, and what it makes is granted to others as what the owner before made. Who owned it and is no superuser
-- becomes a member, so that his migrations work as before; what they make is his, until this runs again. The role gets the
-- settings of the one before (a time zone decides what a naive time means), and what its owner needed no grant for: schema
-- cron, the schemas of its search path, and what its views read elsewhere. It has LOGIN, because pg_cron runs a job as a session
-- of its owner, and no password. One transaction, in which each grant is looked for after it was made; a second run finds
-- nothing to do. pg_cron lets only a superuser give a job another owner: where there is none, each job is recreated, with its
-- runs, and has another number; so it refuses while ingestion is paused. It prints what has roles that deploy work as the new owner.
-- What functions read elsewhere is not known from here: ansible-playbook scout.recovery.preflight says which jobs lack a right.

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
\if :{?leave}
\else
  \set leave off
\endif
\if :{?dry_run}
\else
  \set dry_run off
\endif
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') AS is_new,
       -- A schema cron of somebody else's is none of pg_cron's, and its triggers and views would run as we are.
       EXISTS (SELECT FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
               WHERE c.oid = to_regclass('cron.job') AND c.relkind = 'r' AND r.rolsuper) AS has_cron,
       current_user AS me, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_super,
       CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END AS inherits,
       current_setting('server_version_num')::int >= 160000 AS modern \gset

BEGIN;
SET LOCAL lock_timeout = '10s';

-- A command or a function without its comments, which nest, three deep at most; what looks like one in a string or a name is none.
CREATE FUNCTION pg_temp.without_comments(source text) RETURNS text LANGUAGE sql AS $read$
    SELECT regexp_replace(source, replace(
        $re$(\mE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"[^"]*")|--[^\n\r]*|/\*(?:PLAIN|/\*(?:PLAIN|/\*(?:PLAIN)*\*/)*\*/)*\*/$re$,
        'PLAIN', '[^*/]|\*(?!/)|/(?!\*)'), '\1 ', 'g')
$read$;

-- Who may become a superuser, make roles, or have the server run programs or touch files.
CREATE TEMPORARY TABLE mighty ON COMMIT DROP AS
SELECT r.oid, r.rolname FROM pg_roles AS r
WHERE EXISTS (
    SELECT FROM pg_roles AS d
    WHERE (d.rolsuper OR d.rolcreaterole OR d.rolreplication OR d.rolbypassrls
           OR d.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data'))
      AND (r.oid = d.oid OR pg_has_role(r.oid, d.oid, 'MEMBER')));

-- The objects, but for those of extensions, of identity and serial columns (which follow their table), and of ordinary roles.
-- Nor of who owns nothing of the pipeline but what he put into its schema: that would have the rights of its new owner.
CREATE TEMPORARY TABLE strangers ON COMMIT DROP AS
SELECT r.oid FROM pg_roles AS r JOIN pg_namespace AS n ON n.nspname = :'schema'
WHERE NOT r.rolsuper AND NOT EXISTS (
    SELECT FROM (
        SELECT n.nspowner AS oid
        UNION SELECT relowner FROM pg_class WHERE relnamespace = n.oid AND relname IN (
            'bronze_events', 'bronze_events_dlq', 'etl_processed', 'silver_transactions', 'silver_line_items')
        UNION SELECT proowner FROM pg_proc
        WHERE pronamespace = n.oid AND proname = 'load_silver_from_bronze' AND proargtypes = '23'
    ) AS o WHERE pg_has_role(r.oid, o.oid, 'MEMBER'));
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
WHERE owner IN (SELECT oid FROM pg_temp.mighty) AND owner NOT IN (SELECT oid FROM pg_temp.strangers)
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = t.classid AND d.objid = t.oid AND d.deptype = 'e');

CREATE TEMPORARY TABLE jobs (jobid bigint, username text) ON COMMIT DROP;
CREATE TEMPORARY TABLE commands (jobid bigint, jobname text, schedule text, command text, active boolean) ON COMMIT DROP;
\if :has_cron
  -- Its jobs: those of the runbook, and whatever else says the name of the schema; of who owns some of it, or did.
  INSERT INTO pg_temp.jobs
  SELECT jobid, username FROM cron.job
  WHERE database = current_database()
    AND username IN (
        SELECT r.rolname::text FROM pg_temp.mighty AS m JOIN pg_roles AS r ON r.oid = m.oid
        WHERE r.rolsuper OR r.oid IN (SELECT owner FROM pg_temp.things)
           OR pg_has_role(r.oid, to_regrole(quote_ident(:'owner'))::oid, 'USAGE'))
    AND (jobname IN ('bronze-to-silver-etl', 'product-linking', 'smart-gold-refresh')
         OR strpos(lower(pg_temp.without_comments(command)), :'schema' || '.') > 0
         OR strpos(pg_temp.without_comments(command), quote_ident(:'schema') || '.') > 0);
  INSERT INTO pg_temp.commands
  SELECT j.jobid, c.jobname, c.schedule, c.command, c.active FROM pg_temp.jobs AS j JOIN cron.job AS c ON c.jobid = j.jobid;
\endif

-- What a superuser needs no grant for. It has what it has already: a second run grants nothing.
-- `grantable` says whether we may grant it: a GRANT that grants nothing is a warning. What `for_view` needs is no view's of another
-- owner without it.
CREATE TEMPORARY TABLE needs (privilege text, object text, there boolean, grantable boolean, for_view text, checks text) ON COMMIT DROP;
INSERT INTO pg_temp.needs SELECT p, format('DATABASE %I', current_database()), EXISTS (
    SELECT FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
    WHERE d.datname = current_database() AND pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = p),
    has_database_privilege(current_database(), p || ' WITH GRANT OPTION'), NULL,
    format('has_database_privilege(%L, current_database(), %L)', :'owner', p)
FROM unnest(ARRAY['CONNECT', 'TEMPORARY']) AS p;
\if :has_cron
  INSERT INTO pg_temp.needs SELECT 'USAGE', 'SCHEMA cron', EXISTS (
      SELECT FROM aclexplode(n.nspacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'USAGE'),
      has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION'), NULL,
      format('has_schema_privilege(%L, %L, %L)', :'owner', 'cron', 'USAGE')
  FROM pg_namespace AS n WHERE n.nspname = 'cron';
  INSERT INTO pg_temp.needs SELECT 'EXECUTE', format('FUNCTION %s', p.oid::regprocedure), EXISTS (
      SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
      WHERE a.grantee = 0 OR pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'EXECUTE'),
      has_function_privilege(p.oid, 'EXECUTE WITH GRANT OPTION'), NULL,
      format('has_function_privilege(%L, %s, %L)', :'owner', p.oid, 'EXECUTE')
  FROM pg_proc AS p
  WHERE p.pronamespace = 'cron'::regnamespace AND p.proname = ANY(CASE WHEN :'is_super'::boolean THEN ARRAY['alter_job']
      ELSE ARRAY['alter_job', 'schedule', 'unschedule'] END);
\endif
-- What its views and rules read in other schemas.
CREATE TEMPORARY TABLE outside ON COMMIT DROP AS
SELECT DISTINCT c.oid, c.relname, c.relacl, n.oid AS schema, n.nspname, n.nspacl, t.thing AS reader, t.oid AS reader_oid
FROM pg_temp.things AS t
JOIN pg_rewrite AS r ON r.ev_class = t.oid AND t.classid = 'pg_class'::regclass
JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN (:'schema', 'pg_catalog', 'information_schema');
INSERT INTO pg_temp.needs
SELECT 'SELECT', format('%I.%I', nspname, relname), EXISTS (
    SELECT FROM aclexplode(relacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'SELECT'),
    has_table_privilege(oid, 'SELECT WITH GRANT OPTION'), reader, format('has_table_privilege(%L, %s, %L)', :'owner', oid, 'SELECT')
FROM pg_temp.outside
UNION
SELECT 'USAGE', format('SCHEMA %I', nspname), EXISTS (
    SELECT FROM aclexplode(nspacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'USAGE'),
    has_schema_privilege(schema, 'USAGE WITH GRANT OPTION'), reader, format('has_schema_privilege(%L, %s, %L)', :'owner', schema, 'USAGE')
FROM pg_temp.outside;

-- The migration history, so that who migrates as the new owner can write it.
INSERT INTO pg_temp.needs
SELECT p, 'supabase_migrations.schema_migrations', EXISTS (
    SELECT FROM aclexplode(c.relacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = p),
    has_table_privilege(c.oid, p || ' WITH GRANT OPTION'), NULL, format('has_table_privilege(%L, %s, %L)', :'owner', c.oid, p)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
WHERE n.nspname = 'supabase_migrations' AND c.relname = 'schema_migrations' AND c.relkind IN ('r', 'p')
UNION
SELECT 'USAGE', 'SCHEMA supabase_migrations', EXISTS (
    SELECT FROM aclexplode(nspacl) AS a WHERE pg_get_userbyid(a.grantee) = :'owner' AND a.privilege_type = 'USAGE'),
    has_schema_privilege(oid, 'USAGE WITH GRANT OPTION'), NULL, format('has_schema_privilege(%L, %s, %L)', :'owner', oid, 'USAGE')
FROM pg_namespace WHERE nspname = 'supabase_migrations';

-- What the roles are set to who own the pipeline, and run its jobs.
CREATE TEMPORARY TABLE settings ON COMMIT DROP AS
SELECT DISTINCT ON (s.setdatabase, split_part(c, '=', 1)) split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value,
       CASE WHEN s.setdatabase = 0 THEN '' ELSE format(' IN DATABASE %I', current_database()) END AS of_database
FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c
WHERE s.setrole IN (SELECT r.oid FROM pg_roles AS r JOIN pg_temp.jobs AS j ON j.username = r.rolname)
  AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND split_part(c, '=', 1) NOT IN ('role', 'session_authorization', 'local_preload_libraries', 'session_preload_libraries')
  -- Others may set what every session may; a superuser sets all the same what he alone may set.
  AND (:'is_super'::boolean OR EXISTS (SELECT FROM pg_settings AS p WHERE lower(p.name) = lower(split_part(c, '=', 1)) AND p.context = 'user'))
ORDER BY s.setdatabase, split_part(c, '=', 1), s.setrole;
-- The schemas of that search path, in which its functions find extensions.
INSERT INTO pg_temp.needs
SELECT DISTINCT 'USAGE', format('SCHEMA %I', n.nspname), EXISTS (
    SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
    WHERE a.privilege_type = 'USAGE' AND (a.grantee = 0 OR pg_get_userbyid(a.grantee) = :'owner')),
    has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION'), NULL::text, format('has_schema_privilege(%L, %s, %L)', :'owner', n.oid, 'USAGE')
FROM pg_temp.settings AS s
CROSS JOIN LATERAL regexp_matches(s.value, '"((?:[^"]|"")+)"|([^\s,"]+)', 'g') AS m
JOIN pg_namespace AS n ON n.nspname = coalesce(replace(m[1], '""', '"'), lower(m[2]))
WHERE s.name = 'search_path' AND n.nspname NOT IN (:'schema', 'pg_catalog', 'information_schema');

-- What cannot be handed over: what belongs to who would not let us; views of what we may not grant; and functions that have
-- their owner's rights, run in a job or by a trigger, and speak of a schema that we may not grant, but in a comment.
CREATE TEMPORARY TABLE stays ON COMMIT DROP AS
SELECT t.classid, t.oid, t.thing || ' belongs to ' || pg_get_userbyid(t.owner) AS why
FROM pg_temp.things AS t WHERE NOT (:'is_super'::boolean OR pg_has_role(t.owner, 'USAGE'))
UNION
SELECT 'pg_class'::regclass, o.reader_oid, format('%s reads %I.%I, on which %s may grant nothing', o.reader, o.nspname, o.relname, :'me')
FROM pg_temp.outside AS o
WHERE NOT (:'is_super'::boolean OR has_table_privilege(o.oid, 'SELECT WITH GRANT OPTION') AND has_schema_privilege(o.schema, 'USAGE WITH GRANT OPTION'))
UNION
SELECT t.classid, t.oid, format('%s speaks of %I, on which %s may grant nothing', t.thing, n.nspname, :'me')
FROM pg_temp.things AS t
JOIN pg_proc AS p ON t.classid = 'pg_proc'::regclass AND p.oid = t.oid
JOIN pg_namespace AS n ON n.nspname NOT IN (:'schema', 'cron', 'information_schema') AND n.nspname !~ '^pg_'
WHERE NOT (:'is_super'::boolean OR has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION')
           OR EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a WHERE a.grantee = 0))
  AND (p.prosecdef OR EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgfoid = p.oid AND NOT g.tgisinternal)
       OR p.proname IN (SELECT m[1] FROM pg_temp.commands AS c, regexp_matches(pg_temp.without_comments(c.command), '(\w+)\s*\(', 'g') AS m))
  AND pg_temp.without_comments(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)) ~* ('\m' || regexp_replace(n.nspname, '(\W)', '\\\1', 'g') || '"?\s*\.')
UNION
SELECT NULL, NULL, format('job %s belongs to %s', jobid, username) FROM pg_temp.jobs
WHERE NOT :'is_super'::boolean AND username <> :'me';
\if :leave
  DELETE FROM pg_temp.things AS t USING pg_temp.stays AS s WHERE s.classid = t.classid AND s.oid = t.oid;
  DELETE FROM pg_temp.needs WHERE for_view IS NOT NULL AND NOT EXISTS (SELECT FROM pg_temp.things AS t WHERE t.thing = for_view);
  DELETE FROM pg_temp.jobs WHERE NOT :'is_super'::boolean AND username <> :'me';
  DELETE FROM pg_temp.commands AS c WHERE NOT EXISTS (SELECT FROM pg_temp.jobs AS j WHERE j.jobid = c.jobid);
  DELETE FROM pg_temp.stays;
\endif

-- A pause in the ledger knows each job by its number, and a job that is recreated gets another one. The ledger may belong to an
-- operator whose rights we lack and may grant ourselves. It is read as a table that runs nobody's code.
SELECT set_config('scout.pause', '', true) AS paused,
       EXISTS (SELECT FROM pg_temp.commands) AND NOT :'is_super'::boolean AND EXISTS (
           SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
           WHERE n.nspname = 'scout_ops' AND c.relname = 'pauses') AS has_ledger \gset
\if :has_ledger
  SELECT pg_get_userbyid(c.relowner) AS keeper, NOT reads AS borrows, NOT reads AND NOT becomes AS joins,
         NOT (reads OR becomes OR pg_has_role(c.relowner, 'MEMBER WITH ADMIN OPTION')
              OR NOT :'modern'::boolean AND (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user)) AS blind
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT
      has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS reads,
      pg_has_role(c.relowner, CASE WHEN :'modern'::boolean THEN 'SET' ELSE 'MEMBER' END) AS becomes) AS may
  WHERE n.nspname = 'scout_ops' AND c.relname = 'pauses' \gset
  \if :blind
    SELECT set_config('scout.pause', format('role %s may not read scout_ops.pauses, so it cannot tell whether ingestion is paused: run '
        'first, as %s, GRANT USAGE ON SCHEMA scout_ops TO %1$I; GRANT SELECT ON scout_ops.pauses TO %1$I', :'me', :'keeper'), true) AS paused \gset
  \else
    \if :joins
      SELECT format('GRANT %I TO %I%s', :'keeper', :'me', CASE WHEN :'modern' THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END) \gexec
    \endif
    \if :borrows
      SET LOCAL ROLE :"keeper";
    \endif
    LOCK TABLE scout_ops.pauses IN ACCESS SHARE MODE;
    SELECT relkind = 'r' AND NOT relrowsecurity AS plain FROM pg_class WHERE oid = 'scout_ops.pauses'::regclass \gset
    \if :plain
      SELECT set_config('scout.pause', coalesce((
          SELECT format('%s paused ingestion at %s for incident %s, and its jobs would get other numbers. Run first: '
                        'ansible-playbook scout.recovery.resume_ingestion',
                        actor, to_char(paused_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), incident)
          FROM scout_ops.pauses WHERE resumed_at IS NULL LIMIT 1), ''), true) AS paused \gset
    \endif
    \if :borrows
      RESET ROLE;
    \endif
    \if :joins
      REVOKE :"keeper" FROM :"me";
    \endif
  \endif
\endif

-- Nobody else may become the new owner unless he can already.
SELECT set_config('scout.refusal', CASE
    WHEN EXISTS (SELECT FROM pg_temp.mighty WHERE rolname = :'owner')
    THEN format('role %s may become a superuser or more than an owner should: name another one with -v owner=…', :'owner')
    WHEN to_regnamespace(quote_ident(:'schema')) IS NULL THEN format('there is no schema %s: name it with -v schema=…', :'schema')
    WHEN NOT :'is_new'::boolean
         AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'schema' AND pg_get_userbyid(nspowner) = :'owner')
         AND EXISTS (SELECT FROM pg_auth_members WHERE roleid = quote_ident(:'owner')::regrole) AND NOT :'members'::boolean
    THEN format('role %s is there, and others are members of it: name another one with -v owner=…; or, if they may become the '
                'owner of this pipeline too: -v members=on', :'owner')
    WHEN :'is_super'::boolean OR :'dry_run'::boolean THEN ''
    WHEN NOT (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user)
    THEN format('role %s is no superuser, and may make no roles: run it as who may, or operate the pipeline as its owner, with '
                '-e scout_allow_owner=true', current_user)
    WHEN EXISTS (SELECT FROM pg_temp.stays)
    THEN (SELECT 'this cannot be handed over: ' || string_agg(why, '; ' ORDER BY why) || '. Leave it to who owns it with -v leave=on' FROM pg_temp.stays)
    WHEN EXISTS (SELECT FROM pg_temp.jobs) AND EXISTS (SELECT FROM pg_temp.needs WHERE object ~ '^(SCHEMA|FUNCTION) cron\M' AND NOT there AND NOT grantable)
    THEN format('role %s may grant nothing on schema cron, as on Neon, so the jobs can have no other owner: operate the pipeline as '
                'its owner, with -e scout_allow_owner=true', current_user)
    ELSE current_setting('scout.pause') END, false) <> '' AS refused \gset
\if :refused
  DO 'BEGIN RAISE EXCEPTION USING MESSAGE = ''refused: '' || current_setting(''scout.refusal''); END';
\endif

CREATE TEMPORARY TABLE steps (place serial, statement text NOT NULL, undo text) ON COMMIT DROP;
\if :is_new
  INSERT INTO pg_temp.steps (statement) VALUES (format('CREATE ROLE %I LOGIN', :'owner'));
\endif
-- Who owned it goes on migrating it; and who hands it over has to be a member.
INSERT INTO pg_temp.steps (statement, undo)
SELECT format('GRANT %I TO %I%s', :'owner', rolname, :'inherits'), NULL FROM (
    SELECT DISTINCT r.rolname FROM pg_temp.things AS t JOIN pg_roles AS r ON r.oid = t.owner WHERE NOT r.rolsuper
    UNION SELECT j.username FROM pg_temp.jobs AS j JOIN pg_roles AS r ON r.rolname = j.username WHERE NOT r.rolsuper
) AS o
WHERE :'is_new'::boolean OR NOT pg_has_role(rolname, quote_ident(:'owner')::regrole::oid, 'USAGE');
INSERT INTO pg_temp.steps (statement)
SELECT format('GRANT CREATE ON SCHEMA %I TO %I', :'schema', :'owner')
WHERE NOT :'is_super'::boolean AND EXISTS (SELECT FROM pg_temp.things)
  AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'schema' AND pg_get_userbyid(nspowner) = :'owner');

-- A list of names is set, and taken from what is set: nothing of it is written into a statement.
INSERT INTO pg_temp.steps (statement, undo)
SELECT step, CASE WHEN step ~ '^ALTER ROLE' THEN format('ALTER ROLE %I%s RESET %I', :'owner', of_database, name) END
FROM pg_temp.settings CROSS JOIN LATERAL unnest(CASE
    WHEN name IN ('search_path', 'temp_tablespaces') THEN ARRAY[
        format('SELECT set_config(%L, %L, true)', name, value),
        format('ALTER ROLE %I%s SET %I FROM CURRENT', :'owner', of_database, name),
        'SET search_path = pg_catalog, pg_temp']
    ELSE ARRAY[format('ALTER ROLE %I%s SET %I = %L', :'owner', of_database, name, value)] END) WITH ORDINALITY AS s (step, place)
-- What a role is set to already is not set again.
WHERE NOT EXISTS (
    SELECT FROM pg_db_role_setting AS d, unnest(d.setconfig) AS c
    WHERE d.setrole = to_regrole(quote_ident(:'owner')) AND c = name || '=' || value)
ORDER BY name, of_database, place;

INSERT INTO pg_temp.steps (statement, undo)
SELECT format('GRANT %s ON %s TO %I', privilege, object, :'owner'), format('REVOKE %s ON %s FROM %I', privilege, object, :'owner')
FROM (SELECT DISTINCT privilege, object FROM pg_temp.needs WHERE NOT there AND (grantable OR :'is_super'::boolean)) AS n
ORDER BY object, privilege;

-- An undo returns whatever the role owns by then, where it was made for this and all came from one role.
INSERT INTO pg_temp.steps (statement, undo)
SELECT format('ALTER %s OWNER TO %I', thing, :'owner'), CASE
    WHEN :'is_new'::boolean AND (SELECT count(DISTINCT owner) FROM pg_temp.things) = 1
    THEN CASE WHEN row_number() OVER (ORDER BY kind, thing) = 1
              THEN format('REASSIGN OWNED BY %I TO %I', :'owner', pg_get_userbyid(owner)) END
    ELSE format('ALTER %s OWNER TO %I', thing, pg_get_userbyid(owner)) END
FROM pg_temp.things ORDER BY kind = 1, kind, thing;

-- What it makes is for others what the owner before made.
INSERT INTO pg_temp.steps (statement, undo)
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s GRANT %s ON %s TO %s%s', :'owner', within, all_of_them, kind, grantee, option),
       format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %s', :'owner', within, all_of_them, kind, grantee)
FROM (
    SELECT within, kind, grantee, option, string_agg(DISTINCT privilege, ', ' ORDER BY privilege) AS all_of_them FROM (
    SELECT CASE d.defaclnamespace WHEN 0 THEN '' ELSE format(' IN SCHEMA %I', :'schema') END AS within, a.privilege_type AS privilege,
           CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'n' THEN 'SCHEMAS'
               ELSE 'TYPES' END AS kind,
           CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee,
           CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS option
    FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
    WHERE d.defaclnamespace IN (0, to_regnamespace(quote_ident(:'schema'))) AND a.grantee <> d.defaclrole
      AND d.defaclobjtype IN ('r', 'S', 'f', 'T')
      AND d.defaclrole IN (SELECT owner FROM pg_temp.things WHERE owner IN (SELECT oid FROM pg_roles WHERE NOT rolsuper))
      AND NOT EXISTS (
          SELECT FROM pg_default_acl AS o CROSS JOIN LATERAL aclexplode(o.defaclacl) AS b
          WHERE o.defaclrole = to_regrole(quote_ident(:'owner')) AND o.defaclnamespace = d.defaclnamespace
            AND o.defaclobjtype = d.defaclobjtype AND b.grantee = a.grantee AND b.privilege_type = a.privilege_type)
    ) AS given GROUP BY within, kind, grantee, option
) AS grants ORDER BY 1;

-- A job's runs stay with it: pg_cron shows a role only those that have its name.
\if :is_super
  INSERT INTO pg_temp.steps (statement, undo)
  SELECT format('UPDATE cron.job SET username = %L WHERE jobid = %s', :'owner', jobid),
         format('UPDATE cron.job SET username = %L WHERE jobid = %s', username, jobid)
  FROM pg_temp.jobs ORDER BY jobid;
  INSERT INTO pg_temp.steps (statement, undo)
  SELECT format('UPDATE cron.job_run_details SET username = %L WHERE jobid = %s AND username = %L', :'owner', jobid, username),
         format('UPDATE cron.job_run_details SET username = %L WHERE jobid = %s AND username = %L', username, jobid, :'owner')
  FROM pg_temp.jobs ORDER BY jobid;
\endif

\if :dry_run
  \echo '-- Dry run: nothing was changed. What would be done:'
  SELECT statement || ';' FROM pg_temp.steps ORDER BY place;
  SELECT format('-- job %s, %s, is recreated by %s', jobid, coalesce(jobname, 'without a name'), :'owner') FROM pg_temp.commands
  WHERE NOT :'is_super'::boolean ORDER BY jobid;
  SELECT '-- It would be refused: ' || why FROM pg_temp.stays
  UNION ALL SELECT '-- It would be refused: ' || :'paused' WHERE :'paused' <> '' ORDER BY 1;
  ROLLBACK;
\else
  \set rewrites off
  CREATE TEMPORARY TABLE moved (old bigint, new bigint) ON COMMIT DROP;
  \o /dev/null
  SELECT statement FROM pg_temp.steps ORDER BY place
  \gexec
  SELECT EXISTS (SELECT FROM pg_temp.commands) AND NOT :'is_super'::boolean AS recreates \gset
  \if :recreates
    GRANT SELECT ON pg_temp.commands TO :"owner";
    GRANT ALL ON pg_temp.moved TO :"owner";
    SET LOCAL ROLE :"owner";
    INSERT INTO pg_temp.moved
    SELECT jobid, CASE WHEN jobname IS NULL THEN cron.schedule(schedule, command) ELSE cron.schedule(jobname, schedule, command) END
    FROM pg_temp.commands ORDER BY jobid;
    SELECT cron.alter_job(job_id => m.new, active => false)
    FROM pg_temp.moved AS m JOIN pg_temp.commands AS c ON c.jobid = m.old WHERE NOT c.active;
    RESET ROLE;
    SELECT cron.unschedule(old) FROM pg_temp.moved;
    -- Their runs go along where we may change them, and see them.
    SELECT has_table_privilege('cron.job_run_details', 'UPDATE') AND rolbypassrls AS rewrites FROM pg_roles WHERE rolname = current_user \gset
    \if :rewrites
      UPDATE cron.job_run_details AS d SET username = :'owner', jobid = m.new
      FROM pg_temp.moved AS m WHERE d.jobid = m.old AND d.username = current_user;
    \endif
  \endif
  -- A GRANT may be a warning that grants nothing.
  CREATE TEMPORARY TABLE denied (what text) ON COMMIT DROP;
  SELECT DISTINCT format('INSERT INTO pg_temp.denied SELECT %L WHERE NOT %s', privilege || ' ON ' || object, checks)
  FROM pg_temp.needs WHERE there OR grantable OR :'is_super'::boolean
  \gexec
  SELECT set_config('scout.refusal', coalesce((SELECT string_agg(what, ', ' ORDER BY what) FROM pg_temp.denied), ''), false) <> '' AS refused \gset
  \if :refused
    DO 'BEGIN RAISE EXCEPTION USING MESSAGE = ''refused: what was granted is not there: '' || current_setting(''scout.refusal''); END';
  \endif
  \o
  \if :recreates
    \if :rewrites
    \else
      \echo '-- The runs of its jobs stay under their old numbers: until each has run again, nobody can tell when it did.'
    \endif
  \endif
  \echo '-- Undoes what docs/pipeline_owner.sql did. Keep it.'
  \echo '\\set ON_ERROR_STOP on'
  \echo 'SET search_path = pg_catalog, pg_temp;'
  \echo 'BEGIN;'
  -- Jobs go back as they are by then, active or not, and with all that a role made for this has scheduled since.
  \if :recreates
    SELECT format($undo$SET LOCAL ROLE %1$I;
CREATE TEMPORARY TABLE old_jobs ON COMMIT DROP AS
SELECT jobid, jobname, schedule, command, active FROM cron.job WHERE username = %1$L AND database = current_database()%2$s;
RESET ROLE;
CREATE TEMPORARY TABLE new_jobs ON COMMIT DROP AS
SELECT jobid AS old, CASE WHEN jobname IS NULL THEN cron.schedule(schedule, command) ELSE cron.schedule(jobname, schedule, command) END AS new
FROM pg_temp.old_jobs ORDER BY jobid;
SELECT cron.alter_job(job_id => n.new, active => false)
FROM pg_temp.new_jobs AS n JOIN pg_temp.old_jobs AS o ON o.jobid = n.old WHERE NOT o.active;
%3$sSET LOCAL ROLE %1$I;
SELECT cron.unschedule(jobid) FROM pg_temp.old_jobs;
RESET ROLE;$undo$, :'owner',
        CASE WHEN NOT :'is_new'::boolean THEN format(E'\n  AND (jobid = ANY(%L) OR jobname = ANY(%L))', array_agg(m.new), array_agg(c.jobname)) ELSE '' END,
        CASE WHEN :'rewrites'::boolean THEN format(E'UPDATE cron.job_run_details AS d SET username = current_user, jobid = n.new '
            'FROM pg_temp.new_jobs AS n WHERE d.jobid = n.old AND d.username = %L;\n', :'owner') ELSE '' END)
    FROM pg_temp.moved AS m JOIN pg_temp.commands AS c ON c.jobid = m.old;
  \endif
  SELECT undo || ';' FROM pg_temp.steps WHERE undo IS NOT NULL ORDER BY place DESC;
  \echo 'COMMIT;'
  SELECT format('-- Where nothing else belongs to it, last: DROP OWNED BY %I; DROP ROLE %1$I;', :'owner');
  SELECT format('-- A migration that %I runs begins with: SET ROLE %I;', rolname, :'owner')
  FROM pg_roles WHERE oid IN (SELECT owner FROM pg_temp.things) ORDER BY rolname;
  -- Roles that may create in the schema, but for operators, whose sessions have to begin as themselves.
  SELECT count(*) > 0 AS deploys, string_agg(format('%sALTER ROLE %I IN DATABASE %I SET role = %I;',
             CASE WHEN pg_has_role(r.oid, o.oid, CASE WHEN :'modern' THEN 'SET' ELSE 'MEMBER' END) THEN '' ELSE format('GRANT %I TO %I; ', o.rolname, r.rolname) END,
             r.rolname, current_database(), o.rolname), E'\n' ORDER BY r.rolname) AS deployers
  FROM pg_roles AS r JOIN pg_roles AS o ON o.rolname = :'owner' AND o.oid <> r.oid
  WHERE r.rolcanlogin AND has_schema_privilege(r.oid, quote_ident(:'schema')::regnamespace, 'CREATE')
    AND r.oid NOT IN (SELECT oid FROM pg_temp.mighty)
    AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'scout_ops' AND pg_has_role(r.oid, nspowner, 'MEMBER'))
    AND NOT EXISTS (
        SELECT FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.datname = current_database()
        WHERE s.setrole = r.oid AND s.setdatabase IN (0, d.oid) AND 'role=' || o.rolname = ANY(s.setconfig)) \gset
  \if :deploys
    \warn -- A role that only deploys works as the new owner from the start of its session:
    \warn :deployers
  \endif
  COMMIT;
\endif
