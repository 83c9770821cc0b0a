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
	scrapeInterval = 15 * time.Second // of jobs that name none
	scrapeTimeout  = 10 * time.Second

	// A page over these limits fails its scrape instead of filling the memory. They lie far above what a worker with
	// sixteen engines writes (5 MB, 50 000 samples).
	maxPageBytes       = 64 << 20
	maxPageSamples     = 2_000_000
	keepDroppedTargets = 100
)

// newConfig returns the configuration as the API shows it and the scraper uses it. It goes through YAML because Prometheus'
// code accepts no configuration that its own loader didn't check.
func newConfig(o Options, logger *slog.Logger) (*config.Config, error) {
	cfg := config.Config{
		GlobalConfig: config.GlobalConfig{
			ScrapeInterval:     model.Duration(scrapeInterval),
			ScrapeTimeout:      model.Duration(scrapeTimeout),
			EvaluationInterval: model.Duration(scrapeInterval),
			BodySizeLimit:      units.Base2Bytes(maxPageBytes),
			SampleLimit:        maxPageSamples,
			KeepDroppedTargets: keepDroppedTargets,
			// The default of Prometheus 3. It takes the colons in our names and lets one odd name pass, where the legacy
			// scheme fails the scrape.
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
		sc.HTTPClientConfig.FollowRedirects = false // a target that isn't ours to scrape may be behind it
		cfg.ScrapeConfigs = append(cfg.ScrapeConfigs, &sc)
	}
	loaded, err := config.Load(cfg.String(), logger)
	if err != nil {
		return nil, fmt.Errorf("prometheus: configuration: %w", err)
	}
	// The loader filled in how to tune Go's runtime and take in OTLP. Neither happens here, so it isn't shown either.
	loaded.Runtime, loaded.OTLPConfig = config.RuntimeConfig{}, config.OTLPConfig{}
	return loaded, nil
}
