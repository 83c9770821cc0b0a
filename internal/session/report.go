package session

import (
	"context"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	// defaultReportInterval is for a server that names none.
	defaultReportInterval = 10 * time.Second
	// coalesceTime lets changes that come together go into one report.
	coalesceTime = 20 * time.Millisecond
)

// interval returns the time between two reports: the worker's own setting, else the server's, else the default.
func (s *Session) interval(serverSeconds int) time.Duration {
	for _, d := range []time.Duration{s.opts.ReportInterval, time.Duration(serverSeconds) * time.Second} {
		if d > 0 {
			return d
		}
	}
	return defaultReportInterval
}

// report sends a report at once, after each change, and at each interval. It returns errUnknown, or nil when ctx ends.
func (s *Session) report(ctx context.Context, m Membership, interval time.Duration) error {
	select {
	case <-s.opts.Ready:
	case <-ctx.Done():
	}
	var pauses backoff.Backoff
	for ctx.Err() == nil {
		err := s.reportOnce(ctx, m)
		switch {
		case ctx.Err() != nil:
			return nil
		case unknownToServer(err):
			return errUnknown
		}
		s.logOutcome("report", err)
		if err != nil {
			pause(ctx, &pauses, err)
			continue
		}
		pauses.Reset()
		s.awaitChange(ctx, interval)
	}
	return nil
}

// awaitChange returns when there is something to report, or after interval.
func (s *Session) awaitChange(ctx context.Context, interval time.Duration) {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-s.changed:
		backoff.Sleep(ctx, coalesceTime)
		select {
		case <-s.changed: // what came meanwhile goes into the same report
		default:
		}
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *Session) reportOnce(ctx context.Context, m Membership) error {
	req, own := s.reportRequest()
	resp, err := s.opts.Server.Report(ctx, m, req)
	if err != nil {
		return err
	}
	s.versions.reported(s.logger, resp.ServerVersion)
	for _, given := range resp.Instances {
		if in, reported := own[given.Name]; reported {
			s.opts.Instances.SetIDs(in.ownName, in.ownModel, given.InstanceID, given.ModelID)
			if given.Model != "" {
				s.opts.Instances.SetRoutedModel(in.ownName, given.Model)
			}
		}
	}
	return nil
}

// reportRequest describes the whole worker: the server drops the instances that it does not name. It also returns them by the reported name.
func (s *Session) reportRequest() (req wire.ReportRequest, reportedAs map[string]acceptedInstance) {
	_, generation := s.opts.Mapping.Current()
	req = wire.ReportRequest{AppliedGeneration: generation, Instances: []wire.InstanceReport{}}
	reportedAs = map[string]acceptedInstance{}
	for _, in := range s.filter.accepted(s.opts.Instances.Reported()) {
		reported := wire.InstanceReport{
			Name: in.Name, Model: in.Model, URL: in.URL, Runtime: in.Runtime, RuntimeVersion: in.RuntimeVersion,
			State: in.State, StateMessage: in.StateMessage, Source: in.Source, SourceKey: in.SourceKey, Category: in.Category,
			Role: in.Role, Group: in.Group, Connector: in.Connector, Upstreams: in.Upstreams, RestartCount: in.RestartCount,
		}
		if in.Model == "" && in.Runtime == "" {
			reported.Runtime = fleet.Unknown // a server of an older version takes no instance without both
		}
		if !in.LastRestartAt.IsZero() {
			reported.LastRestartAt = in.LastRestartAt.Unix()
		}
		if !in.Since.IsZero() {
			reported.Since = in.Since.Unix()
		}
		req.Instances = append(req.Instances, reported)
		reportedAs[in.Name] = in
	}
	reportedNames := make(map[string]string, len(reportedAs)) // by own name
	for name := range reportedAs {
		reportedNames[reportedAs[name].ownName] = name
	}
	s.setNames(reportedAs)
	if s.opts.GPUs != nil {
		req.GPUs = s.gpus.report(s.opts.GPUs(), func(instance string) string { return reportedNames[instance] })
	}
	return req, reportedAs
}
