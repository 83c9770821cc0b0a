package instances

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// rays are engines by port, each with a page that names models, as Ray's does. One without a page refuses.
type rays struct {
	mu    sync.Mutex
	pages map[string]string // by host:port
	list  string            // what /v1/models of each answers
}

func (r *rays) names(port int, models ...string) {
	r.set(port, rayPage(models...))
}

func (r *rays) set(port int, page string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pages == nil {
		r.pages = map[string]string{}
	}
	r.pages[fmt.Sprintf("127.0.0.1:%d", port)] = page
}

func rayPage(models ...string) string {
	var b strings.Builder
	b.WriteString("# TYPE ray_vllm_num_requests_running gauge\n")
	for i, m := range models {
		fmt.Fprintf(&b, "ray_vllm_num_requests_running{ReplicaId=\"r%d\",model_name=%q} %d\n", i, m, i+1)
	}
	return b.String()
}

func (r *rays) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	page := r.pages[req.URL.Host]
	switch {
	case page == "":
		return nil, syscall.ECONNREFUSED
	case req.URL.Path == "/v1/models" && r.list != "":
		return reply(req, http.StatusOK, "application/json", io.NopCloser(strings.NewReader(r.list))), nil
	case req.URL.Path != "/metrics":
		return reply(req, http.StatusNotFound, "text/plain", io.NopCloser(strings.NewReader("no"))), nil
	}
	return reply(req, http.StatusOK, "text/plain", io.NopCloser(strings.NewReader(page))), nil
}

// rayWorker is a worker that runs with engines of rays.
type rayWorker struct {
	*Manager
	stop func()
}

const rayRetention = 5 * time.Minute

// runRays runs a worker whose state is in dir. It stops with the test, or at stop.
func runRays(t *testing.T, dir string, r *rays, found []discovery.Found, declared ...engine.Declaration) *rayWorker {
	t.Helper()
	m := newManager(t, dir, func(o *Options) {
		o.Fetcher, o.Retention = fetch.New(fetch.Options{Transport: r}), rayRetention
		o.Sources = []discovery.Source{discovery.SourceProcess}
		for _, d := range declared {
			o.Declared = append(o.Declared, declare(t, d)...)
		}
	})
	d := finder{found: found, looked: make(chan struct{})}
	close(d.looked)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx, d) })
	w := &rayWorker{m, func() { cancel(); wg.Wait() }}
	t.Cleanup(w.stop)
	<-m.Ready()
	time.Sleep(2 * time.Second)
	return w
}

// reads has each engine read, as a scrape does, and returns what is reported.
func (w *rayWorker) reads(t *testing.T) string {
	t.Helper()
	for _, in := range w.Engines() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if page, err := in.Fetch(ctx); err == nil && page.Release != nil {
			page.Release()
		}
		cancel()
	}
	time.Sleep(2 * reconcileInterval)
	var list []string
	for _, in := range w.Reported() {
		line := in.Name + "=" + in.Model
		if in.State != fleet.InstanceRunning {
			line += " " + string(in.State)
		}
		list = append(list, line)
	}
	return strings.Join(list, ", ")
}

// giveIDs gives each instance ids, as a server does.
func (w *rayWorker) giveIDs() {
	for i, in := range w.Reported() {
		w.SetIDs(in.Name, in.Model, int64(40+i), int64(70+i))
	}
}

func TestModelsOfAPageAreInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, r := t.TempDir(), &rays{}
		r.names(8080, "qwen", "llama")
		own := engine.Declaration{URL: "http://127.0.0.1:8080", Instance: "ray"}
		w := runRays(t, dir, r, nil, own)
		wants := func(what, want string) {
			t.Helper()
			if got := w.reads(t); got != want {
				t.Errorf("%s:\n got %s\nwant %s", what, got, want)
			}
		}
		wants("two from the start", "ray-qwen=qwen, ray-llama=llama")
		w.giveIDs()
		want := exporter.Instance{Name: "ray", Runtime: "vLLM", Models: &exporter.Models{
			ByLabel: map[string]exporter.ModelInstance{
				"qwen":  {Name: "ray-qwen", Model: "qwen", ID: "40", ModelID: "70"},
				"llama": {Name: "ray-llama", Model: "llama", ID: "41", ModelID: "71"},
			},
			Labels: []string{"model_name", "model", "served_model"},
		}}
		in := w.Instances()[0]
		if diff := cmp.Diff(want, in.Instance()); diff != "" {
			t.Errorf("labels (-want +got)\n%s", diff)
		}
		if a, b := in.Instance(), in.Instance(); a != b {
			t.Error("labels that do not change are new ones")
		}

		r.names(8080, "qwen", "llama", "phi")
		wants("one more", "ray-qwen=qwen, ray-llama=llama, ray-phi=phi")
		r.names(8080, "llama", "phi")
		wants("one less", "ray-qwen=qwen unreachable, ray-llama=llama, ray-phi=phi")
		if got := w.Reported()[0].StateMessage; got != noLongerNamed {
			t.Errorf("message %q", got)
		}
		r.names(8080, "llama", "phi", "qwen")
		wants("it is back", "ray-qwen=qwen, ray-llama=llama, ray-phi=phi")
		r.names(8080, "phi")
		wants("one is left", "ray-qwen=qwen unreachable, ray-llama=llama unreachable, ray-phi=phi")
		time.Sleep(rayRetention)
		wants("after the retention", "ray-phi=phi")
		r.names(8080, "phi", "qwen")
		wants("back after the retention", "ray-phi=phi, ray-qwen=qwen")

		r.set(8080, "")
		wants("the engine does not answer", "ray-phi=phi unreachable, ray-qwen=qwen unreachable")
		w.stop()
		w = runRays(t, dir, r, nil, own)
		wants("the worker was restarted, the engine does not answer yet", "ray-phi=phi starting, ray-qwen=qwen starting")
		r.names(8080, "qwen", "phi", "llama")
		time.Sleep(checkEngines)
		wants("all are back", "ray-phi=phi, ray-qwen=qwen, ray-llama=llama")
		w.giveIDs()
		if got := w.Instances()[0].Instance().Models.ByLabel["qwen"].ID; got != "41" {
			t.Errorf("id %s", got)
		}
	})
}

// checkEngines is longer than the pause between two reads of an engine that does not answer.
const checkEngines = time.Minute

// The model that an engine had alone keeps its instance when others come, also over a restart of the worker: no series is renamed.
func TestFirstModelKeepsItsInstance(t *testing.T) {
	for _, c := range []struct {
		name     string
		declared engine.Declaration
		first    []string // names of the first page
		want     [3]string
	}{
		{
			"by the page",
			engine.Declaration{Instance: "ray"},
			[]string{"qwen"},
			[3]string{"ray=qwen", "ray=qwen, ray-llama=llama", "ray=qwen"},
		},
		{
			"declared, and two from the start",
			engine.Declaration{Instance: "ray", Model: "llama"},
			[]string{"qwen", "llama"},
			[3]string{"ray-qwen=qwen, ray=llama", "ray-qwen=qwen, ray=llama", "ray-qwen=qwen"},
		},
		{
			"declared by another name",
			engine.Declaration{Instance: "ray", Model: "prod"},
			[]string{"qwen"},
			[3]string{"ray=prod", "ray-qwen=qwen, ray-llama=llama", "ray-qwen=qwen"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, r := t.TempDir(), &rays{}
				r.names(8080, c.first...)
				c.declared.URL = "http://127.0.0.1:8080"
				w := runRays(t, dir, r, nil, c.declared)
				check := func(want string) {
					t.Helper()
					if got := w.reads(t); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				}
				check(c.want[0])
				w.giveIDs()
				r.names(8080, "qwen", "llama")
				check(c.want[1])
				w.giveIDs()
				w.stop()
				w = runRays(t, dir, r, nil, c.declared)
				check(c.want[1])
				r.names(8080, "qwen")
				w.reads(t)
				time.Sleep(rayRetention)
				check(c.want[2])
				r.names(8080, "qwen", "llama")
				if got := w.reads(t); !slices.Equal(sorted(got), sorted(c.want[1])) {
					t.Errorf("again: got %s, want %s", got, c.want[1])
				}
			})
		})
	}
}

func sorted(list string) []string {
	parts := strings.Split(list, ", ")
	slices.Sort(parts)
	return parts
}

// A page with one model is what it ever was.
func TestOneModelIsNoPageModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rays{}
		r.names(8080, "qwen")
		w := runRays(t, t.TempDir(), r, nil, engine.Declaration{URL: "http://127.0.0.1:8080", Instance: "ray", Model: "prod"})
		if got := w.reads(t); got != "ray=prod" {
			t.Error(got)
		}
		if diff := cmp.Diff(exporter.Instance{Name: "ray", Model: "prod", Runtime: "vLLM"}, w.Instances()[0].Instance()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// An adapter that only the command line tells of does not become a model when the engine's process ends.
func TestAdapterOfADeclaredEngineThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rays{}
		r.names(8080, "qwen", "sql")
		m := newManager(t, t.TempDir(), func(o *Options) {
			o.Fetcher = fetch.New(fetch.Options{Transport: r})
			o.Declared = declare(t, engine.Declaration{URL: "http://127.0.0.1:8080", Instance: "own", Model: "qwen"})
		})
		f := discovery.Found{Key: "own", Source: discovery.SourceDeclared, URL: "http://127.0.0.1:8080"}
		gone := f
		f.PID, f.Started, f.Adapters = 7, time.Now(), "sql"
		w := rayWorker{Manager: m}
		m.meets(t, f)
		w.reads(t)
		for _, c := range []struct {
			when  string
			found discovery.Found
		}{{"found", f}, {"its process ended", gone}, {"it still is", gone}, {"it is back", f}} {
			m.meets(t, c.found)
			if got, _, _ := strings.Cut(w.reads(t), " "); got != "own=qwen" {
				t.Errorf("%s: %s", c.when, got)
			}
		}
	})
}

// Of 40 models 32 are instances of their own. The others are one more, which says what it is.
func TestManyModelsAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, r := t.TempDir(), &rays{}
		var models []string
		for i := range 40 {
			models = append(models, fmt.Sprintf("m%d", i))
		}
		r.names(8080, models...)
		own := engine.Declaration{URL: "http://127.0.0.1:8080", Instance: "ray"}
		w := runRays(t, dir, r, nil, own)
		check := func(what string, w *rayWorker, folded int) {
			t.Helper()
			w.reads(t)
			list := w.Reported()
			if len(list) != MaxPageModels+1 {
				t.Fatalf("%s: %d instances", what, len(list))
			}
			last := list[MaxPageModels]
			if last.Name != "ray-other" || last.Model != "other" || last.State != fleet.InstanceRunning ||
				!strings.HasPrefix(last.StateMessage, fmt.Sprintf(`%d models of the engine's page are beyond the limit of 32 and have model_name="other": m`, folded)) {
				t.Errorf("%s: %+v", what, last)
			}
			m := w.Instances()[0].Instance().Models
			if m.Folded != folded || m.Other == nil || m.Other.Name != "ray-other" || len(m.ByLabel) != MaxPageModels {
				t.Errorf("%s: %d folded, %d not, %+v", what, m.Folded, len(m.ByLabel), m.Other)
			}
		}
		check("at first", w, 8)
		kept := w.Reported()[3].Name
		slices.Reverse(models)
		r.names(8080, models...)
		check("in another order", w, 8)
		w.stop()
		w = runRays(t, dir, r, nil, own)
		check("after a restart of the worker", w, 8)
		if got := w.Reported()[3].Name; got != kept {
			t.Errorf("%s was %s", got, kept)
		}
		r.names(8080, models[:33]...) // m39 to m7: m0 to m6 end
		w.reads(t)
		time.Sleep(rayRetention)
		w.reads(t)
		for _, in := range w.Reported() {
			if in.Model == "m0" || in.Model == "other" && !strings.HasPrefix(in.StateMessage, "1 models") {
				t.Errorf("%+v", in)
			}
		}
	})
}

// Two engines whose models have the same names have different instances, and so has an engine whose name is that of another's model.
func TestNamesOfModelsAreDistinct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rays{}
		r.names(1, "a", "b")
		r.names(2, "b", "other")
		r.names(3, "c")
		long := strings.Repeat("x", 300)
		r.names(4, long+"1", long+"2")
		var declared []engine.Declaration
		for i, name := range []string{"ray", "ray-a", "ray-b", "ray-4"} {
			declared = append(declared, engine.Declaration{URL: fmt.Sprintf("http://127.0.0.1:%d", i+1), Instance: name})
		}
		w := runRays(t, t.TempDir(), r, nil, declared...)
		w.reads(t)
		seen := map[string]bool{}
		var names []string
		for _, in := range w.Reported() {
			if seen[in.Name] || fleet.CheckInstance(&in) != nil {
				t.Errorf("%s: twice %t, fault %v", in.Name, seen[in.Name], fleet.CheckInstance(&in))
			}
			seen[in.Name] = true
			names = append(names, in.Name)
		}
		if diff := cmp.Diff([]string{"ray-a-2", "ray-b-2", "ray-a-b", "ray-a-other", "ray-b"}, names[:5]); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if len(names) != 7 {
			t.Errorf("%d instances", len(names))
		}
	})
}

// State and restarts are each model's. What is the process' own is measured once: a GPU's memory would be counted twice.
func TestOwnMetricsOfSeveralModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rays{}
		r.names(8080, "qwen", "llama")
		gpus := &countingGPUs{}
		m := newManager(t, t.TempDir(), func(o *Options) {
			o.Fetcher, o.GPUs = fetch.New(fetch.Options{Transport: r}), gpus
			o.Declared = declare(t, engine.Declaration{URL: "http://127.0.0.1:8080", Instance: "ray"})
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		d := finder{looked: make(chan struct{})}
		close(d.looked)
		wg.Go(func() { m.Run(ctx, d) })
		<-m.Ready()
		time.Sleep(2 * time.Second)
		got := map[string]int{}
		_, _ = m.Collector().Collect(func(metric *catalog.Metric, _ string, _ float64, labels exposition.Labels) {
			if metric.Name == catalog.InstanceTransitions.Name && strings.Contains(string(labels), `reason="first_answer"`) {
				got[string(labels)]++
			}
		})
		const rest = `,runtime="vLLM",from="starting",to="running",reason="first_answer"`
		if diff := cmp.Diff(map[string]int{
			`model_name="qwen",model_instance_name="ray-qwen"` + rest:   1,
			`model_name="llama",model_instance_name="ray-llama"` + rest: 1,
		}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]string{`model_instance_name="ray",runtime="vLLM"`}, gpus.labels); diff != "" {
			t.Errorf("GPUs (-want +got)\n%s", diff)
		}
		cancel()
		wg.Wait()
	})
}

type countingGPUs struct {
	noGPUs
	labels []string
}

func (g *countingGPUs) CollectInstance(_ string, _ exporter.Emit, labels exposition.Labels) {
	g.labels = append(g.labels, string(labels))
}

// Engines that are found keep their models while they have not been found again.
func TestModelsOfAnEngineThatIsNotFoundYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, r := t.TempDir(), &rays{}
		r.names(8080, "qwen", "llama")
		found := []discovery.Found{{
			Key: "process:8080", Source: discovery.SourceProcess, Runtime: "vLLM", Instance: "ray", URL: "http://127.0.0.1:8080", PID: 7, Started: time.Unix(1_700_000_000, 0),
		}}
		w := runRays(t, dir, r, found)
		if got := w.reads(t); got != "ray-qwen=qwen, ray-llama=llama" {
			t.Fatal(got)
		}
		w.giveIDs()
		time.Sleep(time.Second)
		w.stop()
		w = runRays(t, dir, r, nil)
		if got := w.reads(t); got != "ray-llama=llama unreachable, ray-qwen=qwen unreachable" {
			t.Errorf("not found yet: %s", got)
		}
		w.stop()
		w = runRays(t, dir, r, found)
		if got := w.reads(t); got != "ray-qwen=qwen, ray-llama=llama" {
			t.Errorf("found again: %s", got)
		}
		w.stop()
		w = runRays(t, dir, r, nil)
		time.Sleep(rayRetention)
		if got := w.reads(t); got != "" {
			t.Errorf("after the retention: %s", got)
		}
	})
}

func dynamoPage(models ...string) string {
	var b strings.Builder
	b.WriteString("# TYPE dynamo_frontend_output_tokens_total counter\n")
	for _, m := range models {
		fmt.Fprintf(&b, "dynamo_frontend_output_tokens_total{model=%q} 5\n", m)
	}
	return b.String()
}

// A frontend of Dynamo is a router for the models of engines that the worker scrapes, and an engine for others.
func TestFrontendOfKnownEngines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rays{}
		r.set(1, dynamoPage("qwen/qwen3-8b"))
		r.set(2, dynamoPage("qwen/qwen3-8b", "far"))
		r.set(3, dynamoPage("far"))
		r.names(4, "Qwen/Qwen3-8B", "phi")
		var declared []engine.Declaration
		for i, name := range []string{"one", "two", "three", "engine"} {
			declared = append(declared, engine.Declaration{URL: fmt.Sprintf("http://127.0.0.1:%d", i+1), Instance: name})
		}
		declared[2].Model = "far"
		declared[0].Model = "qwen/qwen3-8b"
		w := runRays(t, t.TempDir(), r, nil, declared...)
		w.reads(t)
		got := map[string]fleet.Role{}
		for _, in := range w.Reported() {
			got[in.Name] = in.Role
		}
		if diff := cmp.Diff(map[string]fleet.Role{
			"one": fleet.RoleRouter, "two-qwen/qwen3-8b": fleet.RoleRouter, "two-far": "", "three": "", "engine-Qwen/Qwen3-8B": "", "engine-phi": "",
		}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if got := w.Instances()[0].Instance().Role; got != fleet.RoleRouter {
			t.Errorf("role %q", got)
		}
		models := w.Instances()[1].Instance()
		if models.Role != "" || models.Models.ByLabel["qwen/qwen3-8b"].Role != fleet.RoleRouter || models.Models.ByLabel["far"].Role != "" {
			t.Errorf("%+v", models)
		}
	})
}

// A model of a gateway, or of another frontend, makes no router.
func TestFrontendBesideGatewaysAndFrontends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rays{}
		r.set(1, dynamoPage("a", "b"))
		r.set(2, dynamoPage("a", "b"))
		r.set(3, "litellm_requests_metric_total{model=\"a\"} 1\nlitellm_requests_metric_total{model=\"b\"} 1\n")
		var declared []engine.Declaration
		for i, name := range []string{"one", "two", "proxy"} {
			declared = append(declared, engine.Declaration{URL: fmt.Sprintf("http://127.0.0.1:%d", i+1), Instance: name})
		}
		w := runRays(t, t.TempDir(), r, nil, declared...)
		if got := w.reads(t); got != "one-a=a, one-b=b, two-a=a, two-b=b, proxy=" {
			t.Error(got)
		}
		for _, in := range w.Reported() {
			if in.Role != "" {
				t.Errorf("%s has role %s", in.Name, in.Role)
			}
		}
	})
}

// A page that names other models each time makes no more than 64 instances in an hour.
func TestModelsThatChangeWithEachPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rays{}
		r.names(1, "a", "b")
		w := runRays(t, t.TempDir(), r, nil, engine.Declaration{URL: "http://127.0.0.1:1", Instance: "ray"})
		seen := map[string]bool{}
		for i := range 100 {
			r.names(1, fmt.Sprint("a", i), fmt.Sprint("b", i))
			w.reads(t)
			for _, in := range w.Reported() {
				seen[in.Name] = true
			}
			time.Sleep(20 * time.Second)
		}
		if len(seen) != maxNewModels+1 || !seen["ray-other"] {
			t.Errorf("%d instances, want %d and ray-other: %v", len(seen), maxNewModels, slices.Sorted(maps.Keys(seen)))
		}
	})
}

// The engine's list of models says where the weights of each come from, in whatever order it has them.
func TestSourceOfEachModelOfAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rays{list: `{"data":[{"id":"llama","root":"org/llama"},{"id":"qwen","root":"/models/qwen"},{"id":"sql","root":"/lora","parent":"qwen"}]}`}
		r.names(8080, "qwen", "llama", "sql", "unlisted")
		w := runRays(t, t.TempDir(), &r, nil, engine.Declaration{URL: "http://127.0.0.1:8080", Instance: "ray", Model: "qwen"})
		w.reads(t)
		got := map[string]string{}
		for _, in := range w.Reported() {
			got[in.Model] = in.Source + " " + in.SourceKey
		}
		want := map[string]string{"qwen": "local_path /models/qwen", "llama": "huggingface org/llama", "unlisted": " "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
