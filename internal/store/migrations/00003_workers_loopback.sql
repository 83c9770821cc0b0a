-- Whether the worker's address is the server's own machine, which is allowed to workers that came from there. Those that were
-- there before go on.

-- +goose Up
ALTER TABLE workers ADD COLUMN loopback INTEGER NOT NULL DEFAULT 0;
UPDATE workers SET loopback = 1 WHERE address = '::1' OR address LIKE '127.%' OR rtrim(lower(address), '.') = 'localhost'
    OR rtrim(lower(address), '.') LIKE '%.localhost';

-- +goose Down
ALTER TABLE workers DROP COLUMN loopback;
