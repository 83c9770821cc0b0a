package grafana

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func valid() Options {
	return Options{Dir: "/nowhere/grafana", PathPrefix: "/grafana", PrometheusURL: "http://127.0.0.1:8080/prometheus", Environ: []string{}, Logger: slog.New(slog.DiscardHandler)}
}

func TestFaultyOptions(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"no logger":         func(o *Options) { o.Logger = nil },
		"no data directory": func(o *Options) { o.Dir = "" },
		`path prefix "grafana/": give one that begins with /`:                     func(o *Options) { o.PathPrefix = "grafana/" },
		"--builtin-grafana-port 70000: use 1 to 65535":                            func(o *Options) { o.Port = 70000 },
		`Prometheus' URL "": give one with http://`:                               func(o *Options) { o.PrometheusURL = "" },
		`external URL "obs.example.com/grafana": give one with http://`:           func(o *Options) { o.ExternalURL = "obs.example.com/grafana" },
		`external URL "https://u:xxxxx@h/": it must not have credentials`:         func(o *Options) { o.ExternalURL = "https://u:verysecret@h/" },
		"memory limit of 1 bytes: Grafana needs 134217728 (128 MiB)":              func(o *Options) { o.MemoryLimit = 1 },
		"stop timeout 1h0m0s: use up to 1m0s":                                     func(o *Options) { o.StopTimeout = time.Hour },
		"password of Grafana's admin: use 5 to 256 bytes":                         func(o *Options) { o.AdminPassword = "four" },
		"password of Grafana's admin: it must not hold control":                   func(o *Options) { o.AdminPassword = "line\nend" },
		"password of Grafana's admin: it must not hold ${":                        func(o *Options) { o.AdminPassword = "pass${word}" },
		"password of Grafana's admin: it must not begin or end with a space":      func(o *Options) { o.AdminPassword = "password " },
		"--grafana-home /nowhere/home cannot be read (no such file or directory)": func(o *Options) { o.Home = "/nowhere/home" },
	} {
		o := valid()
		change(&o)
		_, err := New(o)
		if err == nil || !strings.HasPrefix(err.Error(), "grafana: ") || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "verysecret") {
			t.Error("an error shows a password")
		}
	}
	if _, err := New(valid()); err != nil {
		t.Errorf("faultless options: %v", err)
	}
	o := valid()
	o.Environ = []string{"GF_SECURITY_ADMIN_PASSWORD=abc"}
	if _, err := New(o); err == nil {
		t.Error("the operator's password isn't checked")
	}
}

// Users may reach Grafana under another path than the server's own.
func TestPathOfTheExternalURL(t *testing.T) {
	for _, c := range []struct{ external, operators, root, served string }{
		{"", "", "", "/grafana"},
		{"https://obs.example.com/grafana", "", "https://obs.example.com/grafana/", "/grafana"},
		{"https://obs.example.com/a/b/grafana/", "", "https://obs.example.com/a/b/grafana/", "/a/b/grafana"},
		{"", "%(protocol)s://%(domain)s:%(http_port)s/x/grafana/", "%(protocol)s://%(domain)s:%(http_port)s/x/grafana/", "/x/grafana"},
		{"https://ours.example.com/grafana", "https://theirs.example.com/", "https://ours.example.com/grafana/", "/grafana"},
		{"", "::no url::", "", "/grafana"},
	} {
		root, served := rootURL(Options{PathPrefix: "/grafana", ExternalURL: c.external}, map[string]string{envRootURL: c.operators})
		if root != c.root || served != c.served {
			t.Errorf("%q, %q: %q under %q, want %q under %q", c.external, c.operators, root, served, c.root, c.served)
		}
	}

	o := valid()
	o.ExternalURL = "https://obs.example.com/a/b/grafana"
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.URL.EscapedPath() }))
	defer upstream.Close()
	g.addr.Store(new(upstream.Listener.Addr().String()))
	g.set(Status{Phase: PhaseRunning})
	for path, want := range map[string]string{"/grafana/": "/a/b/grafana/", "/grafana/d/x/a%2Fb": "/a/b/grafana/d/x/a%2Fb"} {
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || seen != want {
			t.Errorf("%s: %d, Grafana saw %s, want %s", path, w.Code, seen, want)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	program := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := func(home string) {
		touch(t, filepath.Join(home, "conf", "defaults.ini"))
		touch(t, filepath.Join(home, "public", "x"))
	}
	for _, home := range []string{at("new"), at("old"), at("deb", "share", "grafana"), at("wrapped", "share", "grafana"), at("noprogram"), at("brew", "share", "grafana")} {
		files(home)
	}
	program(at("new", "bin", "grafana"), "\x7fELF")
	program(at("new", "bin", "grafana-server"), "\x7fELF")
	program(at("old", "bin", "grafana-server"), "\x7fELF")
	program(at("deb", "sbin", "grafana-server"), "\x7fELF")
	program(at("wrapped", "sbin", "grafana"), "#!/bin/sh\n")
	program(at("brew", "bin", "grafana"), "\x7fELF")
	program(at("lonely", "bin", "grafana"), "\x7fELF")
	touch(t, at("noprogram", "bin", "grafana")) // not executable
	if err := os.MkdirAll(at("path"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("brew", "bin", "grafana"), at("path", "grafana")); err != nil {
		t.Fatal(err)
	}
	touch(t, at("file"))

	find := func(given string, searched []string, env ...string) (string, error) {
		g := &Grafana{opts: Options{Home: given, Searched: searched}, env: parseEnviron(env)}
		h, err := g.find()
		if err != nil {
			return "", err
		}
		name, args := h.command("server")
		return strings.ReplaceAll(strings.Join(append([]string{name}, args...), " "), dir, "D"), nil
	}
	for _, c := range []struct {
		name     string
		given    string
		searched []string
		env      []string
		want     string
	}{
		{"given", at("new"), nil, nil, "D/new/bin/grafana server --homepath D/new"},
		{"given, older", at("old"), nil, nil, "D/old/bin/grafana-server --homepath D/old"},
		{"given wins", at("old"), []string{at("new")}, []string{"GF_PATHS_HOME=" + at("new")}, "D/old/bin/grafana-server --homepath D/old"},
		{"variable wins over searched", "", []string{at("new")}, []string{"GF_PATHS_HOME=" + at("old")}, "D/old/bin/grafana-server --homepath D/old"},
		{"incomplete are passed over", "", []string{at("noprogram"), at("nowhere"), at("new")}, nil, "D/new/bin/grafana server --homepath D/new"},
		{"package", "", []string{at("deb", "share", "grafana")}, nil, "D/deb/sbin/grafana-server --homepath D/deb/share/grafana"},
	} {
		if got, err := find(c.given, c.searched, c.env...); got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	// Where the server installs one wins over a package's: who did that wants it.
	g := &Grafana{opts: Options{Searched: []string{at("new"), at("deb", "share", "grafana")}}, env: parseEnviron([]string{"GF_PATHS_HOME=" + at("old"), "PATH=" + at("path")})}
	order := slices.Concat([]string{at("old"), at("new"), at("deb", "share", "grafana")}, usualHomes[:], []string{at("brew", "share", "grafana")})
	if d := cmp.Diff(order, g.candidates()); d != "" {
		t.Errorf("looks at (-want +got):\n%s", d)
	}
	h, _ := inspect(at("old"))
	if name, args := h.command("cli", "admin"); name != at("old", "bin", "grafana-cli") || strings.Join(args, " ") != "--homepath "+at("old")+" admin" {
		t.Errorf("older command line: %s %v", name, args)
	}

	for given, want := range map[string]string{
		at("noprogram"): " lacks an executable bin/grafana: name the folder",
		at("lonely"):    " lacks conf/defaults.ini and public/: ",
		at("path"):      " lacks conf/defaults.ini, public/ and an executable bin/grafana: ",
		at("file"):      " is no folder: ",
		at("nowhere"):   " cannot be read (no such file or directory): ",
	} {
		if _, err := find(given, nil); err == nil || !strings.HasPrefix(err.Error(), "--grafana-home "+given+want) {
			t.Errorf("%s: %v, want %q", given, err, want)
		}
	}

	if usual, err := find("", nil); err == nil {
		t.Skip("this machine has a Grafana of its own at " + usual)
	}
	if got, err := find("", nil, "PATH="+at("path")+":relative:"+at("lonely", "bin")); got != "D/brew/bin/grafana server --homepath D/brew/share/grafana" {
		t.Errorf("by PATH: %q, %v", got, err)
	}
	_, err := find("", []string{at("noprogram"), at("wrapped", "share", "grafana")}, "GF_PATHS_HOME="+at("nowhere"))
	for _, want := range []string{"Grafana was not found; searched " + at("nowhere") + ", ", at("noprogram") + " (lacks an executable bin/grafana), ", at("wrapped", "share", "grafana") + " (lacks an exec", "/opt/grafana, ", ", PATH"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
