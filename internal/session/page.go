package session

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	maxPages = 4 // at a time; a server asks for no more
	// maxReportBytes bounds the reports of an answer, as JSON.
	maxReportBytes = 2 << 20
	maxContentType = 200
)

// PageFunc reads the engine of a reported instance by the deadline, and says what the active mapping makes of its page. url is the page's
// address without credentials.
type PageFunc func(ctx context.Context, instance string, deadline time.Time) (page exporter.InstancePage, url string)

// startPage reads a page beside the stream and answers the server with it or with the reason why there is none.
func (s *Session) startPage(ctx context.Context, m Membership, ev wire.PageEvent, running *requests) {
	asked := time.Now()
	running.start(ctx, ev.TimeoutMillis, func(ctx context.Context, fetched time.Time) {
		answer := wire.InstancePage{FetchedAt: asked.UTC(), Error: errNoMetrics.Error(), Metrics: []wire.NativeReport{}}
		if read := s.opts.Page; read != nil {
			page, url := read(ctx, s.ownName(ev.Instance), fetched)
			answer = wirePage(&page, url)
		}
		if err := s.opts.Server.AnswerPage(ctx, m, ev.ID, answer); err != nil && ctx.Err() == nil {
			s.logger.Warn("page could not be sent", "instance", clip.Line(ev.Instance, fleet.MaxName), "error", err)
		}
	}, func() {
		s.logger.Warn("page is not read: too many are being read", "instance", clip.Line(ev.Instance, fleet.MaxName), "most", maxPages)
	})
}

// setNames remembers by which names instances are reported.
func (s *Session) setNames(reportedAs map[string]acceptedInstance) {
	names := make(map[string]string, len(reportedAs))
	for name := range reportedAs {
		names[name] = reportedAs[name].ownName
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = names
}

// ownName returns the name by which the worker knows a reported instance.
func (s *Session) ownName(reported string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own, ok := s.names[reported]; ok {
		return own
	}
	return reported
}

// wirePage cuts what the server would refuse the whole answer for.
func wirePage(p *exporter.InstancePage, url string) wire.InstancePage {
	out := wire.InstancePage{
		URL: fleet.Cut(url, fleet.MaxURL), Runtime: fleet.Cut(p.Instance.Runtime, fleet.MaxKind), RuntimeVersion: fleet.Cut(p.Instance.Version, fleet.MaxVersion),
		FetchedAt: p.FetchedAt.UTC(), ContentType: clip.Line(p.ContentType, maxContentType), Bytes: p.Bytes,
		Native: p.Native, Truncated: p.NativeCut, Unified: p.Unified, UnifiedCut: p.UnifiedCut, Metrics: []wire.NativeReport{},
	}
	if p.HasCoverage {
		out.Coverage = &wire.Coverage{Families: p.Fed, Of: p.Countable}
	}
	if p.Err != nil {
		out.Error = clip.End(strings.ReplaceAll(p.Err.Error(), "\n", "; "), maxErrorBytes)
	}
	left := byteBudget(maxReportBytes)
	for i := range p.Reports {
		report := nativeReport(&p.Reports[i])
		if data, err := json.Marshal(report); err != nil || !left.take(len(data)+1) {
			out.MetricsLeftOut = len(p.Reports) - i
			break
		}
		out.Metrics = append(out.Metrics, report)
	}
	return out
}

func nativeReport(r *translate.NativeReport) wire.NativeReport {
	out := wire.NativeReport{Name: r.Name, Type: r.Type, Samples: r.Samples, Unreadable: r.Unreadable, Why: r.Why}
	for _, o := range r.Outcomes {
		out.Outcomes = append(out.Outcomes, wire.NativeOutcome(o))
	}
	return out
}
