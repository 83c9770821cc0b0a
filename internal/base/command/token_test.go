package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type tokenCommand struct {
	Common
	TokenFile string `env:"TEST_TOKEN_FILE"`
	Token     Token  `short:"t" env:"TEST_TOKEN"`
	Other     string
}

var lastToken struct {
	text, from string
	shown      bool
}

func (c *tokenCommand) Run(*Env) error {
	text, err := c.Token.Value(c.TokenFile, AdminTokenFile)
	lastToken.text, lastToken.shown, lastToken.from = text, c.Token.Shown, c.Token.Source(c.TokenFile)
	return err
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file, none, two := write("token", " of-a-file\n"), write("empty", "\n"), write("two", "of two\n")
	settings := write("settings.yaml", "token: of-settings\n")
	for _, tt := range []struct {
		name    string
		args    []string
		env     string // the token in the environment
		envFile string // the file in the environment
		from    string // "": it is not looked at
		want    string
		shown   bool
		err     []string
	}{
		{name: "none"},
		{name: "a flag", args: []string{"--token", " of-a-flag "}, from: "--token", want: "of-a-flag", shown: true},
		{name: "a short flag", args: []string{"-t", "of-a-flag"}, want: "of-a-flag", shown: true},
		{name: "the environment", args: []string{"--other=--token"}, env: "of-env", want: "of-env", from: "--token (from the environment, TEST_TOKEN)"},
		{name: "a flag before the environment", args: []string{"--token=of-a-flag"}, env: "of-env", want: "of-a-flag", from: "--token", shown: true},
		{name: "settings", args: []string{"--config-file", settings}, want: "of-settings", from: "--token (from token in --config-file)"},
		{name: "a file", args: []string{"--token-file", file}, want: "of-a-file", from: "--token-file " + file},
		{name: "both", args: []string{"--token-file", file, "--token", "x"}, shown: true, err: []string{file, "one of the two"}},
		{name: "both, from the environment", args: []string{"--token-file", file}, env: "x", err: []string{"--token-file " + file + ": a token is given besides it, by --token (from the environment, TEST_TOKEN): give one of the two"}},
		{name: "both, the file from the environment", args: []string{"--token=x"}, envFile: file, shown: true, err: []string{"--token-file " + file + " (from the environment, TEST_TOKEN_FILE): a token is given besides it, by --token: give"}},
		{name: "both, from settings", args: []string{"--config-file", settings, "--token-file", file}, err: []string{"by --token (from token in --config-file)"}},
		{name: "a file that the environment names", envFile: file, want: "of-a-file", from: "--token-file " + file + " (from the environment, TEST_TOKEN_FILE)"},
		{name: "no such file, named by the environment", envFile: filepath.Join(dir, "no"), err: []string{"no (from the environment, TEST_TOKEN_FILE): no such file"}},
		{name: "a file with a byte order mark", args: []string{"--token-file", write("bom", "\uFEFFof-an-editor\r\n")}, want: "of-an-editor"},
		{name: "no such file", args: []string{"--token-file", filepath.Join(dir, "no")}, err: []string{"--token-file", "no such file", "copy of admin-token"}},
		{name: "an empty file", args: []string{"--token-file", none}, err: []string{"--token-file", "empty", "copy of admin-token"}},
		{name: "a file with two words", args: []string{"--token-file", two}, err: []string{"--token-file", "one word"}},
		{name: "a directory", args: []string{"--token-file", dir}, err: []string{"--token-file", "directory"}},
		{name: "a large file", args: []string{"--token-file", write("large", strings.Repeat("x", 5000))}, err: []string{"--token-file", "4096 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.env != "" {
				t.Setenv("TEST_TOKEN", tt.env)
			}
			if tt.envFile != "" {
				t.Setenv("TEST_TOKEN_FILE", tt.envFile)
			}
			lastToken.text, lastToken.from, lastToken.shown = "", "", false
			var stderr bytes.Buffer
			var grammar struct {
				Do tokenCommand `cmd:""`
			}
			code := run("prog", "", &grammar, append([]string{"do"}, tt.args...), &Env{Context: t.Context(), Stdout: &stderr, Stderr: &stderr})
			if (code != 0) != (tt.err != nil) {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			for _, want := range tt.err {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("lacks %q: %s", want, stderr.String())
				}
			}
			if tt.from != "" && lastToken.from != tt.from {
				t.Errorf("it is from %q, want %q", lastToken.from, tt.from)
			}
			if strings.Contains(stderr.String(), "of two") || strings.Contains(stderr.String(), "xxxx") {
				t.Errorf("tells the content: %s", stderr.String())
			}
			if lastToken.text != tt.want || lastToken.shown != tt.shown {
				t.Errorf("%q, shown %t; want %q, %t", lastToken.text, lastToken.shown, tt.want, tt.shown)
			}
		})
	}
}
