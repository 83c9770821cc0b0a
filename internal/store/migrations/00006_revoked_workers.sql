-- Workers that an operator removed while they were alive. They are not let in again until an operator says so.

-- +goose Up
CREATE TABLE revoked_workers (
    worker_id  INTEGER PRIMARY KEY, -- that it had
    uuid       TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    cluster    TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    revoked_at INTEGER NOT NULL
);

-- +goose Down
DROP TABLE revoked_workers;
