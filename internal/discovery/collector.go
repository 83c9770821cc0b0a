package discovery

import (
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Collector exports how discovery by one source goes.
type Collector struct {
	name     string
	d        *Discovery
	tally    *tally
	sources  []Source
	labels   []exposition.Labels
	interval time.Duration
}

// Collectors returns the collectors of the two sources: discovery_process, which counts the declared engines too, and
// discovery_docker.
func (d *Discovery) Collectors() []*Collector {
	list := []*Collector{
		{name: "discovery_process", tally: d.processTally, sources: []Source{SourceDeclared, SourceProcess}, interval: d.interval},
		{name: "discovery_docker", tally: d.dockerTally, sources: []Source{SourceDocker}, interval: resyncEvery + callTimeout},
	}
	for _, c := range list {
		c.d = d
		for _, source := range c.sources {
			c.labels = append(c.labels, exposition.RenderLabels("source", string(source)))
		}
	}
	return list
}

// Name is the value of label collector.
func (c *Collector) Name() string { return c.name }

// Collect calls emit for each sample; it never waits. It returns how long the last round took, negative if there was none or
// nothing of the kind is on this machine, and what was wrong with it.
func (c *Collector) Collect(emit func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)) (took time.Duration, err error) {
	now := c.d.now.Load()
	c.tally.mu.Lock()
	defer c.tally.mu.Unlock()
	took, err = c.tally.took, c.tally.err
	none := c.tally.at.IsZero() || took < 0
	for i, source := range c.sources {
		if n := now.sources[source]; n > 0 || !none {
			emit(&catalog.DiscoveredEngines, "", float64(n), c.labels[i])
		}
	}
	for _, counted := range c.tally.counts {
		emit(&catalog.DiscoverySkipped, "", float64(counted.n), counted.labels)
	}
	if none {
		return -1, nil
	}
	if age := time.Since(c.tally.at); err == nil && age > max(lateAfter*c.interval, minLate) {
		err = fmt.Errorf("the last round was %s ago: a process or the daemon does not answer", age.Round(time.Second))
	}
	return took, err
}
