package exporter

import (
	"bytes"
	"math"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Unified metrics whose sum is how many requests a data-parallel rank has.
const (
	runningRequests = catalog.Prefix + "num_requests_running"
	waitingRequests = catalog.Prefix + "num_requests_waiting"
)

// A rank is a data-parallel rank as engines name it: vLLM by engine, SGLang by dp_rank.
type rank struct{ engine, dpRank string }

// imbalance returns how many requests the busiest data-parallel rank of an engine has, running and waiting, divided by the mean of
// its ranks; -1 with fewer than two ranks, without requests or with numbers that are not finite, and for a page of several models.
func imbalance(o *outcome) float64 {
	if o.result == nil || o.fetch.instance.Models != nil {
		return -1
	}
	running := o.result.Lines(runningRequests)
	if bytes.Count(running, []byte{'\n'}) < 2 {
		return -1
	}
	ranks := map[rank]float64{}
	total := addRequests(ranks, running)
	if len(ranks) < 2 {
		return -1
	}
	total += addRequests(ranks, o.result.Lines(waitingRequests))
	busiest := 0.0
	for _, requests := range ranks {
		busiest = max(busiest, requests)
	}
	if !(total > 0) || math.IsInf(total, 0) { // also NaN
		return -1
	}
	return busiest * float64(len(ranks)) / total
}

// addRequests adds the values of lines to those of their ranks and returns their sum.
func addRequests(ranks map[rank]float64, lines []byte) (sum float64) {
	var sample exposition.Sample
	for line := range bytes.Lines(lines) {
		if sample.Parse(bytes.TrimSuffix(line, []byte{'\n'})) != nil {
			continue
		}
		var of rank
		for _, l := range sample.Labels {
			switch string(l.Name) {
			case "engine":
				of.engine = string(l.Value)
			case "dp_rank":
				of.dpRank = string(l.Value)
			}
		}
		v, _ := exposition.ParseNumber(sample.Value)
		ranks[of] += v
		sum += v
	}
	return sum
}
