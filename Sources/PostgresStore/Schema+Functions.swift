/// What a write does, in the server: one statement, so one round trip and one transaction, with its plans kept by the server's session. That is what
/// prepared statements are for, and it works through a pooler too.
///
/// Every write begins with `begin_write`: the token of the write is put into the row of its owner, in the same transaction. A write whose answer was
/// lost is sent again with its token, and waits there for the one that may still be at work; a token that is there already means that it was done.
extension Schema {
  static let functions = beginWrite + commitAppends + otherWrites

  /// Answers NULL when the write is to be done now, else what it answered when it was done (empty: the usual).
  private static let beginWrite = """
    CREATE FUNCTION footbridge.begin_write_1(p_owner bigint, p_machine text, p_process bigint, p_start bigint, p_batch bigint)
    RETURNS bigint[] LANGUAGE plpgsql AS $$
    DECLARE
      row_found footbridge.owners%ROWTYPE;
    BEGIN
      -- A result is durable before it is acknowledged, whatever the role or the database are set to.
      IF current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
      UPDATE footbridge.owners SET batch = p_batch, results = NULL, beat = clock_timestamp() WHERE number = p_owner AND batch < p_batch;
      IF FOUND THEN RETURN NULL; END IF;
      SELECT * INTO row_found FROM footbridge.owners WHERE number = p_owner FOR UPDATE;
      IF FOUND THEN
        IF row_found.batch = p_batch THEN RETURN coalesce(row_found.results, '{}'); END IF;
        RAISE EXCEPTION 'a write came late' USING ERRCODE = 'FB001';
      END IF;
      INSERT INTO footbridge.owners (number, batch, beat, machine, process, process_start)
        VALUES (p_owner, p_batch, clock_timestamp(), p_machine, p_process, p_start);
      DELETE FROM footbridge.owners WHERE number IN (
        SELECT number FROM footbridge.owners WHERE beat < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED);
      RETURN NULL;
    END $$;

    """

  /// Answers one number an append: 0 appended, 1 conflict, 2 the key is taken, 3 missing. An append without a run is documents alone; one that
  /// ends where it begins is a check. Those of one group are made all or none.
  private static let commitAppends = """
    CREATE FUNCTION footbridge.append_1(
      p_owner bigint, p_machine text, p_process bigint, p_start bigint, p_batch bigint,
      p_runs uuid[], p_expected bigint[], p_expected_epoch bigint[], p_status text[], p_ended text[], p_position bigint[], p_sequence bigint[],
      p_driver bigint[],
      p_epoch bigint[], p_updated bigint[], p_created bigint[], p_parent uuid[], p_session uuid[], p_agent bytea[], p_key bytea[], p_metadata bytea[],
      p_group bigint[],
      r_append bigint[], r_position bigint[], r_sequence bigint[], r_type text[], r_event bytea[], r_hidden bytea[],
      b_append bigint[], b_id uuid[], b_type text[], b_bytes bigint[], c_append bigint[], c_blob uuid[], c_start bigint[], c_data bytea[],
      u_append bigint[], u_blob uuid[],
      d_append bigint[], d_kind text[], d_id bytea[], d_expected bigint[], d_updated bigint[], d_json bytea[])
    RETURNS bigint[] LANGUAGE plpgsql AS $$
    DECLARE
      outcomes bigint[] := footbridge.begin_write_1(p_owner, p_machine, p_process, p_start, p_batch);
      outcome bigint;
      are_all_appended bool := true;
      refused bigint[] := '{}';
      a record;
      d record;
    BEGIN
      IF outcomes = '{}' THEN RETURN array_fill(0::bigint, ARRAY[cardinality(p_runs)]); END IF;
      IF outcomes IS NOT NULL THEN RETURN outcomes; END IF;
      outcomes := array_fill(0::bigint, ARRAY[cardinality(p_runs)]);
      -- In one order for everybody, so that no two transactions wait for each other.
      IF cardinality(p_runs) > 1 THEN
        PERFORM FROM footbridge.runs WHERE run_id = ANY (p_runs) ORDER BY run_id FOR UPDATE;
      END IF;
      -- Groups of which something cannot be made. The rows are locked, so this holds; but for those that are not there yet.
      IF array_length(array_remove(p_group, NULL), 1) > 0 THEN
        refused := ARRAY(
          SELECT DISTINCT t.grp
            FROM unnest(p_runs, p_expected, p_expected_epoch, p_epoch, p_key, p_group) WITH ORDINALITY
              AS t (run, expected, expected_epoch, epoch, key, grp, n)
            LEFT JOIN footbridge.runs r ON r.run_id = t.run
            WHERE t.grp IS NOT NULL AND (
              CASE WHEN t.expected > 0 THEN r.run_id IS NULL OR r.last_position <> t.expected OR r.epoch > t.epoch
                  OR r.epoch <> coalesce(t.expected_epoch, r.epoch)
                ELSE r.run_id IS NOT NULL OR EXISTS (
                  SELECT FROM footbridge.runs k WHERE sha256(k.idempotency_key) = sha256(t.key) AND k.idempotency_key = t.key) END
              OR EXISTS (
                SELECT FROM unnest(d_append, d_kind, d_id, d_expected) AS w (append, kind, id, expected)
                  LEFT JOIN footbridge.documents o ON o.kind = w.kind AND o.id = w.id
                  WHERE w.append = t.n AND coalesce(o.version, 0) <> w.expected)));
      END IF;
      FOR a IN
        SELECT * FROM unnest(
          p_runs, p_expected, p_expected_epoch, p_status, p_ended, p_position, p_sequence, p_driver, p_epoch, p_updated, p_created, p_parent, p_session,
          p_agent, p_key, p_metadata, p_group) WITH ORDINALITY
          AS t (run, expected, expected_epoch, status, ended, pos, seq, driver, epoch, updated, created, parent, session, agent, key, metadata, grp, n)
      LOOP
        outcome := 0;
        IF a.grp = ANY (refused) THEN
          outcomes[a.n] := CASE WHEN a.expected > 0 AND NOT EXISTS (SELECT FROM footbridge.runs WHERE run_id = a.run) THEN 3 ELSE 1 END;
          are_all_appended := false;
          CONTINUE;
        END IF;
        IF a.n = ANY (d_append) THEN
          PERFORM FROM unnest(d_append, d_kind, d_id, d_expected) AS t (append, kind, id, expected)
            LEFT JOIN footbridge.documents o ON o.kind = t.kind AND o.id = t.id
            WHERE t.append = a.n AND coalesce(o.version, 0) <> t.expected;
          IF FOUND THEN outcome := 1; END IF;
        END IF;
        IF outcome = 0 AND a.run IS NOT NULL THEN
          IF a.pos = a.expected THEN
            PERFORM FROM footbridge.runs
              WHERE run_id = a.run AND last_position = a.expected AND epoch = coalesce(a.expected_epoch, epoch);
            IF NOT FOUND THEN
              outcome := CASE WHEN EXISTS (SELECT FROM footbridge.runs WHERE run_id = a.run) THEN 1 ELSE 3 END;
            END IF;
          ELSIF a.expected > 0 THEN
            UPDATE footbridge.runs SET status = a.status, ended = a.ended, last_position = a.pos, last_sequence = a.seq, owner = a.driver,
              epoch = a.epoch, updated_at = a.updated
              WHERE run_id = a.run AND last_position = a.expected AND epoch = coalesce(a.expected_epoch, epoch) AND epoch <= a.epoch;
            IF NOT FOUND THEN
              outcome := CASE WHEN EXISTS (SELECT FROM footbridge.runs WHERE run_id = a.run) THEN 1 ELSE 3 END;
            END IF;
          ELSE
            INSERT INTO footbridge.runs (run_id, status, ended, last_position, last_sequence, owner, epoch, updated_at, created_at, parent_run_id,
              session_id, agent_id, idempotency_key, metadata)
              VALUES (a.run, a.status, a.ended, a.pos, a.seq, a.driver, a.epoch, a.updated, a.created, a.parent, a.session, a.agent, a.key, a.metadata)
              ON CONFLICT DO NOTHING;
            IF NOT FOUND THEN
              outcome := CASE WHEN EXISTS (SELECT FROM footbridge.runs WHERE run_id = a.run) THEN 1 ELSE 2 END;
            END IF;
          END IF;
        END IF;
        IF outcome = 0 AND a.n = ANY (d_append) THEN
          FOR d IN
            SELECT * FROM unnest(d_append, d_kind, d_id, d_expected, d_updated, d_json) AS t (append, kind, id, expected, updated, json)
            WHERE t.append = a.n
          LOOP
            IF d.json IS NULL THEN
              CONTINUE WHEN d.expected = 0;
              DELETE FROM footbridge.documents WHERE kind = d.kind AND id = d.id AND version = d.expected;
            ELSIF d.expected = 0 THEN
              INSERT INTO footbridge.documents (kind, id, version, updated_at, json) VALUES (d.kind, d.id, 1, d.updated, d.json)
                ON CONFLICT DO NOTHING;
            ELSE
              UPDATE footbridge.documents SET version = d.expected + 1, updated_at = d.updated, json = d.json
                WHERE kind = d.kind AND id = d.id AND version = d.expected;
            END IF;
            -- Somebody was faster since we looked: all of it once more.
            IF NOT FOUND THEN RAISE EXCEPTION 'a document changed meanwhile' USING ERRCODE = 'serialization_failure'; END IF;
          END LOOP;
        END IF;
        IF outcome <> 0 AND a.grp IS NOT NULL THEN
          -- Somebody was faster since we looked: all of it once more.
          RAISE EXCEPTION 'a run came meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
        IF outcome <> 0 THEN
          outcomes[a.n] := outcome;
          are_all_appended := false;
        END IF;
      END LOOP;
      INSERT INTO footbridge.log (run_id, position, sequence, type, event, hidden)
        SELECT p_runs[append], pos, seq, type, event, hidden
        FROM unnest(r_append, r_position, r_sequence, r_type, r_event, r_hidden) AS t (append, pos, seq, type, event, hidden)
        WHERE outcomes[append] = 0;
      IF cardinality(b_append) > 0 THEN
        INSERT INTO footbridge.blobs (id, type, bytes, complete)
          SELECT id, type, bytes, true FROM unnest(b_append, b_id, b_type, b_bytes) AS t (append, id, type, bytes) WHERE outcomes[append] = 0;
        INSERT INTO footbridge.blob_chunks (blob_id, start, data)
          SELECT blob, start, data FROM unnest(c_append, c_blob, c_start, c_data) AS t (append, blob, start, data) WHERE outcomes[append] = 0;
      END IF;
      IF cardinality(u_append) > 0 THEN
        -- Locked, so that the blob is not just being deleted with its last run.
        PERFORM FROM footbridge.blobs WHERE id = ANY (u_blob) ORDER BY id FOR UPDATE;
        INSERT INTO footbridge.blob_uses (run_id, blob_id)
          SELECT p_runs[append], blob FROM unnest(u_append, u_blob) AS t (append, blob)
          WHERE outcomes[append] = 0 AND EXISTS (SELECT FROM footbridge.blobs WHERE id = blob)
          ON CONFLICT DO NOTHING;
      END IF;
      IF NOT are_all_appended THEN
        UPDATE footbridge.owners o SET results = outcomes WHERE number = p_owner;
      END IF;
      RETURN outcomes;
    END $$;

    """

  /// What a client builds is cleared up when no run has named it for long. Of what was there before, nothing says whether a log names it: it stays.
  static let looseBlobs = """
    ALTER TABLE footbridge.blobs ADD COLUMN loose_since timestamptz;
    CREATE INDEX loose_blobs ON footbridge.blobs (loose_since) WHERE loose_since IS NOT NULL;
    CREATE FUNCTION footbridge.append_to_blob_2(
      p_owner bigint, p_machine text, p_process bigint, p_start bigint, p_batch bigint, p_id uuid, p_type text, p_starts bigint[], p_data bytea[],
      p_bytes bigint, p_last bigint)
    RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      results bigint[] := footbridge.begin_write_1(p_owner, p_machine, p_process, p_start, p_batch);
      size bigint;
      was_complete bool;
    BEGIN
      IF results IS NOT NULL THEN RETURN results[1]; END IF;
      INSERT INTO footbridge.blobs (id, type, bytes, complete, loose_since) VALUES (p_id, p_type, 0, false, now()) ON CONFLICT DO NOTHING;
      SELECT bytes, complete INTO size, was_complete FROM footbridge.blobs WHERE id = p_id FOR UPDATE;
      IF was_complete THEN RETURN NULL; END IF;
      INSERT INTO footbridge.blob_chunks (blob_id, start, data)
        SELECT p_id, size + start, data FROM unnest(p_starts, p_data) AS t (start, data);
      size := size + p_bytes;
      UPDATE footbridge.blobs SET bytes = size, complete = p_last <> 0 WHERE id = p_id;
      UPDATE footbridge.owners o SET results = ARRAY[size] WHERE number = p_owner;
      RETURN size;
    END $$;
    CREATE FUNCTION footbridge.remove_loose_blobs_1(p_owner bigint, p_machine text, p_process bigint, p_start bigint, p_batch bigint, p_seconds bigint)
    RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      old uuid[];
      loose uuid[];
    BEGIN
      IF footbridge.begin_write_1(p_owner, p_machine, p_process, p_start, p_batch) IS NOT NULL THEN RETURN 0; END IF;
      -- Locked, so that no run names one meanwhile.
      old := ARRAY(SELECT id FROM footbridge.blobs WHERE loose_since < now() - make_interval(secs => p_seconds) LIMIT 1000 FOR UPDATE SKIP LOCKED);
      loose := ARRAY(SELECT id FROM unnest(old) AS t (id) WHERE NOT EXISTS (SELECT FROM footbridge.blob_uses WHERE blob_id = id));
      DELETE FROM footbridge.blob_chunks WHERE blob_id = ANY (loose);
      DELETE FROM footbridge.blobs WHERE id = ANY (loose);
      UPDATE footbridge.blobs SET loose_since = NULL WHERE id = ANY (old);
      RETURN cardinality(old);
    END $$;

    """

  private static let otherWrites = """
    CREATE FUNCTION footbridge.append_to_blob_1(
      p_owner bigint, p_machine text, p_process bigint, p_start bigint, p_batch bigint, p_id uuid, p_type text, p_starts bigint[], p_data bytea[],
      p_bytes bigint, p_last bigint)
    RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      results bigint[] := footbridge.begin_write_1(p_owner, p_machine, p_process, p_start, p_batch);
      size bigint;
      was_complete bool;
    BEGIN
      IF results IS NOT NULL THEN RETURN results[1]; END IF;
      INSERT INTO footbridge.blobs (id, type, bytes, complete) VALUES (p_id, p_type, 0, false) ON CONFLICT DO NOTHING;
      SELECT bytes, complete INTO size, was_complete FROM footbridge.blobs WHERE id = p_id FOR UPDATE;
      IF was_complete THEN RETURN NULL; END IF;
      INSERT INTO footbridge.blob_chunks (blob_id, start, data)
        SELECT p_id, size + start, data FROM unnest(p_starts, p_data) AS t (start, data);
      size := size + p_bytes;
      UPDATE footbridge.blobs SET bytes = size, complete = p_last <> 0 WHERE id = p_id;
      UPDATE footbridge.owners o SET results = ARRAY[size] WHERE number = p_owner;
      RETURN size;
    END $$;
    CREATE FUNCTION footbridge.delete_1(p_owner bigint, p_machine text, p_process bigint, p_start bigint, p_batch bigint, p_run uuid)
    RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
      used uuid[];
    BEGIN
      IF footbridge.begin_write_1(p_owner, p_machine, p_process, p_start, p_batch) IS NOT NULL THEN RETURN; END IF;
      DELETE FROM footbridge.runs WHERE run_id = p_run;
      DELETE FROM footbridge.log WHERE run_id = p_run;
      used := ARRAY(SELECT blob_id FROM footbridge.blob_uses WHERE run_id = p_run);
      PERFORM FROM footbridge.blobs WHERE id = ANY (used) ORDER BY id FOR UPDATE;
      DELETE FROM footbridge.blob_uses WHERE run_id = p_run;
      used := ARRAY(SELECT id FROM unnest(used) AS t (id) WHERE NOT EXISTS (SELECT FROM footbridge.blob_uses WHERE blob_id = id));
      DELETE FROM footbridge.blob_chunks WHERE blob_id = ANY (used);
      DELETE FROM footbridge.blobs WHERE id = ANY (used);
    END $$;
    CREATE FUNCTION footbridge.observe_1(
      p_owner bigint, p_machine text, p_process bigint, p_start bigint, p_batch bigint, p_runs uuid[])
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM footbridge.begin_write_1(p_owner, p_machine, p_process, p_start, p_batch);
      DELETE FROM footbridge.observers WHERE owner = p_owner AND run_id <> ALL (p_runs);
      DELETE FROM footbridge.observers o WHERE NOT EXISTS (SELECT FROM footbridge.owners WHERE number = o.owner);
      INSERT INTO footbridge.observers (run_id, owner) SELECT run, p_owner FROM unnest(p_runs) AS t (run) ON CONFLICT DO NOTHING;
    END $$;
    CREATE FUNCTION footbridge.publish_1(p_owner bigint, p_runs uuid[], p_after bigint[], p_events bytea[])
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      -- Not worth waiting for the disk.
      PERFORM set_config('synchronous_commit', 'off', true);
      DELETE FROM footbridge.live_text WHERE number < (extract(epoch FROM clock_timestamp()) - 10) * 1000000;
      -- The time in microseconds, and so growing over restarts of the server, which empty the table.
      INSERT INTO footbridge.live_text (run_id, number, owner, after, event)
        SELECT run, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + n, p_owner, after, event
        FROM unnest(p_runs, p_after, p_events) WITH ORDINALITY AS t (run, after, event, n);
    END $$;

    """
}
