package fleet

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// RevokedWorker is a worker that an operator removed while it was alive. No worker with its UUID may join until an operator allows it.
type RevokedWorker struct {
	ID        int64 // that the worker had; no other gets it
	UUID      string
	Name      string
	Cluster   string // its name
	Address   string
	RevokedAt time.Time
}

// Errors about revoked workers.
var (
	// ErrRevoked: an operator removed the worker of that UUID.
	ErrRevoked = errors.New("worker was removed")
	// ErrRevokedFull: as many workers are revoked as may be.
	ErrRevokedFull = errors.New("too many workers are revoked")
)

// plainName reports whether a worker's name can be given on a command line as it is, and isn't taken for an id.
func plainName(s string) bool {
	const others = "0123456789._-"
	letter := func(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
	return s != "" && s[0] != '-' && strings.ContainsFunc(s, letter) &&
		!strings.ContainsFunc(s, func(c rune) bool { return !letter(c) && !strings.ContainsRune(others, c) })
}

// ShownName is a worker's name for a sentence: in quotes where it isn't plain.
func ShownName(s string) string {
	if plainName(s) {
		return s
	}
	return strconv.Quote(s)
}
