package prom

import (
	"cmp"
	"fmt"
	"net/url"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/tsdb"
	api "github.com/prometheus/prometheus/web/api/v1"
)

const modulePath = "github.com/prometheus/prometheus"

// buildInfo returns the version of the embedded Prometheus. Grafana selects its features by it.
func buildInfo() *api.PrometheusVersion {
	info := &api.PrometheusVersion{Version: "unknown", Revision: "unknown", GoVersion: runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range build.Deps {
			if dep.Path == modulePath {
				info.Version, info.Revision = releaseVersion(dep.Version), dep.Version
			}
		}
	}
	return info
}

// releaseVersion converts the module's version to the release's: v0.315.0 is Prometheus 3.15.0.
func releaseVersion(module string) string {
	rest, ok := strings.CutPrefix(module, "v0.")
	minor, patch, cut := strings.Cut(rest, ".")
	if !ok || !cut || len(minor) != 3 {
		return "unknown"
	}
	return minor[:1] + "." + strings.TrimPrefix(minor[1:], "0") + "." + patch
}

// flagValues returns the settings under the flag names of a separate Prometheus.
func flagValues(o Options, s sizes) map[string]string {
	return map[string]string{
		"query.lookback-delta":             model.Duration(queryLookback).String(),
		"query.max-concurrency":            strconv.Itoa(s.slots),
		"query.max-samples":                strconv.Itoa(s.maxSamplesPerQuery()),
		"query.timeout":                    model.Duration(o.QueryTimeout).String(),
		"storage.tsdb.path":                o.ShownDir,
		"storage.tsdb.retention.size":      units.Base2Bytes(o.RetentionBytes).String(),
		"storage.tsdb.retention.time":      model.Duration(o.RetentionTime).String(),
		"web.enable-admin-api":             "false",
		"web.enable-lifecycle":             "false",
		"web.enable-otlp-receiver":         "false",
		"web.enable-remote-write-receiver": "false",
		"web.external-url":                 o.ExternalURL.String(),
		"web.route-prefix":                 cmp.Or(o.PathPrefix, "/"),
	}
}

// newRuntimeInfo returns the data of the status page. Host name and working directory stay empty, because everybody can read the page.
func newRuntimeInfo(o Options, gatherer prometheus.Gatherer) func() (api.RuntimeInfo, error) {
	start := time.Now().UTC()
	keep := model.Duration(o.RetentionTime).String()
	if o.RetentionBytes > 0 {
		keep += " or " + units.Base2Bytes(o.RetentionBytes).String()
	}
	return func() (api.RuntimeInfo, error) {
		info := api.RuntimeInfo{
			StartTime:           start,
			ServerTime:          time.Now().UTC(),
			ReloadConfigSuccess: true, // the configuration is built in and was loaded at the start
			LastConfigTime:      start,
			GoroutineCount:      runtime.NumGoroutine(),
			GOMAXPROCS:          runtime.GOMAXPROCS(0),
			GOMEMLIMIT:          debug.SetMemoryLimit(-1),
			StorageRetention:    keep,
		}
		families, err := gatherer.Gather()
		if err != nil {
			return info, fmt.Errorf("gather own metrics: %w", err)
		}
		for _, f := range families {
			if f.GetName() == "prometheus_tsdb_wal_corruptions_total" && len(f.GetMetric()) > 0 {
				info.CorruptionCount = int64(f.GetMetric()[0].GetCounter().GetValue())
			}
		}
		return info, nil
	}
}

// storageStats adapts the statistics of the TSDB to the API's interface.
type storageStats struct {
	*tsdb.DB
	stats *tsdb.DBStats
}

var _ api.TSDBAdminStats = storageStats{}

func (s storageStats) Stats(label string, limit int) (*tsdb.Stats, error) {
	return s.Head().Stats(label, limit), nil
}

func (s storageStats) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return s.stats.Head.WALReplayStatus.GetWALReplayStatus(), nil
}

func (s storageStats) BlockMetas() ([]tsdb.BlockMeta, error) { return s.DB.BlockMetas(), nil }

// noAlertmanagers is an empty list of Alertmanagers: alerts are not sent.
type noAlertmanagers struct{}

func (noAlertmanagers) Alertmanagers() []*url.URL        { return nil }
func (noAlertmanagers) DroppedAlertmanagers() []*url.URL { return nil }
