-- One row, sealed with the key in use: a wrong key shows itself at open and not in the first deploy.
CREATE TABLE seal_check (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    sealed BLOB NOT NULL
) STRICT;
