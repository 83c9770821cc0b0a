package prom

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
)

const (
	scrapeInterval = 15 * time.Second // of jobs without one
	scrapeTimeout  = 10 * time.Second

	// A page over these limits fails its scrape instead of exhausting the memory. A worker with sixteen engines writes 5 MB and
	// 50 000 samples.
	maxPageBytes       = 64 << 20
	maxPageSamples     = 2_000_000
	keepDroppedTargets = 100
)

// newConfig returns the configuration that the scraper uses and the API shows. It goes through YAML, because Prometheus' code needs
// the defaults and checks of its own loader.
func newConfig(o Options, logger *slog.Logger) (*config.Config, error) {
	cfg := config.Config{
		GlobalConfig: config.GlobalConfig{
			ScrapeInterval:     model.Duration(scrapeInterval),
			ScrapeTimeout:      model.Duration(scrapeTimeout),
			EvaluationInterval: model.Duration(scrapeInterval),
			BodySizeLimit:      units.Base2Bytes(maxPageBytes),
			SampleLimit:        maxPageSamples,
			KeepDroppedTargets: keepDroppedTargets,
			// The default of Prometheus 3. With the legacy scheme one unusual name would fail the whole scrape.
			MetricNameValidationScheme: model.UTF8Validation,
			MetricNameEscapingScheme:   model.AllowUTF8,
		},
		StorageConfig: config.StorageConfig{TSDBConfig: &config.TSDBConfig{Retention: &config.TSDBRetentionConfig{
			Time: model.Duration(o.RetentionTime),
			Size: units.Base2Bytes(o.RetentionBytes),
		}}},
	}
	for _, job := range o.jobs() {
		sc := config.DefaultScrapeConfig
		sc.JobName = job.Name
		sc.ScrapeInterval = model.Duration(job.Interval)
		sc.ScrapeTimeout = model.Duration(min(job.Interval, scrapeTimeout))
		sc.HTTPClientConfig.FollowRedirects = false // a redirect could lead to any server
		cfg.ScrapeConfigs = append(cfg.ScrapeConfigs, &sc)
	}
	loaded, err := config.Load(cfg.String(), logger)
	if err != nil {
		return nil, fmt.Errorf("prometheus: configuration: %w", err)
	}
	// The loader sets defaults for the Go runtime and OTLP. Neither is used here, so neither is shown.
	loaded.Runtime, loaded.OTLPConfig = config.RuntimeConfig{}, config.OTLPConfig{}
	return loaded, nil
}
