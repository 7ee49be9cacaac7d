-- What became of webhooks' deliveries: the stream HR_DELIVERIES, read side. Nothing is decided here: the
-- stream is the truth, and this may be behind.

-- One row per delivery as it is now. A row only ever moves forward in (epoch, seq).
CREATE TABLE webhook_deliveries (
    seq        bigint      NOT NULL, -- in HR_DELIVERIES, of the record it was read from
    created_at timestamptz NOT NULL, -- of the event
    updated_at timestamptz NOT NULL,
    took_us    bigint      NOT NULL, -- the last attempt
    id         uuid        NOT NULL,
    hook_id    uuid        NOT NULL,
    epoch      integer     NOT NULL,
    attempts   integer     NOT NULL,
    tenant     text        COLLATE "C" NOT NULL,
    status     text        COLLATE "C" NOT NULL,
    delivery   bytea       NOT NULL, -- packed Delivery
    record     bytea       NOT NULL, -- packed DeliveryRecord
    PRIMARY KEY (tenant, hook_id, id)
) WITH (fillfactor = 80);

CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (tenant, hook_id, created_at, id);
CREATE INDEX webhook_deliveries_dead   ON webhook_deliveries (tenant, updated_at, id) WHERE status = 'dead_letter';
CREATE INDEX webhook_deliveries_recent ON webhook_deliveries (updated_at);

-- How far it has come. epoch counts the lives of the stream.
CREATE TABLE webhook_projector (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    epoch    integer NOT NULL,
    last_seq bigint  NOT NULL
);
INSERT INTO webhook_projector (epoch, last_seq) VALUES (0, 0);

-- Moves the place, and refuses the transaction when it is not where the writer takes it to be.
CREATE FUNCTION webhook_projector_move(from_epoch integer, from_seq bigint, to_epoch integer, to_seq bigint)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhook_projector SET epoch = to_epoch, last_seq = to_seq
        WHERE epoch = from_epoch AND last_seq = from_seq;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the place of the deliveries has moved' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;
