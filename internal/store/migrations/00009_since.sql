-- When the state of a worker or an instance began; 0: not known.

-- +goose Up
ALTER TABLE workers ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE instances DROP COLUMN since;
ALTER TABLE workers DROP COLUMN since;
