-- Temporary, for this branch only: the query branch's migration adds the column for good.
ALTER TABLE packets ADD COLUMN parent_id uuid GENERATED ALWAYS AS (
    CASE WHEN octet_length(packet) > 83 AND get_byte(packet, 45) = 26 AND get_byte(packet, 46) = 36
         THEN encode(substring(packet FROM 48 FOR 36), 'escape')::uuid END) STORED;
CREATE INDEX packets_parent ON packets (tenant, parent_id) WHERE parent_id IS NOT NULL;
