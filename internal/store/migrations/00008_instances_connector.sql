-- What passes the KV cache between prefill and decode instances, as the runtime names it.

-- +goose Up
ALTER TABLE instances ADD COLUMN connector TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE instances DROP COLUMN connector;
