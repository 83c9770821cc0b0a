-- Times are milliseconds since 1970 UTC; 0 is never. Foreign keys are checked at commit, because rows are replaced by
-- deleting and inserting them within one transaction.

-- +goose Up
CREATE TABLE id_sequences (
    kind               TEXT    NOT NULL PRIMARY KEY,
    last_id            INTEGER NOT NULL
);
INSERT INTO id_sequences (kind, last_id) VALUES ('cluster', 0), ('worker', 0), ('model', 0), ('instance', 0);

CREATE TABLE clusters (
    id                 INTEGER PRIMARY KEY,
    name               TEXT    NOT NULL UNIQUE,
    provider           TEXT    NOT NULL,
    state              TEXT    NOT NULL
);

CREATE TABLE workers (
    id                 INTEGER PRIMARY KEY,
    cluster_id         INTEGER NOT NULL REFERENCES clusters (id) DEFERRABLE INITIALLY DEFERRED,
    uuid               TEXT    NOT NULL UNIQUE,
    name               TEXT    NOT NULL,
    address            TEXT    NOT NULL,
    metrics_port       INTEGER NOT NULL,
    proxy_mode         TEXT    NOT NULL,
    state              TEXT    NOT NULL,
    labels             TEXT    NOT NULL, -- JSON object
    version            TEXT    NOT NULL,
    registered_at      INTEGER NOT NULL,
    credential_hash    TEXT    NOT NULL, -- SHA-256, hexadecimal
    UNIQUE (cluster_id, name)
);

-- Apart from workers and narrow, because all its rows are rewritten every minute.
CREATE TABLE worker_heartbeats (
    worker_id          INTEGER PRIMARY KEY REFERENCES workers (id) DEFERRABLE INITIALLY DEFERRED,
    last_report_at     INTEGER NOT NULL,
    applied_generation INTEGER NOT NULL
);

CREATE TABLE models (
    id                 INTEGER PRIMARY KEY,
    cluster_id         INTEGER NOT NULL REFERENCES clusters (id) DEFERRABLE INITIALLY DEFERRED,
    name               TEXT    NOT NULL,
    runtime            TEXT    NOT NULL,
    runtime_version    TEXT    NOT NULL,
    source             TEXT    NOT NULL,
    source_key         TEXT    NOT NULL,
    category           TEXT    NOT NULL,
    empty_since        INTEGER NOT NULL,
    UNIQUE (cluster_id, name)
);

-- What the worker last said about the instance.
CREATE TABLE instances (
    id                 INTEGER PRIMARY KEY,
    model_id           INTEGER NOT NULL REFERENCES models (id) DEFERRABLE INITIALLY DEFERRED,
    worker_id          INTEGER NOT NULL REFERENCES workers (id) DEFERRABLE INITIALLY DEFERRED,
    name               TEXT    NOT NULL,
    url                TEXT    NOT NULL,
    runtime            TEXT    NOT NULL,
    runtime_version    TEXT    NOT NULL,
    state              TEXT    NOT NULL,
    state_message      TEXT    NOT NULL,
    source             TEXT    NOT NULL,
    source_key         TEXT    NOT NULL,
    category           TEXT    NOT NULL,
    restart_count      INTEGER NOT NULL,
    last_restart_at    INTEGER NOT NULL,
    UNIQUE (worker_id, name)
);
CREATE INDEX instances_model_id ON instances (model_id);

-- Append only; the newest row is the mapping in force. Numbers are never given twice, because the newest row stays.
CREATE TABLE mapping_generations (
    number             INTEGER PRIMARY KEY,
    created_at         INTEGER NOT NULL,
    document           TEXT    -- canonical JSON; NULL is the built-in default
);

-- +goose Down
DROP TABLE mapping_generations;
DROP TABLE instances;
DROP TABLE models;
DROP TABLE worker_heartbeats;
DROP TABLE workers;
DROP TABLE clusters;
DROP TABLE id_sequences;
