package web

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestBuilt(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("x")}
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  bool
	}{
		"placeholder only":     {fstest.MapFS{"prometheus/placeholder.txt": file}, false},
		"half a build":         {fstest.MapFS{"prometheus/static/assets/index.js": file}, false},
		"index is a folder":    {fstest.MapFS{"prometheus/static/index.html/x": file}, false},
		"built":                {fstest.MapFS{"prometheus/static/index.html": file}, true},
		"nothing there at all": {fstest.MapFS{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			files, ok := built(tc.files, "prometheus/static")
			if ok != tc.want || (files != nil) != tc.want {
				t.Fatalf("got files %v and %v, want %v", files, ok, tc.want)
			}
			if ok {
				if _, err := fs.ReadFile(files, "index.html"); err != nil {
					t.Errorf("index.html isn't at the root: %v", err)
				}
			}
		})
	}
}

// The embedded folder must agree with itself, whether or not the UI was built before this test was.
func TestPrometheusUI(t *testing.T) {
	if _, err := fs.Stat(prometheusFiles, "prometheus/placeholder.txt"); err != nil {
		t.Errorf("the committed placeholder is gone, so a fresh clone doesn't build: %v", err)
	}
	files, ok := PrometheusUI()
	if !ok {
		t.Skip("built without the UI (make ui builds it)")
	}
	for _, name := range []string{"index.html", "favicon.svg", "assets"} {
		if _, err := fs.Stat(files, name); err != nil {
			t.Error(err)
		}
	}
}

// The console's folder is committed: an index.html without its assets, or the other way round, is half a build.
func TestConsole(t *testing.T) {
	files, ok := Console()
	if !ok {
		t.Skip("built without the console (hack/build-console builds it)")
	}
	if assets, err := fs.ReadDir(files, "console/assets"); err != nil || len(assets) == 0 {
		t.Errorf("index.html has no assets beside it: %v", err)
	}
}
