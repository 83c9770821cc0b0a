package prom

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/stackscope/stackscope/internal/targets"
)

// free fails the test when the directory can't be taken.
func free(t *testing.T, dir string) {
	t.Helper()
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Errorf("the directory is still taken: %v", err)
		return
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock file is still there: %v", err)
	}
}

func TestFailedStartGivesTheDirectoryBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "wal"), []byte("no directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	await(t, "it says that the data can't be opened", func() bool { return p.Err() != nil })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	select {
	case <-p.Ready():
		t.Error("it was ready")
	default:
	}
	free(t, dir)
}

// unhurried returns a Prometheus, and its directory, that has a minute to stop.
func unhurried(t *testing.T) (p *Prometheus, dir string) {
	t.Helper()
	dir = t.TempDir()
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	p.opts.StopTimeout = time.Minute
	return p, dir
}

func TestStopWhileOpening(t *testing.T) {
	t.Parallel()
	p, dir := unhurried(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := p.Run(t.Context()); err == nil {
		t.Error("a second Run was let through")
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close after Run: %v", err)
	}
	free(t, dir)
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil) // nothing is open any more, nothing is half written
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// Files of the storage are mapped into memory: who reads there while it is closed brings the process down.
func TestStorageOutlivesRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := start(t, Options{Dir: dir})
	db := in.core.Load().db
	if !in.requests.begin() {
		t.Fatal("nobody is let in")
	}
	stopped := make(chan struct{})
	go func() {
		in.stop()
		close(stopped)
	}()
	for !in.requests.stopping() {
		select {
		case <-stopped:
			t.Fatal("it stopped while a request was inside")
		case <-time.After(5 * time.Millisecond):
		}
	}
	app := db.Appender(t.Context())
	if _, err := app.Append(0, labels.FromStrings("__name__", "x"), time.Now().UnixMilli(), 1); err != nil {
		t.Error(err)
	}
	if err := app.Commit(); err != nil {
		t.Errorf("the storage was closed while a request was inside: %v", err)
	}
	if _, err := New(Options{Dir: dir}); err == nil {
		t.Error("the directory was given away while a request was inside")
	}
	in.requests.end()
	<-stopped
	free(t, dir)
}

// Whatever fails at the end, Run says so: it may have cost samples.
func TestFailingCloseIsReported(t *testing.T) {
	t.Parallel()
	p, dir := unhurried(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-p.Ready()
	if err := p.core.Load().db.Head().Close(); err != nil { // a second time it fails
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "prometheus: close storage: ") {
		t.Errorf("Run: %v", err)
	}
	free(t, dir)
}

// A scrape that ends within the grace is stored like any other.
func TestScrapeInFlightMayEnd(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 100), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
			_, _ = fmt.Fprint(w, "scraped 1\n")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	o := Options{Dir: t.TempDir(), Jobs: []Job{{JobWorkers, 10 * time.Second}}}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	c, err := openCore(o, o.Logger, prometheus.NewRegistry(), tsdb.NewDBStats(), newSharedParts(o, o.Logger))
	if err != nil {
		t.Fatal(err)
	}
	updates := make(chan map[string][]*targetgroup.Group, 1)
	updates <- map[string][]*targetgroup.Group{JobWorkers: convertGroups(JobWorkers, []targets.Group{{Targets: []string{slow.Listener.Addr().String()}}})}
	c.startScraping(updates)
	<-asked
	stopped := make(chan struct{})
	go func() {
		c.stopScraping(time.Hour)
		close(stopped)
	}()
	<-c.stop
	close(release)
	<-stopped
	q, err := c.db.Querier(0, time.Now().Add(time.Hour).UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	if set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "scraped")); !set.Next() {
		t.Error("what was scraped last is lost")
	}
	if err := errors.Join(q.Close(), c.closeStorage()); err != nil {
		t.Error(err)
	}
}

func TestCutoffEndsConnections(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := newCutoff(newDialPolicy(), nil)
	dial := func() (net.Conn, error) { return c.dial(t.Context(), "tcp", l.Addr().String()) }
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	c.now()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that nobody answers on: %v", err)
	}
	if late, err := dial(); err == nil {
		_ = late.Close()
		t.Error("a connection was opened after the cutoff")
	}
}

func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 1800 * time.Millisecond
	p, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		begin := time.Now()
		err := p.closeWithin(limit, func() error { <-stuck; return nil })
		if took := time.Since(begin); took != limit {
			t.Errorf("returned after %v, want %v", took, limit)
		}
		if err == nil || !strings.Contains(err.Error(), "was not closed within 1.8s; the next start recovers it") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHangingTargetDoesNotHoldTheStop(t *testing.T) {
	t.Parallel()
	release, asked := make(chan struct{}), make(chan struct{}, 100)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	t.Cleanup(func() { close(release); hanging.Close() })
	dir := t.TempDir()
	in := start(t, Options{Dir: dir, Jobs: []Job{{JobWorkers, 10 * time.Second}}})
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{hanging.Listener.Addr().String()}}})
	select {
	case <-asked:
	case <-time.After(30 * time.Second):
		t.Fatal("never scraped")
	}
	in.stop()

	// A stop that waited for the scrape's own end, after ten seconds, would have seen it fail and stored that.
	in = start(t, Options{Dir: dir})
	if got := in.query(t, `count_over_time(up[5m])`); len(got) != 0 {
		t.Errorf("the scrape that was cut off left %v: its target would count as down", got)
	}
}
