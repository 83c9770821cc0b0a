package docs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// startLimit is how long a command may take that ends by itself.
const startLimit = 2 * time.Minute

// server is a stackscope that a page's commands ask.
type server struct {
	port, metrics, worker, grafana int
	dir                            string // its data directory
	program                        *programs.Program
	more                           []string // settings that win over those of env
	atHome                         bool     // dir is the one that its user gets without a setting
}

func (s *server) url() string { return "http://127.0.0.1:" + strconv.Itoa(s.port) }

// env are the settings that keep a server that a page starts apart from everything else on the machine. What the page says
// with a flag wins over them.
func (s *server) env() []string {
	more := s.more
	if !s.atHome {
		more = append([]string{"GPUSTACK_DATA_DIR=" + s.dir}, more...)
	}
	return append([]string{
		"GPUSTACK_HOST=127.0.0.1", "GPUSTACK_PORT=" + strconv.Itoa(s.port), "GPUSTACK_METRICS_PORT=" + strconv.Itoa(s.metrics),
		"GPUSTACK_WORKER_METRICS_HOST=127.0.0.1", "GPUSTACK_WORKER_METRICS_PORT=" + strconv.Itoa(s.worker), "GPUSTACK_WORKER_IP=127.0.0.1",
		"GPUSTACK_BUILTIN_GRAFANA_PORT=" + strconv.Itoa(s.grafana), "GPUSTACK_DISCOVER=none", "GPUSTACK_GPU_VENDORS=none",
	}, more...)
}

// replacer puts a server's addresses in the place of a page's.
func (s *server) replacer() *strings.Replacer {
	return strings.NewReplacer("http://SERVER:10161", "http://127.0.0.1:"+strconv.Itoa(s.metrics),
		"http://WORKER:10151", "http://127.0.0.1:"+strconv.Itoa(s.worker), "http://SERVER", s.url(), "/var/lib/stackscope", s.dir)
}

// guide runs the blocks of a page, one after the other, in one folder, as somebody does who follows the page.
type guide struct {
	t       *testing.T
	path    string
	dir     string // where the commands run
	bin     string
	shims   string
	home    string // of a Grafana
	servers map[string]*server
	own     *ownGrafana
	env     []string
	// oldData is a Prometheus' data directory from before, containers the files of containers: NAME/path.
	oldData, containers string
	vars                string                                    // commands that set variables
	replace             *strings.Replacer                         // puts what there is in the place of what a page says; nil: nothing
	parts               map[string]func(*testing.T, *block) error // of the page's own test, by name
	user                *syscall.SysProcAttr                      // whose the commands are; nil: the test's
}

func newGuide(t *testing.T, path, home string) *guide {
	t.Helper()
	g := newPlainGuide(t, path, home)
	g.env = append(g.env, release(t)...)
	if path != "" && strings.Contains(readText(t, path), "docker ") {
		g.docker()
	}
	return g
}

// newPlainGuide is for pages without releases and containers.
func newPlainGuide(t *testing.T, path, home string) *guide {
	t.Helper()
	g := &guide{t: t, path: path, dir: t.TempDir(), bin: filepath.Dir(programs.Path(t, "stackscope")), shims: t.TempDir(), home: home, servers: map[string]*server{}}
	g.env = []string{"PATH=" + g.shims + ":" + g.bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "TMPDIR=" + t.TempDir(), "GPUSTACK_GRAFANA_HOME=" + home}
	g.shim("sudo", `exec env -i PATH="$PATH" HOME="$HOME" "$@"`) // as sudo does it: variables stay behind
	return g
}

// shim puts a program of our own before one of the system's.
func (g *guide) shim(name, script string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.shims, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guide) newServer() *server {
	return &server{port: programs.FreePort(g.t), metrics: programs.FreePort(g.t), worker: programs.FreePort(g.t), grafana: programs.FreePort(g.t), dir: g.t.TempDir()}
}

// server returns the one that a block asks; demo starts when it is first asked for.
func (g *guide) server(name string) *server {
	if s := g.servers[name]; s != nil || name != "demo" {
		return s
	}
	s := g.newServer()
	args := []string{
		"demo", "--port", strconv.Itoa(s.port), "--metrics-port", strconv.Itoa(s.metrics), "--worker-metrics-port", strconv.Itoa(s.worker),
		"--builtin-grafana-port", strconv.Itoa(s.grafana), "--data-dir", s.dir,
	}
	s.program = start(g.t, g.dir, g.env, filepath.Join(g.bin, "stackscope"), args...)
	g.servers[name] = s
	programs.Eventually(g.t, 90*time.Second, "the demo has data", func() error {
		if s.program.Ended() {
			g.t.Fatalf("the demo ended: %s", s.program.Output())
		}
		return answers(s, `sum(rate(gpustack:generation_tokens_total[1m])) > 0`)
	})
	return s
}

// answers returns nil when the server's Prometheus has an answer to a query.
func answers(s *server, query string) error {
	body, err := programs.Get(s.url() + "/prometheus/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct{ Result []any }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if len(answer.Data.Result) == 0 {
		return fmt.Errorf("no answer to %s", query)
	}
	return nil
}

// follow tries every block of the page.
func (g *guide) follow() {
	blocks, err := readPage(g.path)
	if err != nil {
		g.t.Fatal(err)
	}
	commands := 0
	for i := range blocks {
		b := &blocks[i]
		if b.runs() {
			commands++
		}
		g.t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			if !b.given {
				t.Fatalf("%s:%d: nothing says how this block is tried: put <!-- test: ... --> above it", g.path, b.line)
			}
			if err := g.try(t, b); err != nil {
				t.Errorf("%s:%d: %v", g.path, b.line, err)
			}
		})
	}
	if commands == 0 {
		g.t.Errorf("%s has no commands: is the test looking at the right page?", g.path)
	}
}

func (g *guide) try(t *testing.T, b *block) error {
	t.Helper()
	if g.replace != nil {
		b.text = g.replace.Replace(b.text)
	}
	if s := g.servers[b.stop]; s != nil {
		s.program.Stop(syscall.SIGTERM)
	}
	switch {
	case b.not != "":
		t.Skip("not tried: " + b.not)
	case b.as != "":
		try := g.parts[b.as]
		if try == nil {
			return fmt.Errorf("the page's test has no part %s", b.as)
		}
		return try(t, b)
	case b.vars:
		g.vars += b.text
		return nil
	case b.goes:
		return g.goOn(b)
	case b.language == "yaml":
		return g.checkScrapeConfig(t, b)
	case b.language == "promql":
		return g.ask(b)
	case !b.runs():
		return fmt.Errorf("a block of %q cannot be tried", b.language)
	case b.start != "":
		return g.startServer(b)
	}
	return g.run(t, b)
}

// startServer runs a command that goes on, until the server is ready.
func (g *guide) startServer(b *block) error {
	s := g.servers[b.start]
	if s == nil {
		s = g.newServer()
		g.servers[b.start] = s
	}
	if s.program != nil {
		return fmt.Errorf("there is a server %s already", b.start)
	}
	s.program = g.start(append(append([]string{}, g.env...), s.env()...), "bash", "-euo", "pipefail", "-c", s.replacer().Replace(b.text))
	programs.Eventually(g.t, 60*time.Second, "the server is ready", func() error {
		if s.program.Ended() {
			g.t.Fatalf("%s:%d: it ended: %s", g.path, b.line, s.program.Output())
		}
		_, err := programs.Get(s.url() + "/readyz")
		return err
	})
	programs.Eventually(g.t, 10*time.Second, "the server prints what it should", func() error {
		for _, want := range b.expect {
			if !strings.Contains(s.program.Output(), want) {
				return fmt.Errorf("it doesn't print %q but %s", want, s.program.Output())
			}
		}
		return nil
	})
	return nil
}

// run runs a command and compares what it prints.
func (g *guide) run(t *testing.T, b *block) error {
	t.Helper()
	if len(b.expect) == 0 && b.output == "" {
		return fmt.Errorf("nothing says what it prints: show it in a block of text behind it, or write expect=")
	}
	text, env := b.text, append([]string{}, g.env...)
	if b.own {
		if g.own == nil {
			g.own = startOwnGrafana(g.t, g.home, g.server("demo"))
		}
		text = strings.ReplaceAll(text, "http://GRAFANA:3000", g.own.url)
	}
	if b.on != "" {
		s := g.server(b.on)
		if s == nil || s.program == nil {
			return fmt.Errorf("no block has started a server %s", b.on)
		}
		text = s.replacer().Replace(text)
		env = append(env, "GPUSTACK_SERVER_URL="+s.url())
	}
	if b.before != "" {
		s := g.newServer()
		g.servers[b.before] = s
		text = strings.ReplaceAll(s.replacer().Replace(text), "OLD_PROMETHEUS_DATA", g.oldData)
	}
	if b.install {
		env = append(env, mirror(t)...)
	}
	limit := startLimit
	if b.retry {
		limit = 30 * time.Second
	}
	var err error
	for begin := time.Now(); ; time.Sleep(500 * time.Millisecond) {
		if err = g.once(t.Context(), b, text, env, limit); err == nil || !b.retry || time.Since(begin) > limit {
			return err
		}
	}
}

func (g *guide) once(ctx context.Context, b *block, text string, env []string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", g.vars+text)
	cmd.SysProcAttr = g.user
	cmd.Dir, cmd.Env = filepath.Join(g.dir, b.in), env
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && !b.fails:
		return fmt.Errorf("%w; it printed\n%s", err, out)
	case err == nil && b.fails:
		return fmt.Errorf("it succeeds, but the page says that it fails; it printed\n%s", out)
	}
	for _, want := range b.expect {
		if !strings.Contains(string(out), want) {
			return fmt.Errorf("it doesn't print %q but\n%s", want, out)
		}
	}
	if b.output != "" {
		return matches(b.output, string(out))
	}
	return nil
}

// ask puts a page's queries, a line each, to the demo's Prometheus.
func (g *guide) ask(b *block) error {
	s := g.server("demo")
	for query := range strings.Lines(b.text) {
		if query = strings.TrimSpace(query); query == "" {
			continue
		}
		var err error
		for begin := time.Now(); ; time.Sleep(500 * time.Millisecond) {
			if err = answers(s, query); err == nil || !b.retry || time.Since(begin) > 30*time.Second {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkScrapeConfig has a page's Prometheus configuration checked by Prometheus' own tool.
func (g *guide) checkScrapeConfig(t *testing.T, b *block) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(prometheusDir(t), "promtool"), "check", "config", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("promtool check config: %w\n%s", err, out)
	}
	return nil
}
