package exporter

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Bounds of the time that engines are given for one scrape.
const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 30 * time.Second
	maxMargin      = 500 * time.Millisecond
	// marginShare of the scrape's time is kept for the rest of the page.
	marginShare = 0.1
)

const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// engineTime returns how long the engines of a scrape may take, what Prometheus waits less a margin, and the margin.
func engineTime(h http.Header) (engines, margin time.Duration) {
	timeout := defaultTimeout
	if seconds, err := strconv.ParseFloat(h.Get(timeoutHeader), 64); err == nil && seconds > 0 && !math.IsNaN(seconds) {
		timeout = time.Duration(min(seconds, maxTimeout.Seconds()) * float64(time.Second))
	}
	margin = min(time.Duration(marginShare*float64(timeout)), maxMargin)
	return timeout - margin, margin
}
