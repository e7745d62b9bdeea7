-- Every timestamp that was recorded. It is the axis along which samples are read.
CREATE TABLE ticks (
    ts INTEGER PRIMARY KEY CHECK (ts BETWEEN 0 AND 549755813887)
) STRICT;

CREATE TABLE containers (
    -- The lower 24 bits of its samples' keys. Given again only after the last of these samples is gone.
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 16777215),
    -- The engine's id.
    id TEXT NOT NULL,
    -- NULL once the workload was deleted: no reader sees it any more, and pruning frees its samples bit by bit.
    workload INTEGER REFERENCES workloads (number),
    name TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    -- NULL while it is in the newest tick, so that a tick costs no update for each of its containers.
    last_seen INTEGER
) STRICT;

CREATE UNIQUE INDEX containers_by_id ON containers (id) WHERE workload IS NOT NULL;
CREATE INDEX containers_by_workload ON containers (workload, number, first_seen, last_seen);

CREATE TABLE samples (
    -- ts << 24 | container number: new samples go to the end of the tree, and a tick's samples stand together.
    key INTEGER PRIMARY KEY,
    -- Thousandths of a percent; 100,000 is one fully used core.
    cpu INTEGER,
    memory_usage INTEGER,
    memory_limit INTEGER,
    network_rx INTEGER,
    network_tx INTEGER,
    block_read INTEGER,
    block_write INTEGER
) STRICT;
