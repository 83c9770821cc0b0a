package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
)

// localWorker is what a worker's own page says of it.
type localWorker struct {
	URL        string   `json:"url"`
	Version    string   `json:"version,omitempty"`
	Generation *int64   `json:"applied_generation,omitempty"`
	Failing    []string `json:"failing_collectors,omitempty"`
	Engines    int      `json:"engines"`
	Unread     []string `json:"engines_without_metrics,omitempty"`
	// Missing are the kinds of access to its machine that it lacks.
	Missing []string `json:"missing_access,omitempty"`
	Seconds float64  `json:"seconds"`
	// Error says why the page could not be read although something listens there.
	Error string `json:"error,omitempty"`
}

const (
	localWorkerTime  = 10 * time.Second
	maxLocalPage     = 32 << 20
	maxLocalEntries  = 20
	buildInfo        = "stackscope_build_info"
	appliedMapping   = "gpustack:metrics_config_applied_generation"
	collectorSuccess = "gpustack:collector_success"
	scrapeSuccess    = "gpustack:runtime_scrape_success"
	missingAccess    = "stackscope_missing_access"
)

// readWorkerPage reads a worker's page; nil: nothing listens there.
func readWorkerPage(ctx context.Context, hc *http.Client, url string) *localWorker {
	ctx, cancel := context.WithTimeout(ctx, localWorkerTime)
	defer cancel()
	w := &localWorker{URL: url}
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxLocalPage))
	w.Seconds = time.Since(start).Seconds()
	switch {
	case resp.StatusCode != http.StatusOK:
		w.Error = fmt.Sprintf("it answers %s: users or TLS protect it (--web.config.file), or it is another program's port", resp.Status)
	case err != nil:
		w.Error = "its page could not be read: " + err.Error()
	default:
		w.take(page)
		if w.Version == "" {
			w.Error = "another program answers there: its page has no " + buildInfo
		}
	}
	return w
}

func (w *localWorker) take(page []byte) {
	var sample exposition.Sample
	scanner := exposition.NewScanner(page, exposition.Text)
	for scanner.Scan() {
		if scanner.Kind() != exposition.SampleLine || sample.Parse(scanner.Line()) != nil {
			continue
		}
		label := func(name string) string {
			for _, l := range sample.Labels {
				if string(l.Name) == name {
					return string(exposition.Unescape(nil, l.Value))
				}
			}
			return ""
		}
		add := func(list *[]string, text string) {
			if len(*list) < maxLocalEntries && !slices.Contains(*list, text) {
				*list = append(*list, text)
			}
		}
		good := string(sample.Value) != "0"
		switch string(sample.Name) {
		case buildInfo:
			w.Version = label("version")
		case appliedMapping:
			if n, err := strconv.ParseInt(string(sample.Value), 10, 64); err == nil {
				w.Generation = &n
			}
		case collectorSuccess:
			if !good {
				add(&w.Failing, label("collector"))
			}
		case missingAccess:
			add(&w.Missing, label("access"))
		case scrapeSuccess:
			w.Engines++
			if !good {
				add(&w.Unread, label("model_instance_name"))
			}
		}
	}
}
