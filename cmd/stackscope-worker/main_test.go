package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stackscope/stackscope/internal/base/command/helptest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stackscope-worker": main})
}

func TestScripts(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // not deferred: the scripts run in parallel, after this function
	_, takenPort, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"status":401,"title":"Unauthorized","detail":"joining needs the join token"}`))
	}))
	t.Cleanup(refusing.Close)
	attempts := make(chan struct{}, 100)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		attempts <- struct{}{}
		http.Error(w, "being repaired", http.StatusServiceUnavailable)
	}))
	t.Cleanup(failing.Close)
	manager := helptest.NewManager(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TAKEN_PORT", takenPort)
			env.Setenv("REFUSING", refusing.URL)
			env.Setenv("FAILING", failing.URL)
			env.Setenv("MANAGER", manager.Address)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"notified": manager.Notified,
			// attempts N waits until the failing server was asked N times.
			"attempts": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[0])
				ts.Check(err)
				for range n {
					select {
					case <-attempts:
					case <-time.After(20 * time.Second):
						ts.Fatalf("the server was not asked")
					}
				}
			},
		},
	})
}

// The worker is for machines whose memory belongs to models.
func TestWorkerLinksNoServer(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	for _, dep := range deps {
		for _, banned := range []string{
			"github.com/prometheus/prometheus/", "modernc.org/sqlite", "github.com/danielgtaylor/huma", "k8s.io/",
			"github.com/stackscope/stackscope/internal/server", "github.com/stackscope/stackscope/internal/store", "github.com/stackscope/stackscope/internal/api",
		} {
			if strings.HasPrefix(dep, banned) {
				t.Errorf("links %s", dep)
			}
		}
	}
	if len(deps) < 50 {
		t.Errorf("go list names only %d packages", len(deps))
	}
}
