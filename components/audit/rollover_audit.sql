-- The audit table of Rollover. Its owner runs this once in the audit's database (docs/audit.md); again does no harm.
-- The program that is audited owns nothing here, and can only add: it gives the record, the server does the rest.
BEGIN;

CREATE TABLE IF NOT EXISTS public.rollover_audit (
  seq bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  record text NOT NULL,
  previous text NOT NULL,
  hash text NOT NULL
);

-- Numbers, dates and chains a row. One insert after the other, since each needs the hash of the one before.
CREATE OR REPLACE FUNCTION public.rollover_audit_chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
  last record;
  keys CONSTANT text[] := ARRAY['time', 'stack', 'credential', 'step', 'result', 'from', 'to', 'consumer', 'attested',
    'proven', 'expires', 'error', 'actor', 'reason', 'ticket', 'commit', 'update'];
BEGIN
  -- Its keys are read without what backslashes escape: not all of that is text to Postgres, and no key of ours has any.
  IF length(NEW.record) > 10000 OR json_typeof(NEW.record::json) <> 'object'
    OR NOT keys <@ ARRAY(SELECT json_object_keys(regexp_replace(NEW.record, E'\\\\.', '', 'g')::json))
  THEN
    RAISE EXCEPTION 'an audit record is one JSON object of at most 10000 characters with the keys %',
      array_to_string(keys, ', ');
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('public.rollover_audit', 0));
  SELECT r.seq, r.hash INTO last FROM public.rollover_audit r ORDER BY r.seq DESC LIMIT 1;
  NEW.seq := coalesce(last.seq, 0) + 1;
  NEW.at := clock_timestamp();
  NEW.previous := coalesce(last.hash, repeat('0', 64));
  NEW.hash := encode(sha256(convert_to(concat_ws(E'\n',
    NEW.previous,
    NEW.seq,
    to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    NEW.record), 'UTF8')), 'hex');
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION public.rollover_audit_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'rollover_audit is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE TRIGGER rollover_audit_chain BEFORE INSERT ON public.rollover_audit
  FOR EACH ROW EXECUTE FUNCTION public.rollover_audit_chain();
CREATE OR REPLACE TRIGGER rollover_audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON public.rollover_audit
  FOR EACH STATEMENT EXECUTE FUNCTION public.rollover_audit_refuse();

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['rollover_audit_writer', 'rollover_audit_reader'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
  END LOOP;
END $$;

REVOKE ALL ON public.rollover_audit FROM PUBLIC, rollover_audit_writer, rollover_audit_reader;
REVOKE ALL ON FUNCTION public.rollover_audit_chain(), public.rollover_audit_refuse() FROM PUBLIC;
GRANT INSERT (record) ON public.rollover_audit TO rollover_audit_writer;
GRANT SELECT ON public.rollover_audit TO rollover_audit_reader;

COMMIT;
