-- When a worker said that it stops; 0: it didn't, or joined again since.

-- +goose Up
ALTER TABLE workers ADD COLUMN left_at INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE workers DROP COLUMN left_at;
