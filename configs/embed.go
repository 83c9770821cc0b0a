// Package configs holds the configuration files that are built in.
package configs

import _ "embed"

// MetricsConfig is the built-in mapping document, in YAML. It must not be changed.
//
//go:embed metrics_config.yaml
var MetricsConfig []byte
