package webconfig

import (
	"context"
	"net/http"
	"slices"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// gate stands before the toolkit's handler, which asks for a password, and behind it.
type gate struct {
	file     *File
	toolkit  http.Handler
	inner    http.Handler
	open     []string
	attempts attempts
}

type visitKey struct{}

// visit is one request at the gate. It is what the toolkit answers to, and tells what that is.
type visit struct {
	http.ResponseWriter // inner answers to it without the visit

	seen       sight
	credential credential
	own        bool // its password is being looked at
	passed     bool
	status     int
}

func (v *visit) WriteHeader(status int) {
	v.status = status
	v.ResponseWriter.WriteHeader(status)
}

// Authenticated reports whether a request of this context came with a password of the file.
func Authenticated(ctx context.Context) bool {
	v, ok := ctx.Value(visitKey{}).(*visit)
	return ok && v.passed
}

func (d *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && slices.Contains(d.open, r.URL.Path) {
		d.inner.ServeHTTP(w, r)
		return
	}
	seen, err := d.file.look()
	if err != nil {
		refuse(w)
		return
	}
	v := &visit{ResponseWriter: w, seen: seen}
	r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
	if user, password, given := r.BasicAuth(); seen.users && given {
		v.credential = credentialOf(user, password)
		switch p, err := d.admit(r, v); {
		case err != nil:
			refuse(w)
			return
		case p == refused:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "other passwords are being looked at, which takes time: try again in a second", http.StatusTooManyRequests)
			return
		case p == wrongNow: // the toolkit needn't look at it
			r.Header = r.Header.Clone()
			r.Header.Del("Authorization")
		}
		defer func() { d.settle(v, undecided) }()
	}
	d.toolkit.ServeHTTP(v, r)
	if v.status == http.StatusUnauthorized && d.file.unmoved(v.seen.info) {
		d.settle(v, wrongNow)
	}
}

// admit waits until the visit's password may be looked at, or needn't. v.seen is the file as it is then.
func (d *gate) admit(r *http.Request, v *visit) (place, error) {
	ctx, cancel := context.WithTimeout(r.Context(), maxWait)
	defer cancel()
	from := inbound.Peer(r.RemoteAddr)
	for {
		p := d.attempts.ask(ctx, from, v.credential, v.seen.number)
		v.own = p == own
		if p != own && p != again {
			return p, nil
		}
		var err error
		if v.seen, err = d.file.look(); err != nil {
			d.settle(v, undecided)
			return refused, err
		}
		if p == own {
			return p, nil
		}
	}
}

// settle ends the look at the visit's password. A second call does nothing.
func (d *gate) settle(v *visit, how place) {
	if v.own {
		v.own = false
		d.attempts.end(v.credential, v.seen.number, how)
	}
}

// serve is what the toolkit's handler lets through.
func (d *gate) serve(w http.ResponseWriter, r *http.Request) {
	v, ok := r.Context().Value(visitKey{}).(*visit)
	if !ok || !d.file.unmoved(v.seen.info) { // nobody knows by which content it was let through
		refuse(w)
		return
	}
	if v.seen.users {
		v.passed = true
		d.settle(v, rightNow)
		inbound.Trust(r.Context())
	}
	d.inner.ServeHTTP(v.ResponseWriter, r)
}

// refuse answers while the file can't be used.
func refuse(w http.ResponseWriter) {
	http.Error(w, "the web configuration file ("+flag+") can't be used: the log of this program says why", http.StatusServiceUnavailable)
}
