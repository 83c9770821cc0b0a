package configfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/configfile"
)

type cli struct {
	Config configfile.Flag   `name:"config-file" env:"GPUSTACK_CONFIG_FILE"`
	Name   string            `env:"GPUSTACK_NAME" default:"host"`
	Port   int               `name:"metrics-port" env:"GPUSTACK_METRICS_PORT" default:"10151"`
	Every  time.Duration     `default:"10s"`
	Off    bool              `name:"disable-metrics" env:"GPUSTACK_DISABLE_METRICS"`
	Engine []string          `sep:"none" key:"engines"`
	Label  map[string]string `key:"labels"`
	Format string            `enum:"text,json" default:"text"`
	Secret string            `key:"-"`

	Serve struct{} `cmd:"" default:"1"`
	Other struct {
		Colour string `default:"red"`
	} `cmd:""`
}

func parse(t *testing.T, args ...string) (cli, error) {
	t.Helper()
	var c cli
	k, err := kong.New(&c, configfile.Booleans(), kong.Exit(func(int) { t.Fatal("exit") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(args)
	return c, err
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stackscope.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const full = `
name: 007
metrics_port: 1234
every: 1m
disable_metrics: true
engines:
  - url=http://a:1,model=x
  - url: http://b:2
    model: "a,b\\c"
labels: {rack: 4, zone: b}
format: json
colour: blue   # another command's
`

func TestFileStandsBetweenEnvironmentAndDefault(t *testing.T) {
	path := file(t, full)
	t.Setenv("GPUSTACK_METRICS_PORT", "777")
	got, err := parse(t, "--config-file", path, "--format=text")
	if err != nil {
		t.Fatal(err)
	}
	want := cli{
		Config: configfile.Flag(path), Name: "007", Port: 777, Every: time.Minute, Off: true,
		Engine: []string{"url=http://a:1,model=x", `model=a\,b\\c,url=http://b:2`},
		Label:  map[string]string{"rack": "4", "zone": "b"}, Format: "text",
	}
	want.Other.Colour = "red"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFileNamedByEnvironment(t *testing.T) {
	t.Setenv("GPUSTACK_CONFIG_FILE", file(t, "metrics_port: 5\nname: from file"))
	got, err := parse(t, "--name", "from flag")
	if err != nil {
		t.Fatal(err)
	}
	if got.Port != 5 || got.Name != "from flag" {
		t.Errorf("got port %d and name %q", got.Port, got.Name)
	}
}

// Keys of commands that read no file are accepted, as before, but not advised.
func TestAdvisedKeys(t *testing.T) {
	var c struct {
		Serve struct {
			Config configfile.Flag `name:"config-file"`
			Port   int
		} `cmd:""`
		Save struct {
			Archive string
		} `cmd:""`
	}
	k, err := kong.New(&c, kong.Exit(func(int) { t.Fatal("exit") }))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"archive: x\n":    "",
		"archivo: x\n":    `unknown key "archivo": known keys are port`,
		"zzzzzzzzzz: 5\n": `unknown key "zzzzzzzzzz": known keys are port`,
		"prot: 5\n":       `unknown key "prot": did you mean "port"?`,
	} {
		_, err := k.Parse([]string{"serve", "--config-file", file(t, text)})
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.HasSuffix(err.Error(), want)):
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestEmptyFileChangesNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "name:\n", "null\n"} {
		got, err := parse(t, "--config-file", file(t, text))
		if err != nil || got.Name != "host" {
			t.Errorf("%q: got name %q, error %v", text, got.Name, err)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

func TestFaultsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		"name: x\nmetrics_prot: 5\n":          `F:2: unknown key "metrics_prot": did you mean "metrics_port"?`,
		"zzzzzzzzzz: 5\n":                     `F:1: unknown key "zzzzzzzzzz": known keys are colour, disable_metrics, engines, every, format, labels, metrics_port, name`,
		"zzzzzzzzzz: 5\nyyyyyyyyyy: 5\n":      `metrics_port, name; config file F:2: unknown key "yyyyyyyyyy"`,
		"secret: x\n":                         `unknown key "secret"`,
		"config_file: x\n":                    `unknown key "config_file"`,
		"metrics_port: many\n":                `F:1: metrics_port: expected a valid 64 bit int but got "many"`,
		"metrics_port: [1]\n":                 `F:1: metrics_port: got a list, want one value`,
		"disable_metrics: maybe\n":            `F:1: disable_metrics: got "maybe", want true or false`,
		"every: 5\n":                          `F:1: every: got 5, want a time with its unit`,
		"every: soon\n":                       `every: expected duration but got "soon"`,
		"labels: [a]\n":                       `labels: got a list, want keys with values`,
		"labels:\n  a: b\n  a: c\n":           `labels: a on line 3: stands here twice`,
		"engines:\n  - [x]\n":                 `engines: entry 1 on line 2: got a list`,
		"engines:\n  - url: {a: b}\n":         `engines: entry 1 on line 2: url on line 2: got keys with values, want one value`,
		"format: xml\n":                       `format: got "xml", want one of text, json`,
		"name: a\nname: b\n":                  `F:2: key "name" stands on line 1 already`,
		"- a\n":                               `F:1: got a list at the top, want keys with values`,
		"name: a\n---\nname: b\n":             `holds more than one YAML document`,
		"name: [\n":                           `config file F: yaml: `,
		manyKeys(1001):                        `has 1001 keys; at most 1000 are possible`,
		"a1111: 1\nb1111: 2\nmetrics_port: x": `F:2: unknown key "b1111"`,
	} {
		path := file(t, text)
		_, err := parse(t, "--config-file", path)
		if err == nil {
			t.Errorf("%q: no error", text)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), path, "F"); !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
	if _, err := parse(t, "--config-file", "/nonexistent/x.yaml"); err == nil || !strings.Contains(err.Error(), "config file /nonexistent/x.yaml: no such file or directory; give the path") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := parse(t, "--config-file", file(t, strings.Repeat("# x\n", configfile.MaxBytes/4+1))); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large file: %v", err)
	}
}

func TestBooleanEnvironment(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "TRUE": true, "1": true, "yes": false, "on": false, "0": false, "false": false, "": false} {
		t.Setenv("GPUSTACK_DISABLE_METRICS", value)
		got, err := parse(t)
		if err != nil || got.Off != want {
			t.Errorf("%q: got %v, %v; want %v", value, got.Off, err, want)
		}
	}
	t.Setenv("GPUSTACK_DISABLE_METRICS", "true")
	if got, err := parse(t, "--disable-metrics=false"); err != nil || got.Off {
		t.Errorf("flag over environment: got %v, %v", got.Off, err)
	}
	if _, err := parse(t, "--disable-metrics=nonsense"); err == nil {
		t.Error("--disable-metrics=nonsense: no error")
	}
}

func FuzzFile(f *testing.F) {
	f.Add(full)
	f.Add("a: &x [1, {b: *x}]")
	f.Add("engines: &e\n  - url: x\nlabels: *e\n")
	f.Fuzz(func(t *testing.T, text string) {
		var c cli
		k, err := kong.New(&c, configfile.Booleans())
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Parse([]string{"--config-file", file(t, text)})
		if err != nil && strings.Contains(err.Error(), "\n") && !strings.Contains(text, "\n") {
			t.Errorf("error of several lines: %v", err)
		}
	})
}
