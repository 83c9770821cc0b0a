package paths_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stackscope/stackscope/internal/base/paths"
)

func TestStrip(t *testing.T) {
	h := paths.Hide("/srv/data dir", "DATA_DIR")
	for text, want := range map[string]string{
		"block /srv/data dir/prometheus/01X: no such file": "block DATA_DIR/prometheus/01X: no such file",
		"/srv/data dir: permission denied":                 "DATA_DIR: permission denied",
		"can't be made: /srv is a file; move it away":      "can't be made: (a path in the server's log) is a file; move it away",
		"open /etc/ssl/key.pem: permission denied":         "open (a path in the server's log): permission denied",
		`"/usr/share/grafana", "/opt/grafana"`:             `"(a path in the server's log)", "(a path in the server's log)"`,
		"GET http://192.0.2.1:10151/metrics: refused":      "GET http://192.0.2.1:10151/metrics: refused",
		"1/2 of and/or 3 MiB/s":                            "1/2 of and/or 3 MiB/s",
		"nothing":                                          "nothing",
	} {
		if got := h.Strip(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	var none *paths.Hidden
	if got := none.Strip("open /etc/key"); got != "open (a path in the server's log)" {
		t.Errorf("without a directory: %s", got)
	}
}

func TestHideByEverySpelling(t *testing.T) {
	real := filepath.Join(t.TempDir(), `re"al`)
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	h := paths.Hide(link, "DATA_DIR")
	inJSON := filepath.Dir(real) + `/re\"al`
	for _, path := range []string{link, real, inJSON} {
		if got := h.Name(path + "/x"); got != "DATA_DIR/x" {
			t.Errorf("%s: %s", path, got)
		}
	}
	t.Chdir(filepath.Dir(link))
	if got := paths.Hide("link", "DATA_DIR").Name(link + "/x and a link"); got != "DATA_DIR/x and a link" {
		t.Errorf("a relative one: %s", got)
	}
}

func TestFor(t *testing.T) {
	h := paths.Hide("/srv/data", "DATA_DIR")
	calls := 0
	for maySee, want := range map[bool]string{true: "/srv/data/x", false: "DATA_DIR/x"} {
		ctx := paths.WithClient(t.Context(), func() bool { calls++; return maySee })
		if got := h.For(ctx, "/srv/data/x") + h.For(ctx, ""); got != want {
			t.Errorf("%v: %s", maySee, got)
		}
	}
	if calls != 2 {
		t.Errorf("%d calls for two requests", calls)
	}
	if got := h.For(t.Context(), "/srv/data/x"); got != "DATA_DIR/x" {
		t.Errorf("without a client: %s", got)
	}
}
