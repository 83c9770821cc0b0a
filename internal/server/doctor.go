package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/base/paths"
	"github.com/stackscope/stackscope/internal/doctor"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/prom"
)

const (
	// queryTimeout and maxQueryAnswer bound a query of the doctor, maxQuerySamples its answer.
	queryTimeout    = 5 * time.Second
	maxQueryAnswer  = 16 << 20
	maxQuerySamples = 20_000
	// pageRetry is when a page is asked for again because others take all places.
	pageRetry = 200 * time.Millisecond
)

// doctorSources gathers what the doctor looks at. The API is there when it is asked.
type doctorSources struct {
	server *Server
	hidden *paths.Hidden
	since  time.Time // when the server was made

	mu       sync.Mutex
	number   int64 // of the generation that compiled is
	compiled *mapping.Compiled
	builtin  *mapping.Compiled
	document []byte
}

var _ doctor.Sources = (*doctorSources)(nil)

// Version implements doctor.Sources.
func (d *doctorSources) Version() string { return d.server.opts.version() }

// Snapshot implements doctor.Sources.
func (d *doctorSources) Snapshot() *fleet.Snapshot { return d.server.inventory.Snapshot() }

// Connected implements doctor.Sources.
func (d *doctorSources) Connected() []int64 { return d.server.api.Connected() }

// Mapping implements doctor.Sources.
func (d *doctorSources) Mapping() doctor.Mapping {
	g := d.server.publisher.Current()
	d.mu.Lock()
	defer d.mu.Unlock()
	m := doctor.Mapping{Generation: g.Number, At: g.At}
	if d.compiled == nil || d.number != g.Number || !bytes.Equal(d.document, g.Effective) {
		document := mapping.Default()
		if !g.Default {
			var err error
			if document, err = mapping.Decode(g.Effective); err != nil {
				return m
			}
		}
		compiled, err := mapping.Compile(document)
		if err != nil {
			return m
		}
		d.compiled, d.number, d.document = compiled, g.Number, g.Effective
	}
	m.Compiled = d.compiled
	if d.builtin == nil && !g.Default {
		d.builtin, _ = mapping.Compile(mapping.Default())
	}
	if !g.Default {
		m.Builtin = d.builtin
	}
	return m
}

// Page implements doctor.Sources.
func (d *doctorSources) Page(ctx context.Context, id int64) doctor.Page {
	begun := time.Now()
	for {
		page, err := d.server.api.InstancePage(ctx, id)
		if busy := (interface{ GetStatus() int })(nil); errors.As(err, &busy) && busy.GetStatus() == http.StatusServiceUnavailable && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(pageRetry):
				continue
			}
		}
		switch {
		case ctx.Err() != nil:
			return doctor.Page{NotRead: fmt.Sprintf("it did not come within %s", time.Since(begun).Round(time.Second))}
		case err != nil:
			return doctor.Page{NotRead: err.Error()}
		}
		out := doctor.Page{InstancePage: *page, Seconds: time.Since(begun).Seconds()}
		// The worker did not answer, or does not know the instance by now; an engine's failure begins otherwise.
		if page.Coverage == nil && (strings.HasPrefix(page.Error, "worker ") || strings.HasPrefix(page.Error, "this worker has no engine of that name")) {
			out.NotRead = page.Error
		}
		return out
	}
}

// Check implements doctor.Sources.
func (d *doctorSources) Check(ctx context.Context, id int64) doctor.Check {
	c, err := d.server.api.CheckWorker(ctx, id, false)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("the worker did not answer in time")
		}
		return doctor.Check{NotAnswered: err.Error()}
	}
	out := doctor.Check{WorkerCheck: c.WorkerCheck, Asked: c.Asked, Answered: c.Answered}
	out.PageError = d.hidden.Strip(out.PageError) // it is the worker's text, and viewers read it
	return out
}

// Prometheus implements doctor.Sources.
func (d *doctorSources) Prometheus(ctx context.Context) doctor.Prometheus {
	switch {
	case d.server.prom != nil:
		p := doctor.Prometheus{Kind: doctor.PrometheusEmbedded}
		scrapes := d.server.prom.Scrapes()
		if scrapes == nil {
			p.Err = "it opens its data, or cannot: /readyz tells which"
			return p
		}
		p.Targets = make(map[string]doctor.Scrape, len(scrapes))
		for _, s := range scrapes {
			if s.Job != prom.JobServer {
				p.Targets[s.Address] = doctor.Scrape{Up: s.State == prom.TargetUp, Last: s.Last, Duration: s.Took, Timeout: s.Timeout, Error: s.Error}
			}
		}
		return p
	case d.server.externalProm == nil:
		return doctor.Prometheus{Kind: doctor.PrometheusNone}
	}
	p := doctor.Prometheus{Kind: doctor.PrometheusExternal, URL: d.server.externalProm.Address()}
	known := workersByAddress(d.server.inventory.Snapshot())
	list, err := d.server.externalProm.Targets(ctx, func(address string) bool { return known[address] != nil })
	if err != nil {
		p.TargetsErr = err.Error() // a query tells whether it answers at all
		return p
	}
	p.Targets = make(map[string]doctor.Scrape, len(list.Known))
	for _, t := range list.Known {
		if old, ok := p.Targets[t.Address]; !ok || t.Up && !old.Up {
			p.Targets[t.Address] = doctor.Scrape{Up: t.Up, Last: t.Last, Duration: t.Took, Error: t.Error}
		}
	}
	return p
}

// Query implements doctor.Sources. It asks as any client does, so that the bounds of queries hold.
func (d *doctorSources) Query(ctx context.Context, expr string) (a doctor.Answer) {
	var handler http.Handler
	switch {
	case d.server.prom != nil:
		handler = d.server.prom.Handler()
	case d.server.externalProm != nil:
		handler = d.server.externalProm
	default:
		return doctor.Answer{Err: "there is no Prometheus to ask"}
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	query := url.Values{"query": {expr}, "timeout": {queryTimeout.String()}, "limit": {strconv.Itoa(maxQuerySamples)}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, prometheusPrefix+"/api/v1/query?"+query.Encode(), http.NoBody)
	if err != nil {
		return doctor.Answer{Err: err.Error()}
	}
	w := &boundedAnswer{header: http.Header{}}
	defer func() {
		a.Answered = time.Now()
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: // a handler aborts when its client has gone
			a.Err = "it did not answer in time"
		default: // the doctor asks in goroutines of its own: there it would end the process
			d.server.logger.Error("the doctor's query failed because of a bug in this program; please report it", "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			a.Err = "it could not be asked because of a bug; the server's log says which one"
		}
	}()
	a.Asked = time.Now()
	handler.ServeHTTP(w, r)
	a.Samples, a.Err = w.samples()
	a.Err = d.hidden.Strip(a.Err)
	return a
}

// boundedAnswer takes an answer of Prometheus' API.
type boundedAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
	cut    bool
}

// Header implements http.ResponseWriter.
func (w *boundedAnswer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *boundedAnswer) WriteHeader(status int) { w.status = status }

// Write implements io.Writer.
func (w *boundedAnswer) Write(p []byte) (int, error) {
	if w.body.Len()+len(p) > maxQueryAnswer {
		w.cut = true
		return len(p), nil
	}
	return w.body.Write(p)
}

// samples decodes an instant vector or a scalar.
func (w *boundedAnswer) samples() ([]doctor.Sample, string) {
	if w.cut {
		return nil, fmt.Sprintf("its answer has more than %d MiB", maxQueryAnswer>>20)
	}
	var got struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Type   string          `json:"resultType"`
			Result json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(w.body.Bytes(), &got); err != nil || got.Status != "success" {
		if got.Error == "" {
			got.Error = fmt.Sprintf("it answered %d and not as Prometheus' API", w.status)
		}
		return nil, got.Error
	}
	type point [2]any
	value := func(p point) (float64, bool) {
		text, _ := p[1].(string)
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil
	}
	if got.Data.Type == "scalar" {
		var p point
		if err := json.Unmarshal(got.Data.Result, &p); err != nil {
			return nil, "its scalar cannot be read"
		}
		f, _ := value(p)
		return []doctor.Sample{{Value: f}}, ""
	}
	var vector []struct {
		Metric map[string]string `json:"metric"`
		Value  point             `json:"value"`
	}
	if err := json.Unmarshal(got.Data.Result, &vector); err != nil {
		return nil, "its vector cannot be read"
	}
	if len(vector) >= maxQuerySamples {
		return nil, fmt.Sprintf("its answer has %d series or more", maxQuerySamples) // those that are left out would be taken for absent
	}
	out := make([]doctor.Sample, 0, len(vector))
	for _, s := range vector {
		if f, ok := value(s.Value); ok {
			out = append(out, doctor.Sample{Labels: s.Metric, Value: f})
		}
	}
	return out, ""
}

// Server implements doctor.Sources.
func (d *doctorSources) Server() doctor.Server {
	s := doctor.Server{MetricsOff: d.server.metrics == nil, ExternalGrafana: d.server.external != nil}
	if err := d.server.inventory.Err(); err != nil {
		s.Problems = append(s.Problems, d.hidden.Strip(err.Error()))
	}
	if d.server.prom != nil {
		for _, err := range unjoined(d.server.prom.Err()) {
			text := d.hidden.Strip(err.Error())
			if !strings.HasPrefix(text, "prometheus") {
				text = "prometheus: " + text
			}
			s.Problems = append(s.Problems, text)
		}
	}
	if d.server.grafana != nil {
		status := d.server.grafana.Status()
		s.GrafanaPhase, s.GrafanaReason = string(status.Phase), d.hidden.Strip(status.Reason)
		if status.Phase == grafana.PhaseAbsent {
			s.GrafanaReason = "None was found on the server's machine" // the reason names folders
		}
	}
	for _, r := range d.server.inventory.Refused() {
		s.Refusals = append(s.Refusals, doctor.Refusal{At: r.Last, Class: r.Reason, Name: r.Name, Detail: d.hidden.Strip(r.Detail), Other: r.Other.Name, OtherID: r.Other.ID, Count: r.Count})
	}
	for _, r := range d.server.api.WrongJoinTokens() {
		if r.Count > 0 {
			s.Refusals = append(s.Refusals, doctor.Refusal{At: r.Last, Class: doctor.RefusedToken, From: r.What, Count: r.Count})
		}
	}
	for _, r := range d.server.api.RefusedRegistrations() {
		if r.What == api.TooOften && r.Count > 0 {
			s.Refusals = append(s.Refusals, doctor.Refusal{At: r.Last, Class: doctor.RefusedLimit, Count: r.Count})
		}
	}
	s.ReadersSince = d.since
	for _, r := range d.server.targetReaders.List() {
		if r.IsScraper() {
			s.Readers = append(s.Readers, doctor.Reader{At: r.Last, Agent: r.Client, Path: r.Path})
		}
	}
	for _, l := range d.server.listeners() {
		stats := l.srv.Stats()
		s.Connections = append(s.Connections, doctor.Connections{Listener: l.name, Open: stats.Open, Max: stats.Max})
	}
	return s
}

// unjoined returns the errors that errors.Join has joined.
func unjoined(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// newDoctor returns the sources of the doctor.
func (s *Server) newDoctor() doctor.Sources {
	return &doctorSources{server: s, hidden: paths.Hide(s.opts.DataDir, shownDataDir), since: time.Now()}
}
