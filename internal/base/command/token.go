package command

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/secret"
)

// Token is a flag whose value is a secret. It has a flag beside it that names a file with the secret.
type Token struct {
	Text string
	// Shown says that it stands on the command line, where others on this machine see it in the list of processes.
	Shown bool
}

// Decode implements kong.MapperValue.
func (t *Token) Decode(ctx *kong.DecodeContext) error {
	return ctx.Scan.PopValueInto("token", &t.Text)
}

// AfterApply is called by kong.
func (t *Token) AfterApply(ctx *kong.Context) error {
	for _, p := range ctx.Path {
		t.Shown = t.Shown || p.Flag != nil && !p.Resolved && p.Flag.Target.CanAddr() && p.Flag.Target.Addr().Interface() == any(t)
	}
	return nil
}

const wanted = "give a copy of worker-token, or for commands of admin-token, in the server's data directory that this user may read"

// Value returns the token, from file if one is given; empty if there is neither.
func (t *Token) Value(file string) (string, error) {
	text := strings.TrimSpace(t.Text)
	switch {
	case file == "":
		return text, nil
	case text != "":
		return "", fmt.Errorf("--token-file %s: a token is given besides it, by --token or in the environment: give one of the two", file)
	}
	text, err := secret.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--token-file %s: %w; %s", file, err, wanted)
	}
	if text == "" {
		return "", fmt.Errorf("--token-file %s: it is empty; %s", file, wanted)
	}
	return text, nil
}
