package webconfig

import (
	"context"
	"crypto/sha256"
	"net/http"
	"slices"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// door stands before the toolkit's handler, which asks for a password, and behind it.
type door struct {
	file    *File
	toolkit http.Handler
	inner   http.Handler
	open    []string
	trials  trials
}

type visitKey struct{}

// visit is one request's way through the door.
type visit struct {
	seen   sight
	passed bool
	settle func(right bool) // ends the trial of its password; a second call does nothing
}

// Authenticated reports whether a request of this context came with a password of the file.
func Authenticated(ctx context.Context) bool {
	v, ok := ctx.Value(visitKey{}).(*visit)
	return ok && v.passed
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && slices.Contains(d.open, r.URL.Path) {
		d.inner.ServeHTTP(w, r)
		return
	}
	seen, err := d.file.look()
	if err != nil {
		refuse(w)
		return
	}
	v := &visit{seen: seen, settle: func(bool) {}}
	if header := r.Header.Get("Authorization"); seen.users && header != "" {
		settle, ok := d.trials.begin(r, seen.number, sha256.Sum256([]byte(header)))
		if !ok {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "other passwords are being looked at, which takes time: try again in a second", http.StatusTooManyRequests)
			return
		}
		v.settle = settle
		defer settle(false)
	}
	d.toolkit.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
}

// serve is what the toolkit's handler lets through.
func (d *door) serve(w http.ResponseWriter, r *http.Request) {
	v, ok := r.Context().Value(visitKey{}).(*visit)
	if !ok || !d.file.unmoved(v.seen.info) { // nobody knows by which content it was let through
		refuse(w)
		return
	}
	if v.seen.users {
		v.passed = true
		v.settle(true)
		inbound.Trust(r.Context())
	}
	d.inner.ServeHTTP(w, r)
}

// refuse answers while the file can't be used.
func refuse(w http.ResponseWriter) {
	http.Error(w, "the web configuration file ("+flag+") can't be used: the log of this program says why", http.StatusServiceUnavailable)
}
