package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/server"
)

// Bounds of queries that can't work are refused at the start, by the flag's name and with what to give.
func TestBoundsOfQueriesThatCantWork(t *testing.T) {
	t.Parallel()
	for want, q := range map[string]server.QueryOptions{
		"--builtin-prometheus-query-max-samples 0: give a number above 0":  {MaxConcurrency: 5, Timeout: time.Minute},
		"--builtin-prometheus-query-max-concurrency 0: give 5 or more":     {MaxSamples: 1, Timeout: time.Minute},
		"--builtin-prometheus-query-max-concurrency 4: give 5 or more":     {MaxSamples: 1, MaxConcurrency: 4, Timeout: time.Minute},
		"--builtin-prometheus-query-timeout 0s: give a time above 0, like": {MaxSamples: 1, MaxConcurrency: 5},
	} {
		o := server.DefaultOptions()
		o.DataDir, o.Queries = t.TempDir(), q
		if _, err := server.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want %q alone", q, err, want)
		}
	}
}
