package exporter

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Bounds of the time that a scrape gives to engines.
const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 30 * time.Second
	// Engines must have sent their pages after fetchShare of the scraper's timeout, and the pages must be translated after
	// translateShare. Writing the answer takes up to a tenth more, so that it goes out while a fifth of the timeout is left.
	fetchShare     = 0.65
	translateShare = 0.7
)

const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// scrapeTimes returns how long after its start a scrape waits for engines' pages, and for their translations. A header that is
// missing or not a positive number counts as defaultTimeout.
func scrapeTimes(h http.Header) (fetch, translate time.Duration) {
	timeout := defaultTimeout
	if seconds, err := strconv.ParseFloat(h.Get(timeoutHeader), 64); err == nil && seconds > 0 && !math.IsNaN(seconds) {
		timeout = time.Duration(min(seconds, maxTimeout.Seconds()) * float64(time.Second))
	}
	return share(fetchShare, timeout), share(translateShare, timeout)
}

func share(of float64, timeout time.Duration) time.Duration {
	return time.Duration(of * float64(timeout))
}
