package exporter

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// maxOwnText bounds Check.Own.
const maxOwnText = MaxPageText

// Check is the worker's own page as a scrape would have got it.
type Check struct {
	Took          time.Duration
	Bytes, Series int // of the whole page
	// Own are the metrics but those of engines under unified names: the collectors', those about engines and their pages, and the process's. It ends with a whole line.
	Own    string
	OwnCut bool
	Err    error // why there is no page
}

// Check makes the page of /metrics as a scrape with a timeout of 5 s does, engines included. It returns before the deadline.
func (e *Exporter) Check(deadline time.Time) (c Check) {
	start := time.Now()
	defer func() {
		if v := recover(); v != nil {
			e.logger.Error("the worker's page could not be made for a check", "panic", v, "stack", string(debug.Stack()))
			c.Err = fmt.Errorf("the page could not be made: %v", v)
		}
		c.Took = time.Since(start)
	}()
	select {
	case e.scrapes <- struct{}{}:
		defer func() { <-e.scrapes }()
	default:
		c.Err = fmt.Errorf("%d scrapes are in progress, the most that there may be", maxScrapes)
		return c
	}
	timeout := min(defaultTimeout, time.Until(deadline))
	s := scrape{start: start, fetchBy: start.Add(share(fetchShare, timeout)), translateBy: start.Add(share(translateShare, timeout)), identity: e.identity()}
	s.compiled, s.generation = e.mapping.Current()
	outcomes, results := e.scrapeUnified(s)
	defer release(outcomes)
	var engines, own exposition.Writer
	translate.Merge(&engines, s.compiled.Families(), results...)
	e.writeOwn(&own, s, outcomes)
	var size pageSize
	_, _ = engines.WriteTo(&size) // pageSize returns no error
	_, _ = own.WriteTo(&size)
	c.Bytes, c.Series = size.bytes, size.series
	c.Own, c.OwnCut = cutText(own.Bytes(), maxOwnText)
	return c
}

// pageSize counts what is written. Each sample is a line, and no other line is without a #.
type pageSize struct {
	bytes, series int
	within        bool // of a line
}

func (p *pageSize) Write(b []byte) (int, error) {
	p.bytes += len(b)
	for part := range bytes.Lines(b) {
		if !p.within && part[0] != '#' && part[0] != '\n' {
			p.series++
		}
		p.within = part[len(part)-1] != '\n'
	}
	return len(b), nil
}
