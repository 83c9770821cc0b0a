package store

// Checkpoint is what Run does each minute.
var Checkpoint = (*Store).checkpoint
