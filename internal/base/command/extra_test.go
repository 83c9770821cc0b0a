package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type quiet struct{}

func (*quiet) Run(*Env) error { return nil }

// tree is a program with commands, as stackscope.
type tree struct {
	Start struct {
		quiet
		Common
		DataDir string `help:"Directory for data. More of it." placeholder:"DIR"`
		Hidden  string `hidden:""`
	} `cmd:"" help:"Run both. Twice."`
	Worker struct {
		Run struct {
			quiet
			TokenFile string `short:"t" help:"Token." placeholder:"FILE"`
		} `cmd:"" default:"withargs" help:"Run one."`
		List quiet `cmd:"" help:"List them."`
	} `cmd:"" help:"Workers."`
	Check struct {
		quiet
		File string `arg:"" help:"Document."`
	} `cmd:"" help:"Check."`
	Extra
}

// alone is a program whose only command has no name, as stackscope-worker.
type alone struct {
	quiet
	LogFormat string `help:"Format." enum:"text,json" default:"text"`
}

func runs(t *testing.T, name string, grammar any, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	code = run(name, "It is a program.", grammar, args, &Env{Context: t.Context(), Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), code
}

func TestVersionAndHelp(t *testing.T) {
	for _, program := range []struct {
		name    string
		grammar func() any
	}{{"stackscope", func() any { return new(tree) }}, {"stackscope-worker", func() any { return new(alone) }}} {
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"version"}, `^` + program.name + ` \S+ \(revision .*go1`},
			{[]string{"--version"}, `^` + program.name + ` \S+ \(revision .*go1`},
			{[]string{"version", "--json"}, `^\{"go":"go1.*"version":`},
			{[]string{"help"}, `^Usage: ` + program.name + ` `},
			{[]string{"--help"}, `^Usage: ` + program.name + ` `},
			{[]string{"completion", "--help"}, `source <\(`},
		} {
			out, stderr, code := runs(t, program.name, program.grammar(), c.args...)
			if code != 0 || stderr != "" || !regexp.MustCompile(c.want).MatchString(out) {
				t.Errorf("%s %q: exit code %d, %s%s", program.name, c.args, code, out, stderr)
			}
		}
	}
	for _, args := range [][]string{{"help", "worker", "run"}, {"help", "start"}} {
		out, _, code := runs(t, "stackscope", new(tree), args...)
		if want := "Usage: stackscope " + strings.Join(args[1:], " "); code != 0 || !strings.HasPrefix(out, want) {
			t.Errorf("%q: %d, %s", args, code, out)
		}
	}
	for want, args := range map[string][]string{
		"stackscope: error: there is no command \"serve\"; run `stackscope help` for the commands\n":              {"help", "serve"},
		"stackscope: error: there is no command \"worker lits\"; run `stackscope help worker` for the commands\n": {"help", "worker", "lits"},
	} {
		if _, stderr, code := runs(t, "stackscope", new(tree), args...); code != 1 || stderr != want {
			t.Errorf("%q: %d, %s", args, code, stderr)
		}
	}
	if _, stderr, code := runs(t, "stackscope-worker", new(alone), "completion", "csh"); code != 1 || !strings.Contains(stderr, `"bash","zsh","fish" but got "csh"`) {
		t.Errorf("%d, %s", code, stderr)
	}
}

// Answers are the candidates and what else may stand there.
func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		words string // the last one is completed
		want  string
	}{
		{"", "start worker check healthcheck version config completion help :nothing"},
		{"worker ", "run list :nothing"},
		{"worker --", "--help --token-file :nothing"},
		{"worker run -t ", ":files"},
		{"worker --token-file ", ":files"},
		{"worker --token-file=", ":files"},
		{"worker --token-file x ", "run list :nothing"},
		{"worker --token-file = x", ":files"}, // as bash splits it
		{"start --data-dir ", ":directories"},
		{"start --log-level ", "debug info warn error :nothing"},
		{"start --log-level=d", "--log-level=debug --log-level=info --log-level=warn --log-level=error :nothing"},
		{"start --log-level = d", "debug info warn error :nothing"},
		{"start --log-level =", "debug info warn error :nothing"},
		{"start -- --", ":nothing"},
		{"start --no-such ", "--help --config-file --debug --log-level --log-format --data-dir :nothing"},
		{"start --debug ", "--help --config-file --debug --log-level --log-format --data-dir :nothing"},
		{"check ", ":files"},
		{"check x ", "--help :nothing"},
		{"completion ", "bash zsh fish :nothing"},
		{"help ", "start worker check healthcheck version config completion help :nothing"},
		{"help worker ", "run list :nothing"},
		{"help no such ", ":nothing"},
	} {
		words := append([]string{candidatesCommand}, strings.Split(c.words, " ")...)
		out, stderr, code := runs(t, "stackscope", new(tree), words...)
		var got []string
		for line := range strings.Lines(out) {
			value, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			got = append(got, value)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" || code != 0 || stderr != "" {
			t.Errorf("%q (-want +got), %d %s:\n%s", c.words, code, stderr, diff)
		}
	}
	for words, want := range map[string]string{
		"": "healthcheck version config completion help --help --log-format :nothing", "--log-format ": "text json :nothing", "completion ": "bash zsh fish :nothing", "config ": "check example :nothing", "config check ": ":files",
	} {
		out, _, _ := runs(t, "stackscope-worker", new(alone), append([]string{candidatesCommand}, strings.Split(words, " ")...)...)
		if got := strings.Join(strings.Fields(regexp.MustCompile(`\t.*`).ReplaceAllString(out, "")), " "); got != want {
			t.Errorf("%q: %s", words, got)
		}
	}
	out, _, _ := runs(t, "stackscope", new(tree), candidatesCommand, "")
	if !strings.HasPrefix(out, "start\tRun both\nworker\tWorkers\n") {
		t.Errorf("without what they are: %s", out)
	}
}

// TestMain lets this test's program stand in for stackscope where STACKSCOPE_COMPLETES is set.
func TestMain(m *testing.M) {
	if os.Getenv("STACKSCOPE_COMPLETES") != "" {
		Main("stackscope", "It is a program.", new(tree))
	}
	os.Exit(m.Run())
}

// inShell writes a shell's script, puts this test's program into PATH as stackscope and runs text in the shell.
func inShell(t *testing.T, shell, text string) string {
	t.Helper()
	program, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s is not on this machine", shell)
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "stackscope")); err != nil {
		t.Fatal(err)
	}
	script, _, code := runs(t, "stackscope", new(tree), "completion", shell)
	if code != 0 {
		t.Fatal(code)
	}
	for name, content := range map[string]string{"script": script, "a file": "", "a-directory/x": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-c", text)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "STACKSCOPE_COMPLETES=1", "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, script)
	}
	return string(out)
}

func TestBashCompletes(t *testing.T) {
	for _, c := range []struct{ words, want string }{
		{`""`, "check completion config healthcheck help start version worker"},
		{`st`, "start"},
		{`worker ""`, "list run"},
		{`start --log-le`, "--log-level"},
		{`start --log-level w`, "warn"},
		{`start --log-level =`, "debug error info warn"},
		{`start --log-level = e`, "error"},
		{`start --data-dir ""`, "a-directory"},
		{`check "a "`, "a file"},
		{`check nothing`, ""},
	} {
		got := inShell(t, "bash", `source script
COMP_WORDS=(stackscope `+c.words+`) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_stackscope
complete -p stackscope >&2
printf '%s\n' "${COMPREPLY[@]}"`)
		registered, list, _ := strings.Cut(got, "\n")
		lines := slices.Sorted(strings.Lines(list))
		if all := strings.TrimSpace(strings.ReplaceAll(strings.Join(lines, ""), "\n", " ")); all != c.want || !strings.Contains(registered, "-F _stackscope stackscope") {
			t.Errorf("%s: got %q, want %q (%s)", c.words, all, c.want, registered)
		}
	}
}

func TestZshReadsItsScript(t *testing.T) {
	if out := inShell(t, "zsh", `zsh -n script && autoload -U compinit && compinit -u && source script && print -r -- $_comps[stackscope]`); strings.TrimSpace(out) != "_stackscope" {
		t.Errorf("%s", out)
	}
}

func TestFishCompletes(t *testing.T) {
	if out := inShell(t, "fish", `fish -n script; and source script; and complete -C "stackscope start --log-level w"; and complete -C "stackscope wor"`); out != "warn\nworker\tWorkers\n" {
		t.Errorf("%q", out)
	}
}
