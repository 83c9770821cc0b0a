package prom

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
)

// The error of a failed scrape may quote the response: net/http and the parsers put what they can't read into their errors. Everybody can
// read a target's last error, so it only contains text that is known to be ours or Prometheus'.

var (
	statusText = regexp.MustCompile(`^server returned HTTP status ([0-9]{3})\b`)
	// parserPhrase matches the beginning of a parser's error, before any quoted text.
	parserPhrase = regexp.MustCompile(`^((?:expected|unexpected|unsupported|invalid|data does not|no metric|metric name|label name|multiple)[A-Za-z0-9 #-]{0,60})(?:$|[^A-Za-z0-9 #-])`)
	ownPhrases   = []string{"sample limit exceeded", "body size limit exceeded", "native histogram bucket limit exceeded"}
)

// withoutContent returns a scrape error's text without anything that the target sent.
func withoutContent(err error) string {
	if err == nil {
		return ""
	}
	if refused, ok := errors.AsType[*dialRefusedError](err); ok {
		return refused.Error()
	}
	var where string
	if e, ok := errors.AsType[*url.Error](err); ok {
		where = "GET " + e.URL + ": "
	}
	text := err.Error()
	if fault := tlsFault(err); fault != "" {
		return where + fault
	}
	switch op, isOp := errors.AsType[*net.OpError](err); {
	case errors.Is(err, context.DeadlineExceeded):
		return where + "it took longer than the scrape timeout"
	case isOp:
		return where + op.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return where + "the connection ended before the page did"
	case statusText.MatchString(text):
		code, _ := strconv.Atoi(statusText.FindStringSubmatch(text)[1])
		return strings.TrimSpace("server returned HTTP status " + strconv.Itoa(code) + " " + http.StatusText(code))
	case where != "":
		return where + "the server there does not speak HTTP"
	}
	if _, ok := errors.AsType[*strconv.NumError](err); ok {
		return "the page is not in Prometheus' text format: a value is not a number"
	}
	for _, phrase := range ownPhrases {
		if strings.Contains(text, phrase) {
			return phrase
		}
	}
	if m := parserPhrase.FindStringSubmatch(text); m != nil {
		return "the page is not in Prometheus' text format: " + strings.TrimSpace(m[1])
	}
	return "the page can't be read: it is not in Prometheus' text format"
}

// scrapeLog is a slog.Handler that removes quoted content from the scraper's log records.
type scrapeLog struct{ slog.Handler }

func (h scrapeLog) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attrWithoutContent(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func attrWithoutContent(a slog.Attr) slog.Attr {
	switch a.Key {
	case "err", "error":
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, withoutContent(err))
		}
	case "series", "content_type", "latest":
		return slog.String(a.Key, "(left out)")
	}
	return a
}

func (h scrapeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := slices.Clone(attrs)
	for i := range clean {
		clean[i] = attrWithoutContent(clean[i])
	}
	return scrapeLog{h.Handler.WithAttrs(clean)}
}

func (h scrapeLog) WithGroup(name string) slog.Handler { return scrapeLog{h.Handler.WithGroup(name)} }

// sanitizedTargets are the scraper's targets as the API shows them.
type sanitizedTargets struct{ *scrape.Manager }

// TargetsActive implements api.TargetRetriever. It returns copies whose last errors contain nothing that a target sent.
func (s sanitizedTargets) TargetsActive() map[string][]*scrape.Target {
	active := s.Manager.TargetsActive()
	for job, list := range active {
		cfg, err := s.ScrapePoolConfig(job)
		if err != nil { // the pool was removed meanwhile, and its targets with it
			delete(active, job)
			continue
		}
		shown := make([]*scrape.Target, len(list))
		for i, t := range list {
			b := labels.NewBuilder(labels.EmptyLabels())
			discovered := model.LabelSet{}
			t.DiscoveredLabels(b).Range(func(l labels.Label) {
				discovered[model.LabelName(l.Name)] = model.LabelValue(l.Value)
			})
			shown[i] = scrape.NewTarget(allLabels(t), cfg, discovered, nil)
			shown[i].SetMetadataStore(t)
			// A scrape may end between these reads; the mixed result is harmless.
			if begin := t.LastScrape(); !begin.IsZero() {
				var last error
				if err := t.LastError(); err != nil {
					last = errors.New(withoutContent(err))
				}
				shown[i].Report(begin, t.LastScrapeDuration(), last)
			}
		}
		active[job] = shown
	}
	return active
}

// allLabels returns a target's labels including those that configure its scrape, such as __address__.
func allLabels(t *scrape.Target) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	t.LabelsRange(func(l labels.Label) { b.Set(l.Name, l.Value) })
	for _, name := range []string{
		model.AddressLabel, model.SchemeLabel, model.MetricsPathLabel, model.ScrapeIntervalLabel, model.ScrapeTimeoutLabel,
	} {
		b.Set(name, t.GetValue(name))
	}
	for name, values := range t.URL().Query() {
		b.Set(model.ParamLabelPrefix+name, values[0])
	}
	return b.Labels()
}
