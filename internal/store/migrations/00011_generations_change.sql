-- Who made a generation of the mapping, why, and of which generation it has the document again; NULL: of none.

-- +goose Up
ALTER TABLE mapping_generations ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE mapping_generations ADD COLUMN comment TEXT NOT NULL DEFAULT '';
ALTER TABLE mapping_generations ADD COLUMN restored_from INTEGER;

-- +goose Down
ALTER TABLE mapping_generations DROP COLUMN restored_from;
ALTER TABLE mapping_generations DROP COLUMN comment;
ALTER TABLE mapping_generations DROP COLUMN author;
