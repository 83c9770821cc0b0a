package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
	"github.com/stackscope/stackscope/tests/programs/pty"
)

// nineLines is a document with one metric, which an author may take for an addition.
const nineLines = `gpustack_metrics:
  gpustack:num_requests_running:
    type: gauge
    description: Running.
runtime_mapping:
  vLLM:
    "*":
      vllm:num_requests_running:
        gpustack:num_requests_running
`

// addedLine adds a metric to the built-in document.
const addedLine = `extends: default
gpustack_metrics:
  gpustack:my_running: {type: gauge, description: Running.}
runtime_mapping:
  vLLM:
    "*":
      vllm:num_requests_running: [gpustack:num_requests_running, gpustack:my_running]
`

func (s *setup) cli(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), programs.Path(s.t, "stackscope"), append(args, "--server-url", s.api(""))...)
	cmd.Env = append(simgrafana.Environ(), "HOME="+s.t.TempDir(), "TERM=xterm", "NO_COLOR=1")
	return cmd
}

// mapping runs a command of the mapping without a terminal.
func (s *setup) mapping(want int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	cmd := s.cli(append([]string{"mapping"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err, code = nil, exit.ExitCode()
	}
	if err != nil || code != want {
		s.t.Fatalf("mapping %v: %v, exit code %d, want %d\n%s\n%s", args, err, code, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// history returns the generations, the newest first.
func (s *setup) history() []wire.Generation {
	s.t.Helper()
	out, _ := s.mapping(0, "history", "--json")
	var list wire.List[wire.Generation]
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		s.t.Fatal(err)
	}
	return list.Items
}

func (s *setup) awaitActive(want int64) {
	s.t.Helper()
	for _, g := range s.history() {
		if g.Active && g.Number != want {
			s.t.Fatalf("generation %d is active, want %d", g.Number, want)
		}
	}
	programs.Eventually(s.t, 30*time.Second, fmt.Sprintf("the worker has generation %d", want), func() error {
		page, err := programs.Get(s.workerPage())
		if err != nil {
			return err
		}
		if !regexp.MustCompile(`(?m)^gpustack:metrics_config_applied_generation\S* ` + strconv.FormatInt(want, 10) + `$`).MatchString(page) {
			return errors.New("it has another one")
		}
		return nil
	})
}

// metrics says which of the unified metrics the worker's page has.
func (s *setup) metrics(names ...string) string {
	s.t.Helper()
	page, err := programs.Get(s.workerPage())
	if err != nil {
		s.t.Fatal(err)
	}
	var have []string
	for _, name := range names {
		if strings.Contains(page, "\n"+name+"{") {
			have = append(have, name)
		}
	}
	return strings.Join(have, " ")
}

func TestMappingIsChangedWithoutFear(t *testing.T) {
	s := newSetup(t)
	const running, mine, tokens = "gpustack:num_requests_running", "gpustack:my_running", "gpustack:prompt_tokens_total"
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	nine, added := write("nine.yaml", nineLines), write("added.yaml", addedLine)
	programs.Eventually(t, 60*time.Second, "a dry run reaches the engine", func() error {
		out, _ := s.mapping(0, "dry-run", "--default", "--json")
		var run wire.MappingDryRun
		if err := json.Unmarshal([]byte(out), &run); err != nil {
			return err
		}
		if len(run.Workers) != 1 || len(run.Workers[0].Instances) != 1 || run.Workers[0].Instances[0].Before == nil || run.Workers[0].Instances[0].Before.Series < 50 {
			return errors.New(out)
		}
		return nil
	})

	t.Log("without a terminal nothing is changed, and the number of series is named")
	_, said := s.mapping(3, "set", nine)
	m := regexp.MustCompile(`error: (\d+) series of (\d+) metrics would vanish.*nothing was changed; --merge.*--yes`).FindStringSubmatch(said)
	if m == nil {
		t.Fatal(said)
	}
	t.Log(m[0])
	out, _ := s.mapping(3, "dry-run", nine, "--json")
	var run wire.MappingDryRun
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		t.Fatal(err)
	}
	if strconv.Itoa(run.Removed) != m[1] || run.Removed < 50 {
		t.Errorf("the dry run has %d series that vanish", run.Removed)
	}
	s.awaitActive(0)

	t.Log("at a terminal it asks")
	question := m[1] + " series of " + m[2] + " metrics vanish. Activate it? [y/N] "
	session := pty.Start(t, s.cli("mapping", "set", nine), 120, 50)
	session.Await(question)
	session.Type("n\n")
	if code := session.ExitCode(); code != 1 || !strings.HasSuffix(session.Screen(), "nothing was changed\n") {
		t.Fatalf("no: exit code %d", code)
	}
	s.awaitActive(0)
	session = pty.Start(t, s.cli("mapping", "set", nine, "--author", "alice"), 120, 50)
	session.Await(question)
	session.Type("y\n")
	session.Await("Comment for the history (may be empty): ")
	session.Type("one metric is enough\n")
	if code := session.ExitCode(); code != 0 || !strings.Contains(session.Screen(), "generation 1 is active, sent to 1 worker\n") {
		t.Fatalf("yes: exit code %d", code)
	}
	s.awaitActive(1)
	if have := s.metrics(running, mine, tokens); have != running {
		t.Errorf("under nine lines the page has %s", have)
	}

	t.Log("the generation before comes back")
	if out, _ := s.mapping(0, "restore", "0", "--comment", "no, it is not"); !strings.Contains(out, "generation 2 is active") {
		t.Error(out)
	}
	s.awaitActive(2)
	if have := s.metrics(running, mine, tokens); have != running+" "+tokens {
		t.Errorf("after the restore the page has %s", have)
	}

	t.Log("merged, one is added and none removed")
	out, _ = s.mapping(0, "dry-run", added, "--json")
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		t.Fatal(err)
	}
	if run.Added != 1 || run.Removed != 0 || run.Changed != 0 {
		t.Errorf("%d added, %d removed, %d changed", run.Added, run.Removed, run.Changed)
	}
	s.mapping(0, "dry-run", nine, "--merge")
	s.mapping(0, "set", added, "--comment", "mine, too")
	s.awaitActive(3)
	if have := s.metrics(running, mine, tokens); have != running+" "+mine+" "+tokens {
		t.Errorf("under the overlay the page has %s", have)
	}
	s.mapping(1, "diff", "@2", "@3")
	s.mapping(3, "restore", "1")
	s.mapping(0, "restore", "1", "--yes", "--comment", "anyway")
	s.mapping(0, "restore", "3", "--comment", "and back")
	s.awaitActive(5)

	t.Log("the history has all of it, also after kill -9 of the server")
	s.server.Stop(9)
	s.startServer()
	var got []string
	for _, g := range s.history() {
		from := ""
		if g.RestoredFrom != nil {
			from = fmt.Sprintf(" from %d", *g.RestoredFrom)
		}
		if g.Number > 0 {
			got = append(got, fmt.Sprintf("%d %s%s", g.Number, g.Comment, from))
		}
		if g.Number == 1 && g.Author != "alice" {
			t.Errorf("generation 1 is of %q", g.Author)
		}
	}
	if want := "5 and back from 3; 4 anyway from 1; 3 mine, too; 2 no, it is not from 0; 1 one metric is enough"; strings.Join(got, "; ") != want {
		t.Errorf("history: %s, want %s", strings.Join(got, "; "), want)
	}
}

// What the mapping does not name is found on live engines, and can be mapped by what is printed.
func TestUnmappedMetricsOfALiveEngine(t *testing.T) {
	s := newSetup(t)
	programs.Eventually(t, 60*time.Second, "the engine's page can be read", func() error {
		cmd := s.cli("mapping", "translate", "qwen3-8b-0")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("gpustack:num_requests_running{")) {
			return fmt.Errorf("%w: %.500s", err, out)
		}
		return nil
	})
	out, _ := s.mapping(0, "unmapped")
	if !strings.HasPrefix(out, "vLLM ") || !strings.Contains(out, " (qwen3-8b-0): ") {
		t.Errorf("%.500s", out)
	}
	printed, _ := s.mapping(0, "unmapped", "qwen3-8b-0", "--yaml")
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, []byte(regexp.MustCompile(`(?m)^# `).ReplaceAllString(printed, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), "mapping", "check", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, printed)
	}
	out, _ = s.mapping(0, "dry-run", path)
	t.Log(strings.SplitN(out, "\n", 2)[0])
	s.mapping(0, "set", path, "--comment", "everything")
	programs.Eventually(t, 30*time.Second, "nothing but what cannot be mapped is left", func() error {
		out, _ := s.mapping(0, "unmapped", "--json")
		var answer struct {
			Blocks []struct{ Metrics []struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			return err
		}
		for _, m := range answer.Blocks[0].Metrics {
			if !strings.Contains(printed, "left out: "+m.Name+" ") && !strings.HasSuffix(m.Name, "_created") {
				return fmt.Errorf("%s is unmapped", m.Name)
			}
		}
		return nil
	})
}
