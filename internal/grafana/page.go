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

// notice is what the proxy answers when Grafana does not: an HTML page for a browser, a problem document for a program.
type notice struct {
	Status int
	Retry  int // seconds after which to try again; the page reloads by itself; 0: never
	Title  string
	Reason string // one line, from Status or an error
	Text   string
	Ways   []way // remedies

	Aside      string // details
	Since      string // when this state began
	Prometheus string // relative link to its UI
	Console    string // relative link to the same dashboard in the console, or to its dashboards
}

// way is a remedy: what it does, and the command or flag.
type way struct{ Text, Command string }

// explain returns the notice for a Grafana that does not answer.
func (p *proxy) explain(s Status) notice {
	n := notice{Status: http.StatusServiceUnavailable, Reason: s.Reason}
	if !s.Since.IsZero() {
		n.Since = s.Since.UTC().Format(time.DateTime) + " UTC"
	}
	switch s.Phase {
	case PhaseAbsent:
		n.Reason, n.Aside = "", s.Reason
		n.Title = "Grafana is not installed on this machine"
		n.Text = "The console shows the dashboards without it. Grafana is installed separately, and the server starts it as soon as it is installed: reload this page then."
		n.Ways = []way{
			{"To install it, run on the server's machine", "stackscope grafana install"},
			{"To use a Grafana in another directory of the server's machine, start the server with", "--grafana-home DIR"},
			{"To use a Grafana on another machine, start the server with this flag; it also turns off the built-in Prometheus", "--grafana-url URL"},
		}
	case PhaseWaiting:
		n.Retry = 5
		n.Title = "Grafana is not running"
		when := ""
		if !s.Next.IsZero() {
			when = ", at " + s.Next.UTC().Format(time.TimeOnly) + " UTC"
		}
		n.Text = "The server starts it again" + when + ". Everything else works. Grafana's own messages are in the server's log, with component=grafana."
	case PhaseStopped:
		n.Title = "Grafana is stopped"
		n.Text = "The server that runs it is starting or stopping."
	default: // it is starting, or has just stopped answering
		n.Retry = 2
		n.Title = "Grafana is starting"
		n.Text = "This takes a few seconds. The first start takes up to a minute, because Grafana creates its database."
	}
	return n
}

// answer sends n as the answer to r.
func (p *proxy) answer(w http.ResponseWriter, r *http.Request, n notice) {
	below := strings.TrimPrefix(r.URL.EscapedPath(), p.opts.Prefix)
	if p.opts.PrometheusLink != "" {
		n.Prometheus = strings.Repeat("../", strings.Count(below, "/")) + strings.TrimPrefix(p.opts.PrometheusLink, "/")
	}
	var ok bool
	if n.Console, ok = consoleLink(r, p.opts.Prefix); !ok {
		n.Console = strings.Repeat("../", strings.Count(below, "/")) + "dashboards"
	}
	if !paths.MaySee(r.Context()) {
		n.Reason = p.opts.Dir.Strip(n.Reason)
		if found, looked, ok := strings.Cut(n.Aside, "; "); ok && strings.Contains(looked, "/") {
			n.Aside = found + "; the server's log lists the directories"
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
		http.Error(w, "the page cannot be rendered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	w.WriteHeader(n.Status)
	_, _ = w.Write(page.Bytes())
}

// detail returns the whole notice as one paragraph.
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

// isNavigation reports whether a browser requests a page, not data for one.
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
