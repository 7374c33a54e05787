SELECT is(count(*)::int, 7, 'seven jobs') FROM cron.job;
