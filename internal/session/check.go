package session

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of checks. A server would refuse the whole answer for what exceeds them.
const (
	maxChecks = 2 // at a time

	maxSettings      = 1000
	maxSettingsBytes = 512 << 10 // as JSON
	maxRecords       = 2000
	maxRecordsBytes  = 2 << 20 // as JSON
	maxAttrs         = 64
	maxFlag          = 128 // also of an attribute's key
	maxLevel         = 16
	maxMessage       = 1024
	maxValue         = 4096
)

// CheckFunc makes the worker's own page by the deadline.
type CheckFunc func(deadline time.Time) exporter.Check

// startCheck examines the worker beside the stream and answers the server.
func (s *Session) startCheck(ctx context.Context, m Membership, ev wire.CheckEvent, running *requests) {
	running.start(ctx, ev.TimeoutMillis, func(ctx context.Context, made time.Time) {
		check, ok := s.check(ctx, made)
		if !ok {
			return
		}
		if ev.Log && s.opts.Settings != nil {
			check.Settings = boundSettings(s.opts.Settings())
		}
		if ev.Log && s.opts.Recent != nil {
			check.Log = boundRecords(s.opts.Recent())
		}
		check.Now = time.Now().UTC()
		if err := s.opts.Server.AnswerCheck(ctx, m, ev.ID, check); err != nil && ctx.Err() == nil {
			s.logger.Warn("check of this worker could not be sent", "error", err)
		}
	}, func() {
		s.logger.Warn("check of this worker is skipped: too many are under way", "most", maxChecks)
	})
}

// check makes the worker's page. ok is false if ctx ends first.
func (s *Session) check(ctx context.Context, deadline time.Time) (check wire.WorkerCheck, ok bool) {
	if s.opts.Check == nil {
		return wire.WorkerCheck{PageError: errNoMetrics.Error()}, true
	}
	done := make(chan exporter.Check, 1)
	go func() { done <- s.opts.Check(deadline) }()
	select {
	case c := <-done:
		check = wire.WorkerCheck{PageSeconds: c.Took.Seconds(), PageBytes: c.Bytes, PageSeries: c.Series, Own: c.Own, OwnCut: c.OwnCut}
		if c.Err != nil {
			check.PageError = clip.End(strings.ReplaceAll(c.Err.Error(), "\n", "; "), maxErrorBytes)
		}
		return check, true
	case <-ctx.Done():
		return check, false
	}
}

// boundSettings cuts what is too long, and leaves out what does not fit and the values of secrets.
func boundSettings(list []wire.Setting) []wire.Setting {
	left := byteBudget(maxSettingsBytes)
	out := make([]wire.Setting, 0, min(len(list), maxSettings))
	for _, v := range list {
		v.Flag, v.Value = fleet.Cut(v.Flag, maxFlag), fleet.Cut(v.Value, maxValue)
		if v.Secret {
			v.Value = ""
		}
		if len(out) == maxSettings || !left.take(jsonLen(v)) {
			break
		}
		out = append(out, v)
	}
	return out
}

// boundRecords keeps the newest records that fit, with texts that are not too long.
func boundRecords(list []wire.LogRecord) []wire.LogRecord {
	left := byteBudget(maxRecordsBytes)
	var out []wire.LogRecord
	for _, r := range slices.Backward(list) {
		r.Level, r.Message = fleet.Cut(r.Level, maxLevel), fleet.Cut(r.Message, maxMessage)
		r.Attrs = slices.Clone(r.Attrs[:min(len(r.Attrs), maxAttrs)])
		for i := range r.Attrs {
			a := &r.Attrs[i]
			a.Key, a.Value = fleet.Cut(a.Key, maxFlag), fleet.Cut(a.Value, maxValue)
		}
		if len(out) == maxRecords || !left.take(jsonLen(r)) {
			break
		}
		out = append(out, r)
	}
	slices.Reverse(out)
	return out
}

// jsonLen is the length of a value in a list of JSON.
func jsonLen(v any) int {
	data, _ := json.Marshal(v) // of these types it cannot fail
	return len(data) + 1
}
