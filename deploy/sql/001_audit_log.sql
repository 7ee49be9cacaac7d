-- The audit log, the read side for lists, and where the projection stands.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

-- One row per record of the stream, for ever. epoch counts the lives of the stream: it changes when the
-- stream was made anew or lost its tail, because sequences are used again then.
--
-- Text columns are for people and filters: U+001A stands for what text cannot hold, and a long value is
-- cut. record is the exact bytes.
CREATE TABLE packet_events (
    seq       bigint      NOT NULL,
    at        timestamptz NOT NULL,
    event_id  uuid        NOT NULL,
    packet_id uuid        NOT NULL,
    epoch     integer     NOT NULL,
    shard     integer     NOT NULL,
    tenant    text        COLLATE "C" NOT NULL,
    type      text        COLLATE "C" NOT NULL,
    actor     text        COLLATE "C" NOT NULL,
    key_id    text        COLLATE "C" NOT NULL,
    details   text        COLLATE "C" NOT NULL, -- JSON, not jsonb: that refuses \u0000 and reorders
    record    bytea       NOT NULL,             -- packed PacketRecord
    PRIMARY KEY (shard, epoch, seq, at)
) PARTITION BY RANGE (at);

CREATE INDEX packet_events_history ON packet_events (tenant, packet_id, epoch, seq);
CREATE INDEX packet_events_newest  ON packet_events (tenant, at, seq);
CREATE INDEX packet_events_actor   ON packet_events (tenant, actor, at, seq);
CREATE INDEX packet_events_type    ON packet_events (tenant, type, at, seq);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON packet_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON packet_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Catches what no month was made for, so that nothing can be refused.
CREATE TABLE packet_events_default PARTITION OF packet_events DEFAULT;
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON packet_events_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Makes the partition of the month (UTC) that moment lies in. False: it exists, or the default
-- partition holds rows of that month already, which then stay there.
-- To give up an old month, on purpose: ALTER TABLE packet_events DETACH PARTITION ..., then DROP TABLE.
CREATE FUNCTION packet_events_make_month(moment timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    first_day timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
    low timestamptz := first_day AT TIME ZONE 'UTC';
    high timestamptz := (first_day + interval '1 month') AT TIME ZONE 'UTC';
    partition text := 'packet_events_' || to_char(first_day, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('packet_events_make_month'));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM packet_events_default WHERE at >= low AND at < high) THEN
        RETURN false;
    END IF;
    -- Attaching locks less than making it in place: readers go on.
    -- Vacuumed early, because counting a range is fast only where pages are known to be visible to all.
    EXECUTE format('CREATE TABLE %I (LIKE packet_events INCLUDING STORAGE INCLUDING COMPRESSION)'
                   ' WITH (autovacuum_vacuum_insert_scale_factor = 0.02)', partition);
    EXECUTE format('ALTER TABLE packet_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   partition, low, high);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', partition);
    RETURN true;
END
$$;

-- Every packet as it is now. A row only ever moves forward in (epoch, seq).
-- Room in the pages: a change of neither status nor target can stay in its page and spare the indexes.
CREATE TABLE packets (
    seq          bigint      NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    id           uuid        NOT NULL,
    epoch        integer     NOT NULL,
    shard        integer     NOT NULL,
    tenant       text        COLLATE "C" NOT NULL,
    status       text        COLLATE "C" NOT NULL,
    priority     text        COLLATE "C" NOT NULL,
    source_agent text        COLLATE "C" NOT NULL,
    target_agent text        COLLATE "C" NOT NULL,
    tags         text[]      COLLATE "C" NOT NULL,
    packet       bytea       NOT NULL, -- packed Packet
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);

-- Each filter can be walked in the order of the list, so a page never sorts what it does not show.
CREATE INDEX packets_newest   ON packets (tenant, created_at, id);
CREATE INDEX packets_status   ON packets (tenant, status, created_at, id);
CREATE INDEX packets_source   ON packets (tenant, source_agent, created_at, id);
CREATE INDEX packets_target   ON packets (tenant, target_agent, created_at, id);
CREATE INDEX packets_priority ON packets (tenant, priority, created_at, id);
-- A short pending list: merging it is a pause for the writer, and reading walks all of it.
CREATE INDEX packets_tags     ON packets USING gin (tags) WITH (gin_pending_list_limit = 512);

-- How many rows a tenant has, so that the total of a list without further filters costs nothing however
-- many there are. Kept in the transaction that changes them; by shard, so that no two writers meet.
CREATE TABLE event_counts (
    tenant text    COLLATE "C" NOT NULL,
    type   text    COLLATE "C" NOT NULL,
    shard  integer NOT NULL,
    n      bigint  NOT NULL,
    PRIMARY KEY (tenant, type, shard)
) WITH (fillfactor = 50);

CREATE TABLE packet_counts (
    tenant text    COLLATE "C" NOT NULL,
    status text    COLLATE "C" NOT NULL,
    shard  integer NOT NULL,
    n      bigint  NOT NULL,
    PRIMARY KEY (tenant, status, shard)
) WITH (fillfactor = 50);

-- How far each shard's stream is projected: the truth about it, not the stream's consumer.
CREATE TABLE projector (
    shard             integer     PRIMARY KEY,
    epoch             integer     NOT NULL,
    stream_created_at timestamptz NOT NULL,
    last_seq          bigint      NOT NULL,
    last_event_id     uuid,       -- null: nothing yet
    updated_at        timestamptz NOT NULL
) WITH (fillfactor = 10); -- one row, rewritten with every batch

-- Every epoch ever begun. fork_seq is the last sequence it shares with the epoch before; what that one
-- has above it is orphaned: acknowledged once, no longer in the stream.
CREATE TABLE projector_epochs (
    shard             integer     NOT NULL,
    epoch             integer     NOT NULL,
    fork_seq          bigint      NOT NULL,
    stream_created_at timestamptz NOT NULL,
    reason            text        NOT NULL,
    begun_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON projector_epochs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Orphaned rows are known by their place, so nothing has to be marked in an append-only table.
CREATE VIEW packet_events_orphaned AS
    SELECT e.* FROM packet_events e
    WHERE EXISTS (SELECT FROM projector_epochs n
                  WHERE n.shard = e.shard AND n.epoch > e.epoch AND n.fork_seq < e.seq);

-- Begins the epoch after expected (0: the first). Refuses when another process was faster.
CREATE FUNCTION projector_begin_epoch(for_shard integer, expected integer, created timestamptz,
                                      fork bigint, why text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    found integer;
BEGIN
    INSERT INTO projector VALUES (for_shard, 0, created, 0, NULL, now()) ON CONFLICT DO NOTHING;
    SELECT epoch INTO found FROM projector WHERE shard = for_shard FOR UPDATE;
    IF found <> expected THEN
        RAISE EXCEPTION 'shard % is in epoch %, not %', for_shard, found, expected
            USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO projector_epochs VALUES (for_shard, expected + 1, fork, created, why);
    UPDATE projector
       SET epoch = expected + 1, stream_created_at = created, last_seq = fork, updated_at = now(),
           last_event_id = (SELECT event_id FROM packet_events
                             WHERE shard = for_shard AND seq = fork AND epoch <= expected
                             ORDER BY epoch DESC LIMIT 1)
     WHERE shard = for_shard;
    RETURN expected + 1;
END
$$;

-- Values beyond 2 KB are compressed; lz4 costs a tenth of the default, where the server was built with it.
DO $$
BEGIN
    ALTER TABLE packet_events ALTER COLUMN record SET COMPRESSION lz4;
    ALTER TABLE packet_events_default ALTER COLUMN record SET COMPRESSION lz4;
    ALTER TABLE packets ALTER COLUMN packet SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
