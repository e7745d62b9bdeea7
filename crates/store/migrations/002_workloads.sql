CREATE TABLE workloads (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- The newest spec; NULL for an observed workload.
    revision INTEGER CHECK (revision > 0),
    created_at TEXT NOT NULL
) STRICT;

-- A name is unique within its kind.
CREATE UNIQUE INDEX workloads_by_name ON workloads (name, (revision IS NULL));

CREATE TABLE specs (
    workload INTEGER NOT NULL REFERENCES workloads (number) ON DELETE CASCADE,
    revision INTEGER NOT NULL CHECK (revision > 0),
    -- The spec as JSON, sealed: it may hold literal environment values and arguments.
    sealed BLOB NOT NULL,
    PRIMARY KEY (workload, revision)
) STRICT, WITHOUT ROWID;
