-- All that a deployment may change, a line each, as PostgreSQL itself writes it down.
CREATE VIEW tap.shape AS
SELECT 'schema' AS kind, nspname::text AS name, format('%s %s', nspowner::regrole, nspacl) AS says
FROM pg_namespace WHERE nspname = 'scout'
UNION ALL
SELECT 'relation', c.oid::regclass::text, format('%s %s %s %s %s', relkind, relowner::regrole, relispopulated, reloptions,
    ARRAY(SELECT g::text FROM unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) AS g
          ORDER BY 1))
FROM pg_class AS c WHERE relnamespace = 'scout'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
UNION ALL
SELECT 'column', format('%s.%s', attrelid::regclass, attname), format('%s %s %s %s %s', format_type(atttypid, atttypmod),
    attnotnull, attidentity, pg_get_expr(adbin, adrelid), attacl)
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = attrelid
LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
WHERE relnamespace = 'scout'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'view', c.oid::regclass::text, pg_get_viewdef(c.oid)
FROM pg_class AS c WHERE relnamespace = 'scout'::regnamespace AND relkind IN ('v', 'm')
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class AS c ON c.oid = indrelid WHERE relnamespace = 'scout'::regnamespace
UNION ALL
SELECT 'constraint', format('%s %s', conrelid::regclass, conname), pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'scout'::regnamespace
UNION ALL
SELECT 'trigger', format('%s %s', tgrelid::regclass, tgname), format('%s %s', tgenabled, pg_get_triggerdef(t.oid))
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid WHERE relnamespace = 'scout'::regnamespace AND NOT tgisinternal
UNION ALL
SELECT 'function', oid::regprocedure::text, format('%s %s %s', proowner::regrole, pg_get_functiondef(oid),
    ARRAY(SELECT g::text FROM unnest(coalesce(proacl, acldefault('f', proowner))) AS g ORDER BY 1))
FROM pg_proc WHERE pronamespace = 'scout'::regnamespace AND prokind IN ('f', 'p')
UNION ALL
SELECT 'comment', pg_describe_object(classoid, objoid, objsubid), description
FROM pg_description WHERE pg_describe_object(classoid, objoid, objsubid) LIKE '%scout.%'
UNION ALL
SELECT 'job', jobname, format('%s %s %s %s %s', username, database, active, schedule, command) FROM cron.job;
