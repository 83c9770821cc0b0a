package discovery

import (
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Collector exports metrics of one source of discovery.
type Collector struct {
	name      string
	discovery *Discovery
	skips     *skipCounter
	sources   []Source
	labels    []exposition.Labels
	interval  time.Duration
}

// Collectors returns the collectors of the two sources: discovery_process, which counts the declared engines too, and
// discovery_docker.
func (d *Discovery) Collectors() []*Collector {
	list := []*Collector{
		{name: "discovery_process", skips: d.processSkips, sources: []Source{SourceDeclared, SourceProcess}, interval: d.interval},
		{name: "discovery_docker", skips: d.dockerSkips, sources: []Source{SourceDocker}, interval: resyncEvery + callTimeout},
	}
	for _, c := range list {
		c.discovery = d
		for _, source := range c.sources {
			c.labels = append(c.labels, exposition.RenderLabels("source", string(source)))
		}
	}
	return list
}

// Name is the value of label collector.
func (c *Collector) Name() string { return c.name }

// Collect calls emit for each sample, without blocking on a round. It returns how long the last round took and its error. took is
// negative if there was no round yet or the machine does not have this source.
func (c *Collector) Collect(emit func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)) (took time.Duration, err error) {
	now := c.discovery.current.Load()
	c.skips.mu.Lock()
	defer c.skips.mu.Unlock()
	took, err = c.skips.roundTook, c.skips.roundErr
	none := c.skips.roundEnd.IsZero() || took < 0
	for i, source := range c.sources {
		if n := now.sources[source]; n > 0 || !none {
			emit(&catalog.DiscoveredEngines, "", float64(n), c.labels[i])
		}
	}
	for _, counted := range c.skips.totals {
		emit(&catalog.DiscoverySkipped, "", float64(counted.n), counted.labels)
	}
	if none {
		return -1, nil
	}
	if age := time.Since(c.skips.roundEnd); err == nil && age > max(lateRounds*c.interval, minLate) {
		err = fmt.Errorf("the last round was %s ago: reading a process or asking the daemon hangs", age.Round(time.Second))
	}
	return took, err
}
