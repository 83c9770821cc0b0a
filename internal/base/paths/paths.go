// Package paths removes file paths from error texts that are sent to unauthenticated clients. Errors name files for the operator, but any
// client can cause an error.
package paths

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

type clientKey struct{}

// WithClient returns the context of a request. maySee reports whether its client may see file paths. It is called at most once, when a
// response would contain one.
func WithClient(ctx context.Context, maySee func() bool) context.Context {
	return context.WithValue(ctx, clientKey{}, sync.OnceValue(maySee))
}

// MaySee reports whether the client of the request may see file paths. Without WithClient it may not.
func MaySee(ctx context.Context) bool {
	maySee, ok := ctx.Value(clientKey{}).(func() bool)
	return ok && maySee()
}

// Hidden is a directory that unauthenticated clients see under another name.
type Hidden struct{ replacer *strings.Replacer }

// Hide hides a directory behind a name, such as DATA_DIR. It recognizes the directory also by its absolute path, by the target of a
// symbolic link, and escaped in JSON.
func Hide(dir, name string) *Hidden {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	spellings := []string{abs}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		spellings = append(spellings, real)
	}
	if filepath.IsAbs(dir) {
		spellings = append(spellings, strings.TrimRight(dir, "/"))
	}
	for _, path := range spellings {
		if text, err := json.Marshal(path); err == nil {
			spellings = append(spellings, strings.Trim(string(text), `"`))
		}
	}
	spellings = slices.DeleteFunc(spellings, func(path string) bool { return path == "" || path == "/" })
	slices.SortFunc(spellings, func(a, b string) int { return len(b) - len(a) }) // strings.Replacer uses the first one that matches
	var pairs []string
	for _, path := range slices.Compact(spellings) {
		pairs = append(pairs, path, name)
	}
	return &Hidden{strings.NewReplacer(pairs...)}
}

// Name replaces the directory in text by the name.
func (h *Hidden) Name(text string) string {
	if h == nil {
		return text
	}
	return h.replacer.Replace(text)
}

// absolutePath matches an absolute path in an error's text. It does not match the path of a URL, which follows a host.
var absolutePath = regexp.MustCompile(`(^|[\s"'(=\[])/[^\s/"'()\[\];,:][^\s"'()\[\];,]*`)

// Strip replaces the directory as Name does, and every other absolute path in an error's text.
func (h *Hidden) Strip(text string) string {
	return absolutePath.ReplaceAllStringFunc(h.Name(text), func(found string) string {
		end := found[len(strings.TrimRight(found, ":.")):]
		return found[:strings.IndexByte(found, '/')] + "(a path in the server's log)" + end
	})
}

// For returns the text of an error as the client of a request may see it.
func (h *Hidden) For(ctx context.Context, text string) string {
	if MaySee(ctx) {
		return text
	}
	return h.Strip(text)
}
