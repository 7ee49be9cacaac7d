-- What lists beyond the plain one need: search, the queue of checkpoints, the tree of a chain.

ALTER TABLE packets
    ADD COLUMN parent_id uuid,
    ADD COLUMN due_at    timestamptz,                               -- of the checkpoint it waits at
    ADD COLUMN approvers bigint[] NOT NULL DEFAULT '{}',            -- hashes of who may answer; empty: anyone
    ADD COLUMN claim_us    bigint,                                  -- from its creation to its claim
    ADD COLUMN complete_us bigint;                                  -- and from there to its completion

CREATE INDEX packets_parent   ON packets (tenant, parent_id) WHERE parent_id IS NOT NULL;
-- With all that its filters ask, so that counting a long queue leaves the packets alone. An entry has to fit
-- into a third of a page: that is why approvers are hashes.
CREATE INDEX packets_awaiting ON packets (tenant, due_at, created_at, id) INCLUDE (priority, approvers)
    WHERE status = 'awaiting_human';

CREATE INDEX packets_waiting  ON packets (created_at) WHERE status = 'created';

-- What statistics are made of, kept by the writer like the counts themselves: nothing has to be gone
-- through when somebody asks.
ALTER TABLE packet_counts
    ADD COLUMN claims      bigint NOT NULL DEFAULT 0,  -- of those packets, how many have a claim_us
    ADD COLUMN claim_us    bigint NOT NULL DEFAULT 0,  -- and what theirs add up to
    ADD COLUMN completions bigint NOT NULL DEFAULT 0,
    ADD COLUMN complete_us bigint NOT NULL DEFAULT 0;

-- A packet counts once for its source and once for its target; active: it is with its target now.
CREATE TABLE agent_counts (
    tenant text    COLLATE "C" NOT NULL,
    agent  text    COLLATE "C" NOT NULL,
    shard  integer NOT NULL,
    n      bigint  NOT NULL,
    active bigint  NOT NULL,
    PRIMARY KEY (tenant, agent, shard)
) WITH (fillfactor = 50);

CREATE INDEX agent_counts_busiest ON agent_counts (tenant, n);

-- How many packets were created in each hour (UTC), so that those of a day need not be counted.
CREATE TABLE packet_hours (
    tenant text        COLLATE "C" NOT NULL,
    hour   timestamptz NOT NULL,
    shard  integer     NOT NULL,
    n      bigint      NOT NULL,
    PRIMARY KEY (tenant, hour, shard)
) WITH (fillfactor = 50);

-- Words without their accents where the server has the extension for it, and stemmed as English.
CREATE TEXT SEARCH CONFIGURATION handoffrail (COPY = english);
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS unaccent;
    ALTER TEXT SEARCH CONFIGURATION handoffrail
        ALTER MAPPING FOR hword, hword_part, word WITH unaccent, english_stem;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'search will tell accents apart: %', SQLERRM;
END
$$;

-- What is said of a packet, in three weights. A text too rich for one tsvector is cut until it fits: that
-- must never stop the projection.
CREATE FUNCTION packet_search(title text, reasons text, talk text) RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
DECLARE
    room integer := greatest(length(title), length(reasons), length(talk));
BEGIN
    LOOP
        BEGIN
            RETURN setweight(to_tsvector('handoffrail', left(title, room)), 'A')
                || setweight(to_tsvector('handoffrail', left(reasons, room)), 'B')
                || setweight(to_tsvector('handoffrail', left(talk, room)), 'D');
        EXCEPTION WHEN program_limit_exceeded THEN
            room := room / 4;
        END;
    END LOOP;
END
$$;

-- Apart from packets, so that a claim does not write the words anew. digest is of the text: most changes
-- leave it as it is. A row only ever moves forward in (epoch, seq).
CREATE TABLE packet_texts (
    seq    bigint   NOT NULL,
    id     uuid     NOT NULL,
    epoch  integer  NOT NULL,
    tenant text     COLLATE "C" NOT NULL,
    digest bytea    NOT NULL,
    words  tsvector NOT NULL,
    PRIMARY KEY (tenant, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX packet_texts_words ON packet_texts USING gin (words) WITH (gin_pending_list_limit = 4096);

-- Long texts are read whole to be weighed.
DO $$
BEGIN
    ALTER TABLE packet_texts ALTER COLUMN words SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
