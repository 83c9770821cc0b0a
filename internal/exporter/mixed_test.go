package exporter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/mapping"
)

// enginePages returns the repository's pages of engines by name.
func enginePages(t *testing.T) map[string]*fakeEngine {
	t.Helper()
	pages := map[string]*fakeEngine{}
	for _, p := range enginepages.Own(t) {
		e := &fakeEngine{page: string(p.Text)}
		e.instance.Runtime, e.instance.Version, e.instance.Gateway = p.Runtime, p.Version, runtimes.IsGateway(p.Runtime)
		pages[p.Name] = e
	}
	return pages
}

// seriesOf returns the series of a page as Prometheus reads it, with their values in the page's order.
func seriesOf(t *testing.T, what string, page []byte) (list []labels.Labels) {
	t.Helper()
	p := textparse.NewPromParser(bytes.Clone(page), labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if entry == textparse.EntrySeries {
			var l labels.Labels
			p.Labels(&l)
			list = append(list, l)
		}
	}
}

// TestMixedCluster runs two engines of each kind in one worker: no series comes twice, promtool has nothing to say, and all native
// labels are there under their own names.
func TestMixedCluster(t *testing.T) {
	pages := enginePages(t)
	var engines []Engine
	seen := map[string]bool{}
	for name, e := range pages {
		seen[e.instance.Runtime] = true
		for i := range 2 {
			in := e.instance
			in.Name, in.ID = fmt.Sprintf("%s-%d", name, i), fmt.Sprint(len(engines))
			if !in.Gateway {
				in.Model, in.ModelID = "served", "1"
			}
			engines = append(engines, &fakeEngine{page: e.page, instance: in})
		}
	}
	if want := len(runtimes.All()); len(seen) < want {
		t.Errorf("pages of %d runtimes, there are %d", len(seen), want)
	}
	compiled, err := mapping.Compile(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{
		Engines: func() []Engine { return engines }, Mapping: &fakeMapping{compiled, 1}, UserLimit: 100,
		Identity: func() Identity {
			return Identity{WorkerName: "node-1", WorkerID: "1", ClusterName: "c", ClusterID: "1"}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/metrics", "/metrics", "/metrics/raw", "/metrics/raw?unmapped=1"} {
		page := get(t, e.Handler(), path)
		byInstance := map[string][]labels.Labels{}
		twice := map[string]bool{}
		for _, l := range seriesOf(t, path, []byte(page)) {
			if twice[l.String()] {
				t.Errorf("%s: %s comes twice", path, l)
			}
			twice[l.String()] = true
			key := l.Get("model_instance_name") + " " + l.Get(model.MetricNameLabel)
			byInstance[key] = append(byInstance[key], l)
		}
		if path == "/metrics" {
			problems, err := promlint.New(strings.NewReader(page)).Lint()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if !strings.Contains(p.Text, "':'") && !strings.Contains(p.Text, "label names should be written in 'snake_case'") {
					t.Errorf("%s: %s: %s", path, p.Metric, p.Text)
				}
			}
			for _, in := range engines {
				if _, ok := byInstance[in.Instance().Name+" gpustack:runtime_scrape_success"]; !ok {
					t.Errorf("%s has no gpustack:runtime_scrape_success", in.Instance().Name)
				}
			}
		}
		if path == "/metrics/raw" {
			for _, in := range engines {
				nativeLabelsStay(t, in.(*fakeEngine), byInstance)
			}
		}
	}
}

// nativeLabelsStay looks for each native series among those of its instance.
func nativeLabelsStay(t *testing.T, e *fakeEngine, byInstance map[string][]labels.Labels) {
	t.Helper()
	if p := textparse.NewPromParser([]byte(e.page), labels.NewSymbolTable(), false); !readable(p) {
		return // the page's faults are what it is for
	}
	for _, native := range seriesOf(t, e.instance.Name, []byte(e.page)) {
		found := false
		for _, l := range byInstance[e.instance.Name+" "+native.Get(model.MetricNameLabel)] {
			same := true
			native.Range(func(n labels.Label) {
				same = same && (n.Value == "" || l.Get(n.Name) == n.Value || l.Get("exported_"+n.Name) == n.Value || l.Get("native_"+n.Name) == n.Value)
			})
			found = found || same
		}
		if !found {
			t.Errorf("%s: %s is not there", e.instance.Name, native)
		}
	}
}

func readable(p textparse.Parser) bool {
	for {
		if _, err := p.Next(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}
