package health

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStat(t *testing.T) {
	const tail = " S 7 42 42 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 9 0 1234567 1 2"
	for _, tt := range []struct {
		stat    string
		parent  int
		started uint64
	}{
		{"42 (stackscope)" + tail, 7, 1234567},
		{"42 (a b) (c)" + tail, 7, 1234567},
		{"42 (stackscope) S 7", 0, 0},
		{"", 0, 0},
	} {
		if parent, started := parentAndStart([]byte(tt.stat)); parent != tt.parent || started != tt.started {
			t.Errorf("%q: parent %d, start %d, want %d, %d", tt.stat, parent, started, tt.parent, tt.started)
		}
	}
}

func TestWords(t *testing.T) {
	if diff := cmp.Diff([]string{"stackscope", "", "a b", ""}, words([]byte("stackscope\x00\x00a b\x00\x00"))); diff != "" {
		t.Error(diff)
	}
}

func TestReached(t *testing.T) {
	for host, want := range map[string]string{"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1", "::ffff:0.0.0.0": "::ffff:0.0.0.0", "192.0.2.1": "192.0.2.1", "gpu-7": "gpu-7"} {
		if got := reached(host); got != want {
			t.Errorf("%q is reached at %q, want %q", host, got, want)
		}
	}
}

// This process is not among those that are found, and the program of this test has no other one.
func TestFindNone(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skip(err)
	}
	_, err := Find("/proc")
	if _, ok := errors.AsType[*NoProcessError](err); !ok {
		t.Errorf("%v", err)
	}
}

func TestAsk(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string // empty: it works
	}{
		"works":    {func(http.ResponseWriter, *http.Request) {}, ""},
		"password": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "another program stands before it"},
		"says why": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the disk is full\nand more", http.StatusServiceUnavailable)
		}, "503 Service Unavailable: the disk is full"},
		"another program":   {http.NotFound, "404 Not Found"},
		"leads elsewhere":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, "302 Found"},
		"ends connections":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "ends the connection without an answer"},
		"endless page":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, ""},
		"colours":           {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a\x1b[31mb\u009b", 500) }, "500 Internal Server Error: a[31mb"},
		"no valid encoding": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a\xffb", 500) }, "500 Internal Server Error: ab"},
	} {
		for scheme, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				srv := start(tt.handler)
				defer srv.Close()
				err := Ask(t.Context(), srv.URL+Path)
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			})
		}
	}
}

func TestSay(t *testing.T) {
	api, worker := Answer{Place: Place{Name: "API"}, URL: "http://a"}, Answer{Place: Place{Name: "worker"}, URL: "http://b"}
	if line, healthy := Say([]Answer{api, worker}); !healthy || line != "API at http://a, worker at http://b" {
		t.Error(healthy, line)
	}
	worker.Err = errors.New("no")
	if line, healthy := Say([]Answer{api, worker}); healthy || line != "worker at http://b: no" {
		t.Error(healthy, line)
	}
}
