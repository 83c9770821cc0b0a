//go:build linux

package attack

import (
	"net/http"
	"syscall"
	"testing"
	"time"
)

// TestRest holds the harness itself: a server at rest answers others, takes little memory, and a change from its own user on its
// own machine passes.
func TestRest(t *testing.T) {
	s := serve(t)
	s.queryable(t)
	s.attack(t, func() {
		status, answer, err := s.send(http.MethodDelete, "/v2/metrics/config", "", nil)
		if err != nil || status != http.StatusOK {
			t.Errorf("the built-in mapping cannot be put in force from here: %d %s, %v", status, answer, err)
		}
		time.Sleep(time.Second)
	})
	s.Stop(syscall.SIGTERM)
	if code := s.ExitCode(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}
