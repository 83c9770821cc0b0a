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
	// enginesShare of the scraper's time is for the engines, and until closingShare of it their pages must be translated. Then
	// the page is made, so that it goes out while a fifth of the time is left.
	enginesShare = 0.65
	closingShare = 0.7
)

const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// engineTime returns how long the engines of a scrape may take, and when what they gave must be translated. A header that says
// nothing usable counts as none.
func engineTime(h http.Header) (engines, closing time.Duration) {
	timeout := defaultTimeout
	if seconds, err := strconv.ParseFloat(h.Get(timeoutHeader), 64); err == nil && seconds > 0 && !math.IsNaN(seconds) {
		timeout = time.Duration(min(seconds, maxTimeout.Seconds()) * float64(time.Second))
	}
	return time.Duration(enginesShare * float64(timeout)), time.Duration(closingShare * float64(timeout))
}
