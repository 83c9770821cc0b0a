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

// What the scraper says about a failed scrape may quote the page, or whatever answered instead of a worker: net/http and the
// parsers put what they could not read into their errors. Everybody can read the last error of a target, so only what is known to
// come from ourselves gets there.

var (
	statusText = regexp.MustCompile(`^server returned HTTP status ([0-9]{3})\b`)
	// parserPhrase is how errors of the parsers begin, up to where they quote.
	parserPhrase = regexp.MustCompile(`^((?:expected|unexpected|unsupported|invalid|data does not|no metric|metric name|label name|multiple)[A-Za-z0-9 #-]{0,60})(?:$|[^A-Za-z0-9 #-])`)
	ownPhrases   = []string{"sample limit exceeded", "body size limit exceeded", "native histogram bucket limit exceeded"}
)

// contentFree returns what a scrape's error says, without anything that the target sent.
func contentFree(err error) string {
	if err == nil {
		return ""
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
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
		return where + "it took longer than the scrape's timeout"
	case isOp:
		return where + op.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return where + "the connection ended before the page did"
	case statusText.MatchString(text):
		code, _ := strconv.Atoi(statusText.FindStringSubmatch(text)[1])
		return strings.TrimSpace("server returned HTTP status " + strconv.Itoa(code) + " " + http.StatusText(code))
	case where != "":
		return where + "what answers there does not speak HTTP"
	}
	if _, ok := errors.AsType[*strconv.NumError](err); ok {
		return "the page is not in Prometheus' text format: a value is no number"
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

// scrapeLog hides what errors quote in the scraper's log, too.
type scrapeLog struct{ slog.Handler }

func (h scrapeLog) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(quotesNothing(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func quotesNothing(a slog.Attr) slog.Attr {
	switch a.Key {
	case "err", "error":
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, contentFree(err))
		}
	case "series", "content_type", "latest":
		return slog.String(a.Key, "(left out)")
	}
	return a
}

func (h scrapeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := slices.Clone(attrs)
	for i := range clean {
		clean[i] = quotesNothing(clean[i])
	}
	return scrapeLog{h.Handler.WithAttrs(clean)}
}

func (h scrapeLog) WithGroup(name string) slog.Handler { return scrapeLog{h.Handler.WithGroup(name)} }

// shownTargets is how the API sees the scraper's targets.
type shownTargets struct{ *scrape.Manager }

// TargetsActive implements api.TargetRetriever. It returns copies, whose last errors quote nothing.
func (s shownTargets) TargetsActive() map[string][]*scrape.Target {
	active := s.Manager.TargetsActive()
	for job, list := range active {
		cfg, err := s.ScrapePoolConfig(job)
		if err != nil { // the pool has gone in between, and with it the targets
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
			// Which of the three is newer doesn't matter: a scrape may end in between.
			if begin := t.LastScrape(); !begin.IsZero() {
				var last error
				if err := t.LastError(); err != nil {
					last = errors.New(contentFree(err))
				}
				shown[i].Report(begin, t.LastScrapeDuration(), last)
			}
		}
		active[job] = shown
	}
	return active
}

// allLabels returns a target's labels with those that steer its scrape.
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
