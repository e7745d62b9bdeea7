CREATE TABLE deploys (
    -- The order of the ledger: clocks may jump, this does not.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    workload INTEGER NOT NULL REFERENCES workloads (number) ON DELETE CASCADE,
    source_kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested TEXT NOT NULL,
    pin_reference TEXT,
    pin_content TEXT,
    spec_revision INTEGER NOT NULL,
    outcome TEXT NOT NULL DEFAULT 'running',
    marker TEXT,
    triggered_by TEXT NOT NULL,
    note TEXT,
    rollback_of TEXT,
    current INTEGER NOT NULL DEFAULT 0 CHECK (current IN (0, 1)),
    strategy TEXT,
    idempotency_key TEXT,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    CHECK ((pin_reference IS NULL) = (pin_content IS NULL)),
    CHECK ((outcome = 'failed') = (marker IS NOT NULL)),
    CHECK ((outcome = 'running') = (finished_at IS NULL))
) STRICT;

CREATE INDEX deploys_by_workload ON deploys (workload, sequence);
CREATE UNIQUE INDEX deploys_running ON deploys (workload) WHERE outcome = 'running';
CREATE UNIQUE INDEX deploys_current ON deploys (workload) WHERE current = 1;
CREATE UNIQUE INDEX deploys_by_key ON deploys (workload, idempotency_key) WHERE idempotency_key IS NOT NULL;
