package session

import (
	"errors"
	"log/slog"
	"os"

	"github.com/stackscope/stackscope/internal/base/secret"
)

// joinToken is the token that a worker registers with. Its file is read for each registration, because an operator may have replaced
// the token.
type joinToken struct {
	file   string // empty: the token came from elsewhere
	last   string // the last one that could be read
	fault  string // why the file cannot be read now
	logger *slog.Logger
}

func (j *joinToken) current() string {
	if j.file == "" {
		return j.last
	}
	// A pipe was read to its end at the start, and opening it again may block for ever.
	if info, err := os.Stat(j.file); err == nil && !info.Mode().IsRegular() {
		return j.last
	}
	text, err := secret.ReadFile(j.file)
	if err == nil && text == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		if err.Error() != j.fault {
			j.fault = err.Error()
			j.logger.Warn("token file cannot be read; the worker registers with the token that the file last held", "token_file", j.file, "error", err)
		}
		return j.last
	}
	if j.fault != "" {
		j.fault = ""
		j.logger.Info("token file can be read again", "token_file", j.file)
	}
	j.last = text
	return text
}

// logRefused logs that the server refuses the token of a worker that has registered before.
func (j *joinToken) logRefused(reason string) {
	if j.file == "" {
		j.logger.Warn("server refuses this worker's join token; restart the worker with the right one, best in a file for --token-file, which is read again at each attempt", "error", reason)
		return
	}
	j.logger.Warn("server refuses this worker's join token; write the right one into the token file, which is read again at each attempt",
		"error", reason, "token_file", j.file, "at_most_every", maxRefusedPause)
}
