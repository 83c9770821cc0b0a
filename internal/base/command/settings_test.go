package command

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type settingsCommand struct {
	Common
	Token     Token             `env:"TEST_TOKEN"`
	TokenFile string            `env:"TEST_TOKEN_FILE"`
	Password  string            `name:"grafana-admin-password"`
	Plain     bool              `name:"token-plain"`
	Engine    []string          `sep:"none"`
	Labels    map[string]string `mapsep:","`
	Port      *int
	None      *int
	Every     time.Duration `default:"15s"`
	URL       string        `env:"TEST_URL"`
	Level     string        `default:"x"`
}

var lastSettings []Setting

func (c *settingsCommand) Run(e *Env) error {
	lastSettings = e.Settings
	return nil
}

func TestSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("level: of-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_TOKEN", "of-the-environment")
	t.Setenv("TEST_URL", "https://me:pass@host:9090/path?key=abc#end")
	var grammar struct {
		Do settingsCommand `cmd:""`
	}
	args := []string{
		"do", "--config-file", file, "--grafana-admin-password=hunter2", "--engine", "url=http://u:p@127.0.0.1:8000?api_key=x,model=m", "--engine=b", "--labels=b=2,a=1",
		"--port=0", "--token-plain", "--token-file=/t",
	}
	var out bytes.Buffer
	if code := run("prog", "", &grammar, args, &Env{Context: t.Context(), Stdout: &out, Stderr: &out}); code != 0 {
		t.Fatal(out.String())
	}
	want := []Setting{
		{"--config-file", file, false, FromFlag},
		{"--debug", "false", false, FromDefault},
		{"--log-level", "info", false, FromDefault},
		{"--log-format", "text", false, FromDefault},
		{"--token", "", true, FromEnvironment},
		{"--token-file", "/t", false, FromFlag},
		{"--grafana-admin-password", "", true, FromFlag},
		{"--token-plain", "true", false, FromFlag},
		{"--engine", "url=http://...@127.0.0.1:8000?...,model=m,b", false, FromFlag},
		{"--labels", "a=1,b=2", false, FromFlag},
		{"--port", "0", false, FromFlag},
		{"--none", "", false, FromDefault},
		{"--every", "15s", false, FromDefault},
		{"--url", "https://...@host:9090/path?...#end", false, FromEnvironment},
		{"--level", "of-a-file", false, FromFile},
	}
	if diff := cmp.Diff(want, lastSettings); diff != "" {
		t.Error(diff)
	}
}
