-- Ticks as they came, all containers of one together, until they are sealed.
CREATE TABLE recent (
    ts INTEGER PRIMARY KEY CHECK (ts BETWEEN 0 AND 549755813887),
    -- Rows one after another, in the order of container numbers: see packed.rs.
    data BLOB NOT NULL
) STRICT;

-- Spans of time whose ticks are sealed. They do not overlap.
CREATE TABLE spans (
    -- The first and the last timestamp.
    first INTEGER PRIMARY KEY CHECK (first BETWEEN 0 AND 549755813887),
    last INTEGER NOT NULL,
    -- Every timestamp, compressed.
    axis BLOB NOT NULL
) STRICT;

CREATE TABLE blocks (
    -- First timestamp of the span << 24 | container number: the blocks of a span stand together.
    key INTEGER PRIMARY KEY,
    -- The container's columns in this span, compressed.
    data BLOB NOT NULL
) STRICT;

-- What is kept of workloads when their samples are gone.
CREATE TABLE rollups (
    -- Workload number << 33 | 0 for minutes, 1 for five minutes << 32 | number of the page.
    key INTEGER PRIMARY KEY,
    -- Up to 60 buckets one after another: see rollups.rs.
    data BLOB NOT NULL
) STRICT;

CREATE TABLE rolled (
    -- Seconds a bucket.
    tier INTEGER PRIMARY KEY,
    -- The time up to which buckets are made.
    through INTEGER NOT NULL
) STRICT;
