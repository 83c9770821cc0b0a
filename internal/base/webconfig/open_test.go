package webconfig_test

import (
	"log/slog"
	"testing"

	"github.com/stackscope/stackscope/internal/base/webconfig"
)

// Load logs that a file without TLS and users leaves the ports open.
func TestFileThatProtectsNothing(t *testing.T) {
	for text, want := range map[string]int{
		"": 1, "http_server_config: {headers: {X-Frame-Options: deny}}\n": 1, withTLS: 0, users(t, "right"): 0,
	} {
		r := newRig(t, text)
		if _, err := webconfig.Load(r.path, slog.New(slog.NewTextHandler(&r.log, nil))); err != nil {
			t.Fatal(err)
		}
		if got := r.log.count("answer everybody"); got != want {
			t.Errorf("%q: logged %d times, want %d: %s", text, got, want, r.log.String())
		}
	}
}
