package webconfig

import (
	"context"
	"net/http"
	"slices"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// handler wraps the toolkit's handler, which checks passwords and then calls authorized.
type handler struct {
	file      *File
	toolkit   http.Handler
	inner     http.Handler
	open      []string
	passwords passwordQueue
}

type requestKey struct{}

// request is one request to the handler. The toolkit writes its refusal to it.
type request struct {
	http.ResponseWriter // inner gets this one
	state               fileState
	credential          credential
	checking            bool // its password is being checked
	authenticated       bool
	status              int
}

func (r *request) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Authenticated reports whether a request of this context came with a password of the file.
func Authenticated(ctx context.Context) bool {
	r, ok := ctx.Value(requestKey{}).(*request)
	return ok && r.authenticated
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && slices.Contains(h.open, r.URL.Path) {
		h.inner.ServeHTTP(w, r)
		return
	}
	state, err := h.file.current()
	if err != nil {
		refuse(w)
		return
	}
	req := &request{ResponseWriter: w, state: state}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, req))
	if user, password, given := r.BasicAuth(); state.users && given {
		req.credential = credentialOf(user, password)
		switch result, err := h.await(r, req); {
		case err != nil:
			refuse(w)
			return
		case result == queueFull:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many passwords are waiting to be checked: try again in a second", http.StatusTooManyRequests)
			return
		case result == knownWrong: // the toolkit need not check it again
			r.Header = r.Header.Clone()
			r.Header.Del("Authorization")
		}
		defer func() { h.finish(req, undecided) }()
	}
	h.toolkit.ServeHTTP(req, r)
	if req.status == http.StatusUnauthorized && h.file.unchanged(req.state.info) {
		h.finish(req, knownWrong)
	}
}

// await waits until the request's password is known or may be checked. It updates req.state to the file at that time.
func (h *handler) await(r *http.Request, req *request) (passwordResult, error) {
	ctx, cancel := context.WithTimeout(r.Context(), maxWait)
	defer cancel()
	peer := inbound.Peer(r.RemoteAddr)
	for {
		result := h.passwords.await(ctx, peer, req.credential, req.state.version)
		req.checking = result == check
		if result != check && result != retry {
			return result, nil
		}
		var err error
		if req.state, err = h.file.current(); err != nil {
			h.finish(req, undecided)
			return queueFull, err
		}
		if result == check {
			return result, nil
		}
	}
}

// finish ends the check of the request's password. A second call does nothing.
func (h *handler) finish(req *request, result passwordResult) {
	if req.checking {
		req.checking = false
		h.passwords.finish(req.credential, req.state.version, result)
	}
}

// authorized is called by the toolkit's handler for requests that it accepts.
func (h *handler) authorized(w http.ResponseWriter, r *http.Request) {
	req, ok := r.Context().Value(requestKey{}).(*request)
	if !ok || !h.file.unchanged(req.state.info) { // the toolkit may have used a content of the file that was not validated
		refuse(w)
		return
	}
	if req.state.users {
		req.authenticated = true
		h.finish(req, knownRight)
		inbound.Trust(r.Context())
	}
	h.inner.ServeHTTP(req.ResponseWriter, r)
}

// refuse answers while the file cannot be used.
func refuse(w http.ResponseWriter) {
	http.Error(w, "the web configuration file ("+flag+") can't be used: the log of this program says why", http.StatusServiceUnavailable)
}
