package instances

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Engines whose model is not known are reported from the first round on, with a reason. When it becomes known, the same instance gets it, and
// no restart is counted.
func TestEnginesWhoseModelIsNotKnownAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{delay: 500 * time.Millisecond}
		m := newManager(t, t.TempDir(), func(o *Options) {
			o.Fetcher = fetch.New(fetch.Options{Transport: n})
			o.Declared = declare(t, engine.Declaration{URL: "http://127.0.0.1:2"})
		})
		found := at(8, "")
		want := func(state fleet.InstanceState, model, says string) {
			t.Helper()
			got := m.Reported()
			if len(got) != 2 || got[0].Name != "n1-2" || got[1].Name != "vllm-n1-1" {
				t.Fatalf("got %+v", got)
			}
			for _, in := range got {
				if in.State != state || in.Model != model || in.RestartCount != 0 || in.Since.IsZero() || !strings.Contains(in.StateMessage, says) {
					t.Errorf("got %+v, want %s, model %q, %q", in, state, model, says)
				}
			}
		}
		m.meets(t, found)
		want(fleet.InstanceStarting, "", "it has not answered yet")
		time.Sleep(time.Second)
		m.meets(t, found)
		want(fleet.InstanceStarting, "", "connection refused")
		for _, in := range m.Reported() {
			m.SetIDs(in.Name, in.Model, 7, 0)
		}
		for _, in := range m.Instances() {
			if got := in.Instance(); got.ID != "7" || got.Model != "" || got.ModelID != "" {
				t.Errorf("labels %+v", got)
			}
		}
		n.up.Store(true)
		time.Sleep(time.Minute)
		m.meets(t, found)
		want(fleet.InstanceRunning, "qwen", "")
	})
}

// An instance whose name breaks the rules has one that does not, and says so.
func TestNamesThatBreakTheRules(t *testing.T) {
	long := strings.Repeat("n", 300)
	for name, c := range map[string]struct{ instance, want, says string }{
		"too long":  {long, "nnnn", "the instance's name is 300 bytes long; at most 253 are allowed"},
		"invisible": {"a\u202eb", "a<U+202E>b", "turns the direction of text"},
		"right":     {"a b", "a b", ""},
	} {
		m, second := newManager(t, t.TempDir()), at(9, "qwen")
		first := at(8, "qwen")
		first.Instance, second.Instance, second.Key, second.URL = c.instance, c.instance, "process:2", "http://127.0.0.1:2"
		m.meets(t, first, second)
		got := m.Reported()
		if len(got) != 2 || got[0].Name == got[1].Name {
			t.Fatalf("%s: got %+v", name, got)
		}
		for _, in := range got {
			if !strings.HasPrefix(in.Name, c.want) || !strings.Contains(in.StateMessage, c.says) || fleet.CheckInstance(&in) != nil {
				t.Errorf("%s: got %+v", name, in)
			}
			if c.says == "" && strings.Contains(in.StateMessage, "name") {
				t.Errorf("%s: it says %q", name, in.StateMessage)
			}
		}
	}
}

// Each model of a page is in its state since the engine is, or since the page names it.
func TestSinceOfModelsOfAPage(t *testing.T) {
	began := time.Now().Truncate(time.Second)
	at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Minute) }
	page := func(names ...string) *engine.PageModels {
		of := map[string]string{}
		for _, name := range names {
			of[name] = name
		}
		return &engine.PageModels{Names: names, Of: of}
	}
	change := func(p *engine.PageModels, minute int) modelChange {
		return modelChange{page: p, engine: "e", now: at(minute), retention: time.Hour, room: 100, taken: func(string) bool { return false }}
	}
	p := (&pageModels{}).next(change(page("a", "b\u200b"), 2)).next(change(page("b\u200b", "c"), 4))
	running := engine.Status{State: fleet.InstanceRunning, Since: at(1)}
	want := func(model string, s engine.Status, state fleet.InstanceState, since int, says string) {
		t.Helper()
		for _, in := range p.instances {
			if in.model != model {
				continue
			}
			if got, why, from := p.stateOf(in, &s); got != state || !from.Equal(at(since)) || !strings.Contains(why, says) {
				t.Errorf("%s: %s since minute %s, %q; want %s since %d", model, got, from.Sub(began), why, state, since)
			}
			return
		}
		t.Errorf("%s is not there", model)
	}
	want("a", running, fleet.InstanceUnreachable, 4, noLongerNamed)
	want("b<U+200B>", running, fleet.InstanceRunning, 2, "U+200B")
	want("c", running, fleet.InstanceRunning, 4, "")
	down := engine.Status{State: fleet.InstanceUnreachable, Since: at(5), Message: "gone"}
	want("a", down, fleet.InstanceUnreachable, 5, "gone")
	p = p.next(change(page("a", "c"), 7))
	want("a", running, fleet.InstanceRunning, 7, "")
	running.Since = at(9)
	want("a", running, fleet.InstanceRunning, 9, "")
}
