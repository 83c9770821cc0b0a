-- How a worker's metrics are served: https, or nothing for http.

-- +goose Up
ALTER TABLE workers ADD COLUMN metrics_scheme TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE workers DROP COLUMN metrics_scheme;
