package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/backup"
)

// fakeBackup is what a server makes a backup of.
type fakeBackup struct {
	dir     string
	wait    chan struct{} // nil: it is made at once
	err     error
	samples bool
	removed int
}

func (f *fakeBackup) make(ctx context.Context, samples bool) (*backup.Archive, func() error, error) {
	f.samples = samples
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
	if f.err != nil {
		return nil, nil, f.err
	}
	path := filepath.Join(f.dir, "stackscope.db")
	if err := os.WriteFile(path, []byte("database"), 0o600); err != nil {
		return nil, nil, err
	}
	a, err := backup.New(backup.Manifest{Version: "1", CreatedAt: time.Now(), Schema: 1}, []backup.Source{{Name: backup.Database, Path: path}})
	return a, func() error { f.removed++; return nil }, err
}

func backupAPI(t *testing.T) (harness, *fakeBackup) {
	t.Helper()
	f := &fakeBackup{dir: t.TempDir()}
	return newAPI(t, func(o *api.Options) { o.Backup = f.make }), f
}

func askBackup(query string) *http.Request { return asAdmin(request("POST", "/v2/backup"+query, "")) }

func TestBackupIsSent(t *testing.T) {
	h, f := backupAPI(t)
	w := h.do(askBackup(""))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != backup.MediaType || !strings.Contains(w.Header().Get("Content-Disposition"), "stackscope-backup-2") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if n := w.Header().Get("Content-Length"); n != strconv.Itoa(w.Body.Len()) {
		t.Errorf("%s bytes are announced, %d are sent", n, w.Body.Len())
	}
	if m, err := backup.Verify(w.Body); err != nil || !m.Has(backup.Database) {
		t.Errorf("%+v, %v", m, err)
	}
	if !f.samples || f.removed != 1 {
		t.Errorf("%+v", f)
	}
	if w := h.do(askBackup("?samples=false")); w.Code != http.StatusOK || f.samples || f.removed != 2 {
		t.Errorf("%d, %+v", w.Code, f)
	}
	problemOf(t, h.do(request("POST", "/v2/backup", "")), http.StatusUnauthorized)
}

func TestBackupIsRefused(t *testing.T) {
	h, f := backupAPI(t)
	for _, c := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("%w: 3 MiB are free", backup.ErrNoSpace), http.StatusInsufficientStorage},
		{fmt.Errorf("samples are %w", backup.ErrUnavailable), http.StatusServiceUnavailable},
		{errors.New("the disk cannot be read"), http.StatusInternalServerError},
	} {
		f.err = c.err
		if p := problemOf(t, h.do(askBackup("")), c.code); !strings.Contains(p.Detail, c.err.Error()) {
			t.Errorf("%s", p.Detail)
		}
	}
	f.err = nil
	if w := h.do(askBackup("")); w.Code != http.StatusOK {
		t.Errorf("after refusals: %d %s", w.Code, w.Body)
	}
}

func TestBackupOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := backupAPI(t)
		f.wait = make(chan struct{})
		first := make(chan *httptest.ResponseRecorder, 1)
		go func() { first <- h.do(askBackup("")) }()
		synctest.Wait()
		p := problemOf(t, h.do(askBackup("")), http.StatusConflict)
		if !strings.Contains(p.Detail, "for the admin token") || !strings.Contains(p.Detail, "since 20") {
			t.Errorf("%s", p.Detail)
		}
		close(f.wait)
		if w := <-first; w.Code != http.StatusOK {
			t.Errorf("%d", w.Code)
		}
		if w := h.do(askBackup("")); w.Code != http.StatusOK {
			t.Errorf("the next one: %d %s", w.Code, w.Body)
		}
	})
}

func TestBackupEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := backupAPI(t)
		f.wait = make(chan struct{})
		got := make(chan *httptest.ResponseRecorder, 1)
		go func() { got <- h.do(askBackup("")) }()
		synctest.Wait()
		h.EndStreams()
		if p := problemOf(t, <-got, http.StatusServiceUnavailable); !strings.Contains(p.Detail, "stop") {
			t.Errorf("%s", p.Detail)
		}
	})
}

// TestBackupThatFailsIsCut: the connection is closed, so that nobody takes a part for the whole, and what it needed is removed.
func TestBackupThatFailsIsCut(t *testing.T) {
	h, f := backupAPI(t)
	defer func() {
		if e := recover(); e != http.ErrAbortHandler { //nolint:errorlint // net/http panics with the plain value
			t.Errorf("%v", e)
		}
		if f.removed != 1 {
			t.Errorf("removed %d times", f.removed)
		}
		f.removed = 0
		if w := h.do(askBackup("")); w.Code != http.StatusOK {
			t.Errorf("the next one: %d %s", w.Code, w.Body)
		}
	}()
	h.ServeHTTP(goneClient{httptest.NewRecorder()}, askBackup(""))
}

// goneClient takes no bytes.
type goneClient struct{ *httptest.ResponseRecorder }

func (goneClient) Write([]byte) (int, error) { return 0, errors.New("connection reset") }
