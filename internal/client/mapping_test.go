package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

// recording answers each request with answer and notes what it was.
type recording struct {
	answer string
	tag    string
	status int
	seen   []string
}

func (r *recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.seen = append(r.seen, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", req.Method, req.URL.RequestURI(), req.Header.Get("If-Match"), body)))
	if r.tag != "" {
		w.Header().Set("ETag", r.tag)
	}
	w.WriteHeader(max(r.status, 200))
	_, _ = io.WriteString(w, r.answer)
}

func TestChangesOfTheMapping(t *testing.T) {
	r := &recording{}
	srv := httptest.NewServer(r)
	defer srv.Close()
	c := newClient(t, client.Options{BaseURL: srv.URL, Token: "admin"})
	ctx := t.Context()
	why := client.Change{IfGeneration: 7, Author: "ana b", Comment: "a&b=ü"}
	const dryRun = `{"status":"dry run"}`
	const note = "author=ana+b&comment=a%26b%3D%C3%BC"
	merged := why
	merged.Merge, merged.IfGeneration = true, client.AnyGeneration
	for name, c := range map[string]struct {
		call   func() error
		answer string
		want   []string
	}{
		"set":                         {func() error { _, err := c.SetConfig(ctx, []byte("{}"), why); return err }, `{}`, []string{"POST /v2/metrics/config?" + note + ` "7" {}`}},
		"merge":                       {func() error { _, err := c.SetConfig(ctx, []byte("{}"), merged); return err }, `{}`, []string{"GET /v2/metrics/config/generations?page=1&perPage=1", "POST /v2/metrics/config?" + note + "&merge=1  {}"}},
		"reset":                       {func() error { _, err := c.ResetConfig(ctx, merged); return err }, `{}`, []string{"DELETE /v2/metrics/config?" + note}},
		"restore":                     {func() error { _, err := c.RestoreConfig(ctx, 0, why); return err }, `{}`, []string{"POST /v2/metrics/config/generations/0/restore?" + note + ` "7"`}},
		"try":                         {func() error { _, err := c.TryConfig(ctx, []byte("{}"), client.Change{}, time.Second); return err }, dryRun, []string{`POST /v2/metrics/config?dry_run=1&timeout=1s "0" {}`}},
		"try merged":                  {func() error { _, err := c.TryConfig(ctx, []byte("{}"), merged, time.Second); return err }, dryRun, []string{"GET /v2/metrics/config/generations?page=1&perPage=1", "POST /v2/metrics/config?" + note + "&dry_run=1&merge=1&timeout=1s  {}"}},
		"try reset":                   {func() error { _, err := c.TryConfig(ctx, nil, merged, time.Second); return err }, dryRun, []string{"DELETE /v2/metrics/config?" + note + "&dry_run=1&timeout=1s"}},
		"try restore":                 {func() error { _, err := c.TryRestore(ctx, 3, why, time.Second); return err }, dryRun, []string{"POST /v2/metrics/config/generations/3/restore?" + note + `&dry_run=1&timeout=1s "7"`}},
		"list":                        {func() error { _, err := c.Generations(ctx, 2, 50); return err }, `{"items":[]}`, []string{"GET /v2/metrics/config/generations?page=2&perPage=50"}},
		"read":                        {func() error { _, err := c.Generation(ctx, 3); return err }, `{}`, []string{"GET /v2/metrics/config/generations/3"}},
		"read effective":              {func() error { _, err := c.EffectiveGeneration(ctx, 3); return err }, `{}`, []string{"GET /v2/metrics/config/generations/3?effective=1"}},
		"compare":                     {func() error { _, err := c.DiffGenerations(ctx, 3, 0); return err }, `{}`, []string{"GET /v2/metrics/config/generations/3/diff?to=0"}},
		"compare with the active one": {func() error { _, err := c.DiffGenerations(ctx, 3, client.AnyGeneration); return err }, `{}`, []string{"GET /v2/metrics/config/generations/3/diff"}},
	} {
		r.seen, r.answer = nil, c.answer
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(c.want, r.seen) {
			t.Errorf("%s (-want +got)\n%s", name, cmp.Diff(c.want, r.seen))
		}
	}
}

func TestAnswersAboutGenerations(t *testing.T) {
	r := &recording{tag: `"9-5a3f00"`, answer: `{"extends":"default"}`}
	srv := httptest.NewServer(r)
	defer srv.Close()
	c := newClient(t, client.Options{BaseURL: srv.URL})
	if cfg, err := c.GetEffectiveConfig(t.Context()); err != nil || cfg.Generation != 9 || string(cfg.Document) != r.answer {
		t.Errorf("%d %s %v", cfg.Generation, cfg.Document, err)
	}
	r.answer = `{"generation":3,"comment":"why","restored_from":0,"document":{"b":1,"a":"<2"}}`
	zero := int64(0)
	g, err := c.Generation(t.Context(), 3)
	if diff := cmp.Diff(wire.GenerationDocument{Generation: wire.Generation{Number: 3, Comment: "why", RestoredFrom: &zero}, Document: []byte(`{"b":1,"a":"<2"}`)}, g); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// An older server would put a document in force that is only to be merged, so it is not sent.
func TestOlderServersMergeNothing(t *testing.T) {
	r := &recording{status: 404, answer: `{"status":404,"detail":"this path does not exist"}`}
	srv := httptest.NewServer(r)
	defer srv.Close()
	c := newClient(t, client.Options{BaseURL: srv.URL})
	_, set := c.SetConfig(t.Context(), []byte("{}"), client.Change{Merge: true})
	_, tried := c.TryConfig(t.Context(), []byte("{}"), client.Change{Merge: true}, time.Second)
	for _, err := range []error{set, tried} {
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !strings.Contains(e.Detail, "the server is older") || !strings.Contains(e.Detail, "nothing was changed") {
			t.Errorf("%v", err)
		}
	}
	for _, seen := range r.seen {
		if !strings.HasPrefix(seen, "GET ") {
			t.Errorf("sent %s", seen)
		}
	}
}
