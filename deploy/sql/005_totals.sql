-- How many of the events that are counted put a packet before a human: the total of checkpoints, as the
-- metrics show it. What came before this migration is not counted.
ALTER TABLE event_counts ADD COLUMN asked bigint NOT NULL DEFAULT 0;
