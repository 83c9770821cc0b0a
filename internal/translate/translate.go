// Package translate translates metrics pages of inference engines. Result turns a page into the unified metrics of a mapping, Raw
// keeps the engine's own names and adds the labels of the instance. With the mapping "vllm:num_requests_running:
// gpustack:num_requests_running", a Result makes of
//
//	vllm:num_requests_running{engine="0"} 3.0
//
// the line
//
//	gpustack:num_requests_running{model_instance_name="a",engine="0"} 3.0
//
// Native means the engine's own metric, unified the mapping's. docs/translation.md shows which ways a line can go.
//
// For every page:
//   - A line that cannot be read is dropped and counted. It never costs another line its sample.
//   - The type that the mapping declares decides which samples a metric takes, not the page's TYPE: a histogram takes _bucket,
//     _sum and _count, a summary its quantiles, _sum and _count, a counter or gauge the bare name without a quantile.
//     Plan.Lookup finds native names with and without _total.
//   - Values and le are written as the page spells them. Timestamps are dropped: a page is fetched when the worker is scraped,
//     so its samples are as old as the scrape, and timestamps would switch off Prometheus' staleness handling. Exemplars are
//     dropped: text 0.0.4 has none.
//   - Of a series that comes twice, the first sample is kept.
//
// A Result or a Raw reads each page once, copies bytes and builds no samples. It keeps its memory from page to page and is for
// one goroutine at a time. Users and SeriesLimiter hold state that all Results of an engine share: both have a mutex and are
// safe for concurrent use. A Plan and a Source are immutable. Nothing here does input or output.
//
// Nearly all pages differ from the last one in their values alone. Files fastpath.go and recording.go and the package
// pagetemplate translate those without reading their lines; they change the speed and nothing else.
package translate

import (
	"bytes"
	"fmt"

	"github.com/stackscope/stackscope/internal/exposition"
)

// Format is the text format of a page.
type Format = exposition.Format

// The formats that can be translated.
const (
	Text        = exposition.Text
	OpenMetrics = exposition.OpenMetrics
)

// DetectFormat says in which format a page is, by its content type and its last line.
func DetectFormat(contentType string, page []byte) Format {
	return exposition.DetectFormat(contentType, page)
}

// Bounds of the output of one page. Beyond them, samples are dropped and counted in Stats.OverLimit and Stats.OverMemory.
const (
	MaxSamples = 250_000
	// MaxPageMemory bounds the memory for the output of a page and for all that is remembered about it, beyond OwnMemory.
	MaxPageMemory = 64 << 20
)

// OwnMemory is how much memory a Result or a Raw may hold without taking any from its pool. The page of a usual engine, of 70 to
// 300 KB, needs less: when the pool is exhausted, only large pages lose samples.
const OwnMemory = 2 << 20

// Stats counts what became of the lines of a page.
type Stats struct {
	// Lines is the number of lines that are neither blank nor comments.
	Lines int
	// Samples is the number of samples written. A line that feeds two metrics counts twice.
	Samples int
	// Families is the number of unified metrics that have samples; from Raw the number of sample names.
	Families int
	// Unmapped is the number of lines whose name the mapping does not take.
	Unmapped int
	// ParseErrors is the number of lines that were dropped because they could not be read. Of unmapped lines only the name is
	// read.
	ParseErrors int
	// Duplicates is the number of samples that were dropped because the page has their series twice.
	Duplicates int
	// TypeConflicts is the number of mapped metrics whose TYPE on the page has none of the samples that the mapping's type
	// needs: a histogram instead of a counter, or the other way round.
	TypeConflicts int
	// UnmappedFamilies is the number of native metrics that the mapping does not name. Suffixes of names tell which samples
	// belong to one metric.
	UnmappedFamilies int
	// Unselected is the number of lines that the mapping names, but of which no target takes the labels or the value.
	Unselected int
	// InvalidHistograms is the number of histograms that are exported although a bucket is smaller than the one before, +Inf
	// is missing, or +Inf differs from the count.
	InvalidHistograms int
	// OverLimit is the number of samples that were dropped because of MaxSamples, OverMemory of those dropped for lack of
	// memory.
	OverLimit, OverMemory int
	// FirstError is the line number, cause and text of the first parse error; empty if there is none.
	FirstError string
}

// maxErrorText bounds how much of a line an error message shows.
const maxErrorText = 80

// addParseError counts a parse error and keeps the first one's description.
func (s *Stats) addParseError(number int, line []byte, err error) {
	s.ParseErrors++
	if s.FirstError == "" {
		s.FirstError = fmt.Sprintf("line %d: %v: %q", number, err, line[:min(len(line), maxErrorText)])
	}
}

// cutLine returns the line that begins at pos, without its line end and without blanks before it, and where the next one begins.
func cutLine(page []byte, pos int) (line []byte, next int) {
	next = len(page)
	line = page[pos:]
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line, next = line[:n], pos+n+1
	}
	return exposition.TrimLine(line), next
}
