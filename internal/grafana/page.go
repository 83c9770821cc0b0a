package grafana

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/paths"
)

//go:embed page.html
var pageHTML string

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageHTML))
})

// notice is an answer in Grafana's place: a page for a person, a problem document for a program, in the same words.
type notice struct {
	Status int
	Retry  int // seconds until asking again is worth it, which the page does by itself; 0: it isn't
	Title  string
	Reason string // one line, from Status or an error
	Text   string
	Ways   []way // out of it

	Aside      string // what only explains
	Since      string // when it came to be so
	Prometheus string // link to its pages, relative
}

// way is something that a person can do.
type way struct{ Text, Command string }

// explain puts into words why no Grafana answers.
func (p *proxy) explain(s Status) notice {
	n := notice{Status: http.StatusServiceUnavailable, Reason: s.Reason}
	if !s.Since.IsZero() {
		n.Since = s.Since.UTC().Format(time.DateTime) + " UTC"
	}
	switch s.Phase {
	case PhaseAbsent:
		n.Reason, n.Aside = "", s.Reason
		n.Title = "There is no Grafana on this machine yet"
		n.Text = "The dashboards come with stackscope; Grafana, which shows them, is a program of its own. Once it is there it starts by itself: the server needs no restart, only this page a reload. Until then everything else works."
		n.Ways = []way{
			{"To install it where this server looks for it, run on the server's machine", "stackscope grafana install"},
			{"To use one that is elsewhere on the server's machine, start the server with", "--grafana-home DIR"},
			{"To use one on another machine, which turns the built-in Prometheus off too, start the server with", "--grafana-url URL"},
		}
	case PhaseWaiting:
		n.Retry = 5
		n.Title = "Grafana does not run"
		when := ""
		if !s.Next.IsZero() {
			when = ", at " + s.Next.UTC().Format(time.TimeOnly) + " UTC"
		}
		n.Text = "The server tries again by itself" + when + ", and everything else works meanwhile. What Grafana wrote is in the server's log, in lines of the component grafana."
	case PhaseStopped:
		n.Title = "Grafana is stopped"
		n.Text = "The server that runs it is stopping, or has not begun."
	default: // it is up, or was a moment ago
		n.Retry = 2
		n.Title = "Grafana is starting"
		n.Text = "That takes a few seconds, at the very first start up to a minute while it sets up its database."
	}
	return n
}

// answer sends n to whoever asked.
func (p *proxy) answer(w http.ResponseWriter, r *http.Request, n notice) {
	below := strings.TrimPrefix(r.URL.EscapedPath(), p.opts.Prefix)
	if p.opts.PrometheusLink != "" {
		n.Prometheus = strings.Repeat("../", strings.Count(below, "/")) + strings.TrimPrefix(p.opts.PrometheusLink, "/")
	}
	if !paths.Known(r.Context()) {
		n.Reason = p.opts.Dir.Strip(n.Reason)
		if found, looked, ok := strings.Cut(n.Aside, "; "); ok && strings.Contains(looked, "/") {
			n.Aside = found + "; the server's log says where it looked"
		}
	}
	n.write(w, isNavigation(r) && !strings.HasPrefix(below, "/api/"))
}

func (n notice) write(w http.ResponseWriter, asPage bool) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept, Sec-Fetch-Mode")
	if n.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(n.Retry))
	}
	if !asPage {
		_ = httpjson.WriteProblem(w, httpjson.Problem{Title: n.Title, Status: n.Status, Detail: n.detail()})
		return
	}
	var page bytes.Buffer
	if err := pageTemplate().Execute(&page, n); err != nil {
		http.Error(w, "page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	w.WriteHeader(n.Status)
	_, _ = w.Write(page.Bytes())
}

// detail is the whole notice as one paragraph.
func (n notice) detail() string {
	var parts []string
	if n.Reason != "" {
		parts = append(parts, strings.TrimSuffix(n.Reason, ".")+".")
	}
	if n.Text != "" {
		parts = append(parts, n.Text)
	}
	for _, way := range n.Ways {
		parts = append(parts, way.Text+": "+way.Command+".")
	}
	if n.Aside != "" {
		parts = append(parts, "("+n.Aside+")")
	}
	return strings.Join(parts, " ")
}

// isNavigation reports whether a person's browser asks for something to show as a page.
func isNavigation(r *http.Request) bool {
	if (r.Method != http.MethodGet && r.Method != http.MethodHead) || isUpgrade(r) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	for _, accept := range r.Header.Values("Accept") {
		for kind := range strings.SplitSeq(accept, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") {
				return true
			}
		}
	}
	return false
}
