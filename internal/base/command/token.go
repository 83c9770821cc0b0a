package command

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/configfile"
	"github.com/stackscope/stackscope/internal/base/secret"
)

// Token is a flag whose value is a secret. It has a flag --token-file beside it that names a file with the secret.
type Token struct {
	Text string
	// Shown says that it stands on the command line, where others on this machine see it in the list of processes.
	Shown bool

	from, fileFrom string // where the two flags were given, other than on the command line
}

// The files in a server's data directory that hold tokens.
const (
	JoinTokenFile  = "worker-token"
	AdminTokenFile = "admin-token"
)

// Decode implements kong.MapperValue.
func (t *Token) Decode(ctx *kong.DecodeContext) error {
	return ctx.Scan.PopValueInto("token", &t.Text)
}

// locate finds out where the tokens of a command were given.
func locate(ctx *kong.Context) {
	fileFrom := ""
	var tokens []*Token
	for _, flag := range ctx.Flags() {
		if flag.Name == "token-file" {
			_, fileFrom = origin(ctx, flag)
		}
		if !flag.Target.CanAddr() {
			continue
		}
		if t, ok := reflect.TypeAssert[*Token](flag.Target.Addr()); ok {
			t.Shown, t.from = origin(ctx, flag)
			tokens = append(tokens, t)
		}
	}
	for _, t := range tokens {
		t.fileFrom = fileFrom
	}
}

// origin says whether a flag was given on the command line, and where else.
func origin(ctx *kong.Context, flag *kong.Flag) (given bool, elsewhere string) {
	for _, p := range ctx.Path {
		if p.Flag == nil || p.Flag.Value != flag.Value {
			continue
		}
		if !p.Resolved {
			return true, ""
		}
		elsewhere = " (from " + configfile.Key(flag) + " in --config-file)"
	}
	if elsewhere != "" {
		return false, elsewhere
	}
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return false, " (from the environment, " + name + ")"
		}
	}
	return false, ""
}

// Source says where the token that Value returns was given; empty if there is none.
func (t *Token) Source(file string) string {
	switch {
	case file != "":
		return "--token-file " + file + t.fileFrom
	case strings.TrimSpace(t.Text) != "":
		return "--token" + t.from
	}
	return ""
}

// Value returns the token, from file if one is given; empty if there is neither. A server has it in the file named original.
func (t *Token) Value(file, original string) (string, error) {
	text := strings.TrimSpace(t.Text)
	switch {
	case file == "":
		return text, nil
	case text != "":
		return "", fmt.Errorf("%s: a token is given besides it, by --token%s: give one of the two", t.Source(file), t.from)
	}
	text, err := secret.ReadFile(file)
	if err == nil && text == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w; give a copy of %s in the server's data directory that this user may read", t.Source(file), err, original)
	}
	return text, nil
}
