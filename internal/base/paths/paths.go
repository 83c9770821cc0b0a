// Package paths keeps where things lie on this machine out of answers to strangers. Errors name files, so that whoever looks after
// the machine finds them; anybody may ask for what is answered with an error.
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

type askerKey struct{}

// WithAsker returns the context of a request. knows says whether who sent it may know where files lie; it is called when an answer
// would tell, at most once.
func WithAsker(ctx context.Context, knows func() bool) context.Context {
	return context.WithValue(ctx, askerKey{}, sync.OnceValue(knows))
}

// Known reports whether who sent the request may know where files lie. Who isn't known of may not.
func Known(ctx context.Context) bool {
	knows, ok := ctx.Value(askerKey{}).(func() bool)
	return ok && knows()
}

// Hidden is a directory, which strangers see under another name.
type Hidden struct{ replacer *strings.Replacer }

// Hide returns a directory as hidden behind a name, such as DATA_DIR.
func Hide(dir, name string) *Hidden {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	written := []string{abs}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		written = append(written, real)
	}
	if filepath.IsAbs(dir) {
		written = append(written, strings.TrimRight(dir, "/"))
	}
	for _, path := range written {
		if text, err := json.Marshal(path); err == nil {
			written = append(written, strings.Trim(string(text), `"`))
		}
	}
	written = slices.DeleteFunc(written, func(path string) bool { return path == "" || path == "/" })
	slices.SortFunc(written, func(a, b string) int { return len(b) - len(a) }) // the replacer takes the first that fits
	var pairs []string
	for _, path := range slices.Compact(written) {
		pairs = append(pairs, path, name)
	}
	return &Hidden{strings.NewReplacer(pairs...)}
}

// Name puts the name in the directory's place wherever text has it, also in JSON.
func (h *Hidden) Name(text string) string {
	if h == nil {
		return text
	}
	return h.replacer.Replace(text)
}

// elsewhere is an absolute path in an error's text; a URL's begins behind its host.
var elsewhere = regexp.MustCompile(`(^|[\s"'(=\[])/[^\s/"'()\[\];,:][^\s"'()\[\];,]*`)

// Strip also takes other absolute paths out of the text of an error.
func (h *Hidden) Strip(text string) string {
	return elsewhere.ReplaceAllStringFunc(h.Name(text), func(found string) string {
		end := found[len(strings.TrimRight(found, ":.")):]
		return found[:strings.IndexByte(found, '/')] + "(a path in the server's log)" + end
	})
}

// For returns the text of an error for who sent a request.
func (h *Hidden) For(ctx context.Context, text string) string {
	if Known(ctx) {
		return text
	}
	return h.Strip(text)
}
