package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/wire"
)

// workersServer answers as a server's API does about workers. Those with ids from 100 are not alive.
type workersServer struct {
	*httptest.Server
	workers []wire.Worker
	revoked []wire.RevokedWorker
	refuse  int // what reading the revoked ones is answered with; 0: the list
}

func newWorkersServer(t *testing.T) *workersServer {
	t.Helper()
	now := time.Now()
	s := &workersServer{workers: []wire.Worker{
		{ID: 3, ClusterID: 1, Name: "gpu-1", Address: "10.0.0.3", MetricsPort: 10151, State: "ready", Version: "1.2.3", LastReportAt: &now},
		{ID: 4, ClusterID: 2, Name: "gpu-1", Address: "2001:db8::4", MetricsPort: 10151, State: "ready", LastReportAt: &now},
		{ID: 5, ClusterID: 1, Name: "3", Address: "10.0.0.5", State: "not_ready"},
		{ID: 6, ClusterID: 1, Name: "5x", Address: "10.0.0.6", State: "not_ready"},
		{ID: 100, ClusterID: 1, Name: "old", Address: "10.0.0.100", State: "not_ready", StateMessage: "worker stopped"},
	}, revoked: []wire.RevokedWorker{
		{ID: 1, Name: "out", ClusterName: "lab", Address: "10.0.0.1", RevokedAt: now},
		{ID: 2, Name: "out", ClusterName: "default", Address: "10.0.0.2", RevokedAt: now},
		{ID: 7, Name: "other", ClusterName: "default", Address: "10.0.0.7", RevokedAt: now},
	}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) { _ = httpjson.Write(w, http.StatusOK, v) }
	mux.HandleFunc("GET /v2/clusters", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, wire.List[wire.Cluster]{Items: []wire.Cluster{{ID: 1, Name: "default"}, {ID: 2, Name: "lab"}}})
	})
	mux.HandleFunc("GET /v2/workers", func(w http.ResponseWriter, _ *http.Request) { answer(w, wire.List[wire.Worker]{Items: s.workers}) })
	mux.HandleFunc("GET /v2/revoked-workers", func(w http.ResponseWriter, _ *http.Request) {
		if s.refuse != 0 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="stackscope", error="invalid_token"`)
			_ = httpjson.WriteProblem(w, httpjson.Problem{Status: s.refuse, Detail: "refused"})
			return
		}
		answer(w, wire.List[wire.RevokedWorker]{Items: s.revoked})
	})
	mux.HandleFunc("DELETE /v2/workers/{id}", func(w http.ResponseWriter, r *http.Request) {
		for i, it := range s.workers {
			if id, _ := json.Marshal(it.ID); string(id) == r.PathValue("id") {
				s.workers = append(s.workers[:i:i], s.workers[i+1:]...)
				if it.ID < 100 {
					s.revoked = append(s.revoked, wire.RevokedWorker{ID: it.ID, Name: it.Name, RevokedAt: now})
				}
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		_ = httpjson.WriteProblem(w, httpjson.Problem{Status: http.StatusNotFound, Detail: "no such worker"})
	})
	mux.HandleFunc("DELETE /v2/revoked-workers/{id}", func(w http.ResponseWriter, r *http.Request) {
		for i, it := range s.revoked {
			if id, _ := json.Marshal(it.ID); string(id) == r.PathValue("id") {
				s.revoked = append(s.revoked[:i:i], s.revoked[i+1:]...)
				w.WriteHeader(http.StatusNoContent)
			}
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *workersServer) ids() (workers, revoked []int64) {
	for _, w := range s.workers {
		workers = append(workers, w.ID)
	}
	for _, w := range s.revoked {
		revoked = append(revoked, w.ID)
	}
	return workers, revoked
}

// runs runs a command and returns what it printed, with times that passed as TIME.
func runs(t *testing.T, cmd interface{ Run(*command.Env) error }) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	err = cmd.Run(&command.Env{Context: t.Context(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	passed := regexp.MustCompile(`\d+s ago`)
	var trimmed strings.Builder
	for line := range strings.Lines(out.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return passed.ReplaceAllString(trimmed.String(), "TIME"), errs.String(), err
}

func TestWorkerList(t *testing.T) {
	s := newWorkersServer(t)
	list := workerList{remote: remote{ServerURL: s.URL}}
	out, stderr, err := runs(t, &list)
	if err != nil || stderr != "" {
		t.Fatal(err, stderr)
	}
	const want = `ID   WORKER  CLUSTER  STATE      METRICS              VERSION  LAST REPORT  WHY
5    3       default  not_ready  10.0.0.5             -        never
6    5x      default  not_ready  10.0.0.6             -        never
3    gpu-1   default  ready      10.0.0.3:10151       1.2.3    TIME
100  old     default  not_ready  10.0.0.100           -        never        worker stopped
4    gpu-1   lab      ready      [2001:db8::4]:10151  -        TIME
7    other   default  revoked    10.0.0.7             -        -            removed TIME
2    out     default  revoked    10.0.0.2             -        -            removed TIME
1    out     lab      revoked    10.0.0.1             -        -            removed TIME

revoked: it was removed, and the server refuses it until ` + "`stackscope worker allow ID`\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	type listed struct {
		Workers []listedWorker        `json:"workers"`
		Revoked *[]wire.RevokedWorker `json:"revoked_workers"`
	}
	list.JSON = true
	decode := func() (l listed) {
		t.Helper()
		if out, stderr, err = runs(t, &list); err != nil || json.Unmarshal([]byte(out), &l) != nil {
			t.Fatal(err, out)
		}
		return l
	}
	if l := decode(); len(l.Workers) != 5 || l.Workers[4].ClusterName != "lab" || len(*l.Revoked) != 3 {
		t.Errorf("%+v", l)
	}
	// What only admins may see is absent, not empty.
	const notShown = "warning: revoked workers are not shown: "
	for _, c := range []struct {
		status      int
		token, want string
	}{
		{401, "", notShown + "only admins see them; give a copy of admin-token"},
		{401, "x", notShown + "read the inventory at " + s.URL + ": 401 Unauthorized: refused; the token of --token is not the right one"},
		{404, "", "warning: the server at " + s.URL + " is older and cannot revoke workers\n"},
	} {
		s.refuse, list.Token.Text = c.status, c.token
		if l := decode(); len(l.Workers) != 5 || l.Revoked != nil || !strings.HasPrefix(stderr, c.want) {
			t.Errorf("%d: %s%s", c.status, out, stderr)
		}
	}
	list.Token.Text = ""
	s.refuse = 500
	if _, _, err := runs(t, &list); err == nil {
		t.Error("a broken server is no reason to show less")
	}
	s.refuse, s.workers = 0, nil
	list.JSON = false
	if out, _, _ := runs(t, &list); strings.Contains(out, "none has joined") || !strings.Contains(out, "revoked") {
		t.Errorf("all are revoked: %s", out)
	}
	list.JSON, s.revoked = true, nil
	if decode(); out != `{"workers":[],"revoked_workers":[]}`+"\n" {
		t.Error(out)
	}
	list.JSON = false
	if out, _, _ := runs(t, &list); !strings.Contains(out, "none has joined: start one with `stackscope worker --server-url URL --token-file FILE`") || strings.Contains(out, "revoked") {
		t.Error(out)
	}
}

func TestWorkerRemoveAndAllow(t *testing.T) {
	for _, c := range []struct {
		name                 string
		remove               bool
		arg                  string
		json                 bool
		want                 []string // of what is printed, or of the error
		workers, revokedNext []int64  // nil: as before
	}{
		{"by id", true, "4", false, []string{"worker gpu-1 (id 4, cluster lab, [2001:db8::4]:10151) is removed. Its samples stay.\n", "revoked", "`stackscope worker allow 4`"}, []int64{3, 5, 6, 100}, []int64{1, 2, 7, 4}},
		{"by name, not alive", true, "old", false, []string{"worker old (id 100", "isn't revoked", "under a new id"}, []int64{3, 4, 5, 6}, nil},
		{"JSON", true, "4", true, []string{`{"id":4,"name":"gpu-1","cluster_name":"lab","kept_out":true}`}, []int64{3, 5, 6, 100}, []int64{1, 2, 7, 4}},
		{"of two clusters", true, "gpu-1", false, []string{"2 workers have the name gpu-1", "3: worker gpu-1 (id 3, cluster default, 10.0.0.3:10151)", "4: worker gpu-1 (id 4, cluster lab,"}, nil, nil},
		{"an id and a name", true, "3", false, []string{"3 is the id of worker gpu-1", "the name of another", "5: worker 3 (id 5"}, nil, nil},
		{"no id", true, "004", false, []string{"no worker has the id or the name 004"}, nil, nil},
		{"no id", true, "+4", false, []string{"no worker has the id or the name +4"}, nil, nil},
		{"nothing", true, "", false, []string{"the id or the name is empty"}, nil, nil},
		{"nothing", false, " ", false, []string{"the id or the name is empty"}, nil, nil},
		{"no id", false, "007", false, []string{"has the id or the name 007"}, nil, nil},
		{"nobody", true, "gpu", false, []string{"no worker has the id or the name gpu", "stackscope worker list"}, nil, nil},
		{"one that is out", true, "other", false, []string{"was removed", "already", "stackscope worker allow 7"}, nil, nil},
		{"by id", false, "2", false, []string{"worker out (id 2, cluster default, 10.0.0.2) may join again.\n", "new id"}, nil, []int64{1, 7}},
		{"by name", false, "other", false, []string{"worker other (id 7"}, nil, []int64{1, 2}},
		{"JSON", false, "other", true, []string{`{"id":7,"name":"other","cluster_name":"default","address":"10.0.0.7"`}, nil, []int64{1, 2}},
		{"several", false, "out", false, []string{"2 workers have the name out", "1: worker out (id 1, cluster lab, 10.0.0.1) removed ", "2: worker out (id 2"}, nil, nil},
		{"nobody", false, "gpu", false, []string{"no revoked worker has the id or the name gpu", "stackscope worker list"}, nil, nil},
		{"one that is in", false, "old", false, []string{"worker old (id 100", "isn't revoked", "not_ready", "never"}, nil, nil},
	} {
		s := newWorkersServer(t)
		workers, revoked := s.ids()
		var cmd interface{ Run(*command.Env) error } = &workerAllow{remote: remote{ServerURL: s.URL}, Worker: c.arg, JSON: c.json}
		if c.remove {
			cmd = &workerRemove{remote: remote{ServerURL: s.URL}, Worker: c.arg, JSON: c.json}
		}
		said, stderr, err := runs(t, cmd)
		if err != nil {
			said = err.Error()
		}
		for _, want := range c.want {
			if !strings.Contains(said, want) || stderr != "" {
				t.Errorf("%s: lacks %q: %s%s", c.name, want, said, stderr)
			}
		}
		if c.workers != nil {
			workers = c.workers
		}
		if c.revokedNext != nil {
			revoked = c.revokedNext
		}
		gotWorkers, gotRevoked := s.ids()
		if diff := cmp.Diff([][]int64{workers, revoked}, [][]int64{gotWorkers, gotRevoked}); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
		if (err != nil) != (c.workers == nil && c.revokedNext == nil) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

// An older server cannot revoke workers. Only an admin may allow a revoked worker.
func TestWorkerCommandsOnOtherServers(t *testing.T) {
	s := newWorkersServer(t)
	s.refuse = http.StatusNotFound
	out, _, err := runs(t, &workerRemove{remote: remote{ServerURL: s.URL}, Worker: "4"})
	if err != nil || !strings.Contains(out, "is older and cannot revoke workers") {
		t.Error(out, err)
	}
	if _, _, err := runs(t, &workerAllow{remote: remote{ServerURL: s.URL}, Worker: "4"}); err == nil || err.Error() != "the server at "+s.URL+" is older and cannot revoke workers" {
		t.Error(err)
	}
	// Too many wrong tokens came from here: who may not see them is shown the others all the same.
	s.refuse = http.StatusTooManyRequests
	if out, _, err := runs(t, &workerList{remote: remote{ServerURL: s.URL}}); err != nil || !strings.Contains(out, "ready") {
		t.Error(out, err)
	}
	s.refuse = http.StatusUnauthorized
	if _, _, err := runs(t, &workerAllow{remote: remote{ServerURL: s.URL}, Worker: "out"}); err == nil || !strings.Contains(err.Error(), "admin-token") {
		t.Error(err)
	}
}

func TestWhoIsAskedAbout(t *testing.T) {
	recent, old := time.Now().Add(-time.Minute), time.Now().Add(-time.Hour)
	for want, workers := range map[bool][]wire.Worker{
		true: {
			{State: "ready", RegisteredAt: old, LastReportAt: &old},
			{State: "not_ready", RegisteredAt: recent},
			{State: "not_ready", RegisteredAt: old, LastReportAt: &recent},
		},
		false: {
			{State: "not_ready", RegisteredAt: old},
			{State: "not_ready", RegisteredAt: old, LastReportAt: &old, StateMessage: "worker stopped reporting"},
			{State: "not_ready", RegisteredAt: recent, LastReportAt: &recent, StateMessage: "worker stopped"},
		},
	} {
		for _, w := range workers {
			if maybeAlive(&w) != want {
				t.Errorf("%+v: %t", w, !want)
			}
		}
	}
}

// The null device looks like a terminal, and nobody sits there.
func TestNobodyIsAtTheNullDevice(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !isDevice(null) {
		t.Skip("it doesn't look like one here")
	}
	for _, in := range []io.Reader{null, strings.NewReader("y\n")} {
		if atTerminal(&command.Env{Stdin: in, Stderr: null}) {
			t.Errorf("%T: somebody is asked", in)
		}
	}
}

// Who says no has made no mistake, and what comes after it must not be done.
func TestNothingIsRemoved(t *testing.T) {
	w := &listedWorker{wire.Worker{ID: 3, Name: "gpu-1", Address: "10.0.0.3", State: "ready"}, "lab"}
	for answer, want := range map[string]error{"y\n": nil, "n\n": command.ErrSaid, "": command.ErrSaid} {
		var out strings.Builder
		err := askToRemove(&command.Env{Context: t.Context(), Stdin: strings.NewReader(answer), Stderr: &out}, w)
		if !errors.Is(err, want) || strings.HasSuffix(out.String(), "nothing was removed\n") != (want != nil) || answer == "" && !strings.Contains(out.String(), "[y/N] \nnothing") {
			t.Errorf("%q: %v, %s", answer, err, out.String())
		}
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes \n": true, "y": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var out strings.Builder
		if got := confirm(t.Context(), strings.NewReader(answer), &out, "Sure? "); got != want || out.String() != "Sure? "+strings.Repeat("\n", 1-strings.Count(answer, "\n")) {
			t.Errorf("%q: %t, %q", answer, got, out.String())
		}
	}
	// An interrupt is no yes.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, w := io.Pipe()
	defer w.Close()
	if confirm(ctx, in, io.Discard, "Sure? ") {
		t.Error("an interrupt counts as yes")
	}
}
