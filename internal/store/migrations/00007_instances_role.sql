-- What an instance does where prefill and decode are separate instances; nothing: both. group_name is what its operator named the group,
-- upstreams are the addresses that a router passes requests to.

-- +goose Up
ALTER TABLE instances ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN group_name TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN upstreams TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE instances DROP COLUMN upstreams;
ALTER TABLE instances DROP COLUMN group_name;
ALTER TABLE instances DROP COLUMN role;
