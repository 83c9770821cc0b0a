// Package translate rewrites metrics pages of inference engines: Result turns a page into the unified families that a
// mapping declares, Raw keeps the engine's own families and adds the labels of its instance. Both read a page once, copy
// bytes instead of building samples, and keep their memory from page to page.
//
// What holds for every page:
//   - A line that cannot be read is dropped and counted; it never costs another line its sample.
//   - Which series a native family has is decided by the type that the mapping declares for the unified one, not by the
//     page's TYPE: a histogram takes _bucket, _sum and _count, a summary its quantiles, _sum and _count, a counter or gauge
//     the bare name without a quantile. Plan.Lookup finds natives with and without _total.
//   - Values and le stand in the output as the page spells them. Timestamps are dropped: pages are fetched when they are
//     asked for, so a sample is as old as its scrape, and a timestamp would switch off Prometheus' staleness handling.
//     Exemplars are dropped, since text 0.0.4 cannot carry them.
//   - A series that comes twice in a page is kept once, the first time.
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

// Bounds of what one page may become. A page with more is cut: its first samples are kept, the others are counted in
// Stats.OverLimit.
const (
	MaxSamples = 250_000
	// MaxPageMemory bounds what a page becomes with all that is remembered about it, in bytes beyond 2 MiB.
	MaxPageMemory = 64 << 20
)

// Stats counts what happened to a page.
type Stats struct {
	// Lines is the number of lines that are neither blank nor comments.
	Lines int
	// Samples is the number of samples written. A line that feeds two families counts twice.
	Samples int
	// Families is the number of families that have samples; from Raw the number of sample names.
	Families int
	// Unmapped is the number of lines whose name feeds no family.
	Unmapped int
	// ParseErrors is the number of lines that were dropped because they could not be read. Unmapped lines are not
	// read beyond their names.
	ParseErrors int
	// Duplicates is the number of samples that were dropped because their series was already there.
	Duplicates int
	// TypeConflicts is the number of mapped families whose TYPE in the page has none of the series that the mapping's
	// type needs: a histogram where a counter is declared, or the other way round.
	TypeConflicts int
	// UnmappedFamilies is the number of families of which the mapping takes no sample, whatever its labels, as far as names
	// tell which samples are one family's.
	UnmappedFamilies int
	// Unselected is the number of lines that the mapping names and that no target takes because of their labels or value.
	Unselected int
	// InvalidHistograms is the number of histograms that are passed on though their buckets fall from bound to bound, lack
	// +Inf, or disagree with their count.
	InvalidHistograms int
	// OverLimit is the number of samples that were dropped because of MaxSamples, OverMemory of those for which there was no
	// memory.
	OverLimit, OverMemory int
	// FirstError says in which line the first parse error was and what was wrong; empty if there was none.
	FirstError string
}

// maxErrorText bounds the part of a faulty line that an error message shows.
const maxErrorText = 80

// fault counts a parse error and describes it if it is the first.
func (s *Stats) addParseError(number int, line []byte, err error) {
	s.ParseErrors++
	if s.FirstError == "" {
		s.FirstError = fmt.Sprintf("line %d: %v: %q", number, err, line[:min(len(line), maxErrorText)])
	}
}

// cutLine returns the line that begins at pos, without its line end and the blanks before it, and where the next begins.
func cutLine(page []byte, pos int) (line []byte, next int) {
	next = len(page)
	line = page[pos:]
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line, next = line[:n], pos+n+1
	}
	return exposition.TrimLine(line), next
}
