-- The GPUs of a worker as it last reported them, a JSON array. A worker that says nothing of its GPUs has no row.

-- +goose Up
CREATE TABLE worker_gpus (
    worker_id INTEGER PRIMARY KEY REFERENCES workers (id) DEFERRABLE INITIALLY DEFERRED,
    gpus      TEXT    NOT NULL
);

-- +goose Down
DROP TABLE worker_gpus;
