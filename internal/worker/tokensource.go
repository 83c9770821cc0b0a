package worker

import (
	"errors"
	"log/slog"
	"os"

	"github.com/stackscope/stackscope/internal/base/secret"
)

// tokenSource is what a worker registers with. A file is read anew for each registration: the token in it may have been replaced.
type tokenSource struct {
	file   string // empty: the token is from elsewhere
	last   string // the last one that could be read
	fault  string // why it can't be read now
	logger *slog.Logger
}

func (j *tokenSource) current() string {
	if j.file == "" {
		return j.last
	}
	// A pipe has been read to its end at the start, and opening one may wait for ever.
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
			j.logger.Warn("token file can't be read; the worker registers with the token that it last held", "token_file", j.file, "error", err)
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

// refused logs that a server doesn't take the token of a worker that runs.
func (j *tokenSource) refused(reason string) {
	if j.file == "" {
		j.logger.Warn("server refuses this worker's join token; start the worker again with the right one, best in a file for --token-file, which is read again at each try", "error", reason)
		return
	}
	j.logger.Warn("server refuses this worker's join token; write the right one into the token file, which is read again at each try",
		"error", reason, "token_file", j.file, "at_most_every", lastSlowPause)
}
