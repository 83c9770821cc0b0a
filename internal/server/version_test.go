package server

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// A worker of a version too far from the server's joins, and the difference is told to itself and to everybody who asks.
func TestVersionsAreTold(t *testing.T) {
	var log programs.Buffer
	a := startForAccess(t, func(o *Options) {
		o.DisableBuiltinObservability, o.ownVersion = true, "0.4.0"
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	c, err := client.New(client.Options{BaseURL: a.URL(), Token: a.WorkerToken()})
	if err != nil {
		t.Fatal(err)
	}
	skews := map[string]string{"v0.2.0": "too_old", "0.3.9": "older", "0.4.0": "", "0.5.0-dev.7+gabcdef0": "newer", "1.0.0": "too_new", "dev": ""}
	for version := range skews {
		name := "version-" + strings.NewReplacer(".", "-", "+", "-").Replace(version)
		joined, err := c.Register(t.Context(), wire.RegisterRequest{UUID: name, Name: name, Address: "10.1.1.1", Version: version})
		if err != nil || joined.ServerVersion != "0.4.0" {
			t.Fatalf("%s: %+v, %v", version, joined, err)
		}
		answer, err := c.WithToken(joined.Credential).Report(t.Context(), joined.WorkerID, wire.ReportRequest{Instances: []wire.InstanceReport{}})
		if err != nil || answer.ServerVersion != "0.4.0" {
			t.Fatalf("%s: %+v, %v", version, answer, err)
		}
	}
	var list struct{ Items []wire.Worker }
	if err := json.Unmarshal([]byte(a.body(t, "/v2/workers")), &list); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, w := range list.Items {
		if want, ours := skews[w.Version]; ours && strings.HasPrefix(w.Name, "version-") {
			seen++
			if w.VersionSkew != want {
				t.Errorf("%s: %q, want %q", w.Version, w.VersionSkew, want)
			}
		}
	}
	if seen != len(skews) {
		t.Errorf("%d workers are listed: %+v", seen, list.Items)
	}
	var d wire.Doctor
	if err := json.Unmarshal([]byte(a.body(t, "/v2/doctor")), &d); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range d.Findings {
		if strings.HasPrefix(f.ID, "worker_") && strings.HasPrefix(f.Subject.Name, "version-") {
			found = append(found, f.ID+" "+f.Subject.Name)
		}
	}
	for _, want := range []string{"worker_version version-v0-2-0", "worker_version version-1-0-0", "worker_older version-0-3-9", "worker_newer version-0-5-0-dev-7-gabcdef0"} {
		if !slices.Contains(found, want) {
			t.Errorf("no %s in %q", want, found)
		}
	}
	if n := strings.Count(log.String(), "too far from the server's"); n != 2 {
		t.Errorf("%d lines in the log: %s", n, log.String())
	}
}

// body asks the API without a token.
func (a *accessServer) body(t *testing.T, path string) string {
	t.Helper()
	text, err := programs.Get(a.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
