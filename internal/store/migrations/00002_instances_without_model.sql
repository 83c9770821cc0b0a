-- A gateway has no model: its model_id is NULL. SQLite changes a column by way of a new table.

-- +goose Up
CREATE TABLE instances_new (
    id                 INTEGER PRIMARY KEY,
    model_id           INTEGER REFERENCES models (id) DEFERRABLE INITIALLY DEFERRED,
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
INSERT INTO instances_new SELECT id, model_id, worker_id, name, url, runtime, runtime_version, state, state_message, source,
    source_key, category, restart_count, last_restart_at FROM instances;
DROP TABLE instances;
ALTER TABLE instances_new RENAME TO instances;
CREATE INDEX instances_model_id ON instances (model_id);

-- +goose Down
DELETE FROM instances WHERE model_id IS NULL;
CREATE TABLE instances_old (
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
INSERT INTO instances_old SELECT id, model_id, worker_id, name, url, runtime, runtime_version, state, state_message, source,
    source_key, category, restart_count, last_restart_at FROM instances;
DROP TABLE instances;
ALTER TABLE instances_old RENAME TO instances;
CREATE INDEX instances_model_id ON instances (model_id);
