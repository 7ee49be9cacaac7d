-- Tamper evidence: every row of a tenant carries a keyed hash of itself and of the row before, and rows
-- that stand beside a record. broker/packet/seal.h says what is hashed.

-- part counts the rows of one record: 0 is the record itself; the others are derived from it, have another
-- packet_id and no record. number counts the rows of a chain: a tenant's rows of one shard, in the order
-- (epoch, seq, part). Rows from before this migration have the number 0 and no hash.
ALTER TABLE packet_events
    ADD COLUMN number  bigint   NOT NULL DEFAULT 0,
    ADD COLUMN part    smallint NOT NULL DEFAULT 0,
    ADD COLUMN mac_key smallint NOT NULL DEFAULT 0, -- number of the key
    ADD COLUMN mac     bytea    NOT NULL DEFAULT '';

ALTER TABLE packet_events DROP CONSTRAINT packet_events_pkey;
ALTER TABLE packet_events ADD PRIMARY KEY (shard, epoch, seq, part, at);

-- One tenant's log in the order of its chain: for the export.
CREATE INDEX packet_events_chain ON packet_events (tenant, shard, epoch, seq, part);

CREATE OR REPLACE VIEW packet_events_orphaned AS
    SELECT e.* FROM packet_events e
    WHERE EXISTS (SELECT FROM projector_epochs n
                  WHERE n.shard = e.shard AND n.epoch > e.epoch AND n.fork_seq < e.seq);

-- The last row of each chain. announced: the number in the newest signed head that was published.
CREATE TABLE audit_chains (
    number    bigint   NOT NULL,
    seq       bigint   NOT NULL,
    announced bigint   NOT NULL DEFAULT 0,
    shard     integer  NOT NULL,
    epoch     integer  NOT NULL,
    part      smallint NOT NULL,
    mac_key   smallint NOT NULL,
    tenant    text     COLLATE "C" NOT NULL,
    mac       bytea    NOT NULL,
    PRIMARY KEY (tenant, shard)
) WITH (fillfactor = 50);

-- Locks the place until the commit, and refuses the transaction unless the place and the chains it goes on
-- from are what the writer thinks they are: whoever knows less than what is stored writes nothing, so no
-- chain can fork, however many write. A chain that does not exist has the number 0 and no mac.
CREATE FUNCTION projector_guard(for_shard integer, for_epoch integer, expected bigint,
                                tenants text[], numbers bigint[], macs bytea[])
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stored bigint;
BEGIN
    SELECT last_seq INTO stored FROM projector WHERE shard = for_shard AND epoch = for_epoch FOR UPDATE;
    IF stored IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'shard % is at %, not %, of epoch %', for_shard, stored, expected, for_epoch
            USING ERRCODE = 'serialization_failure';
    END IF;
    IF EXISTS (SELECT FROM unnest(tenants, numbers, macs) AS e (tenant, number, mac)
               LEFT JOIN audit_chains c ON c.tenant = e.tenant AND c.shard = for_shard
               WHERE coalesce(c.number, 0) <> e.number OR coalesce(c.mac, '') <> e.mac) THEN
        RAISE EXCEPTION 'a chain is not where it should be' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;

-- As before, but of the rows at the fork it takes the record's own.
CREATE OR REPLACE FUNCTION projector_begin_epoch(for_shard integer, expected integer, created timestamptz,
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
                             WHERE shard = for_shard AND seq = fork AND part = 0 AND epoch <= expected
                             ORDER BY epoch DESC LIMIT 1)
     WHERE shard = for_shard;
    RETURN expected + 1;
END
$$;
