package inventory_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

// slowStore answers, once slow, only after leave is closed.
type slowStore struct {
	*memory
	slow    atomic.Bool
	entered chan struct{}
	leave   chan struct{}
}

func (s *slowStore) NewIDs(ctx context.Context, want fleet.IDs) (fleet.IDs, error) {
	if s.slow.Load() {
		s.entered <- struct{}{}
		<-s.leave
	}
	return s.memory.NewIDs(ctx, want)
}

func TestDefaultClusterIsMadeOnce(t *testing.T) {
	s := newMemory()
	wantSummary(t, newInventory(t, s), "cluster 1 default Docker ready\n")
	wantSummary(t, newInventory(t, s), "cluster 1 default Docker ready\n")
}

// A worker whose metrics port is given a certificate says so when it registers again.
func TestMetricsSchemeIsOfTheLastRegistration(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	r := registration("a")
	for _, tt := range []struct{ said, want fleet.MetricsScheme }{
		{"", fleet.MetricsHTTP}, {fleet.MetricsHTTPS, fleet.MetricsHTTPS}, {"http", fleet.MetricsHTTP}, {fleet.MetricsHTTPS, fleet.MetricsHTTPS},
	} {
		r.MetricsScheme = tt.said
		join(t, inv, r)
		if got := inv.Snapshot().Workers[0].MetricsScheme; got != tt.want {
			t.Errorf("said %q: %q, want %q", tt.said, got, tt.want)
		}
	}
	if got := newInventory(t, s).Snapshot().Workers[0].MetricsScheme; got != fleet.MetricsHTTPS {
		t.Errorf("after a restart: %q", got)
	}
}

func TestRegister(t *testing.T) {
	inv := newInventory(t, newMemory())
	a := join(t, inv, registration("a"))
	if a.ClusterName != fleet.DefaultClusterName || a.Worker.ID != 1 || a.Worker.ClusterID != 1 || a.Worker.ProxyMode != fleet.ProxyDirect {
		t.Errorf("joined = %+v", a)
	}
	if len(a.Credential) != 43 {
		t.Errorf("credential %q is not 256 bits in base64url", a.Credential)
	}
	other := registration("a")
	other.UUID, other.Cluster = "other", "südhaus"
	b := join(t, inv, other)
	if b.ClusterName != "südhaus" {
		t.Errorf("joined = %+v", b)
	}
	wantSummary(t, inv, `
		cluster 1 default Docker ready
		cluster 2 südhaus Docker ready
		worker 1 c1 a uuid-a not_ready
		worker 2 c2 a other not_ready
	`)
	report(t, inv, a.Worker.ID)
	if got := inv.Snapshot().Workers[0].State; got != fleet.WorkerReady {
		t.Errorf("state after a report = %s", got)
	}
}

func TestCredentialOfTheLastRegistrationCounts(t *testing.T) {
	inv := newInventory(t, newMemory())
	a, b := join(t, inv, registration("a")), join(t, inv, registration("b"))
	for _, c := range []struct {
		id         int64
		credential string
		want       bool
	}{
		{a.Worker.ID, a.Credential, true},
		{b.Worker.ID, b.Credential, true},
		{a.Worker.ID, b.Credential, false},
		{a.Worker.ID, "", false},
		{99, a.Credential, false},
		{99, "", false},
	} {
		if got := inv.Authenticate(c.id, c.credential); got != c.want {
			t.Errorf("Authenticate(%d, %q) = %v", c.id, c.credential, got)
		}
	}
	again := join(t, inv, registration("a"))
	if again.Worker.ID != a.Worker.ID {
		t.Errorf("id after registering again = %d, want %d", again.Worker.ID, a.Worker.ID)
	}
	if inv.Authenticate(a.Worker.ID, a.Credential) || !inv.Authenticate(a.Worker.ID, again.Credential) {
		t.Error("the old credential holds, or the new one does not")
	}
}

func TestSameMachineKeepsItsIDWhateverItSays(t *testing.T) {
	inv := newInventory(t, newMemory())
	a := join(t, inv, registration("a"))
	report(t, inv, a.Worker.ID, engine("e", "m"))
	r := registration("renamed")
	r.UUID, r.Run, r.Address, r.MetricsPort = "uuid-a", "run-a", "10.0.0.1", 9
	if got := join(t, inv, r).Worker; got.ID != a.Worker.ID || got.Name != "renamed" || got.Address != "10.0.0.1" || got.MetricsPort != 9 {
		t.Errorf("worker = %+v", got)
	}
	wantSummary(t, inv, `
		cluster 1 default Docker ready
		worker 1 c1 renamed uuid-a ready
		model 1 c1 m vLLM 0.11.0 desired=1
		instance 1 m1 w1 e running
	`)
	if page := writeMetrics(inv); !strings.Contains(page, `worker_name="renamed",model_id="1",model_name="m",model_instance_name="e",state="running"`) {
		t.Errorf("the instance has not got the worker's new name:\n%s", page)
	}
	// The old name is free.
	fresh := registration("a")
	fresh.UUID = "fresh"
	if got := join(t, inv, fresh).Worker.ID; got != 2 {
		t.Errorf("id = %d, want a new one", got)
	}
	// In another cluster its models are other models.
	r.Cluster = "other"
	join(t, inv, r)
	report(t, inv, a.Worker.ID, engine("e", "m"))
	wantSummary(t, inv, `
		cluster 1 default Docker ready
		cluster 2 other Docker ready
		worker 1 c2 renamed uuid-a ready
		worker 2 c1 a fresh not_ready
		model 1 c1 m vLLM 0.11.0 desired=0
		model 2 c2 m vLLM 0.11.0 desired=1
		instance 2 m2 w1 e running
	`)
}

func TestNameOfAReadyWorkerIsTaken(t *testing.T) {
	inv := newInventory(t, newMemory())
	a := join(t, inv, registration("a"))
	other := registration("a")
	other.UUID = "other"
	// Not ready yet: the machine was set up anew, and its worker goes on.
	if got := join(t, inv, other); got.Worker.ID != a.Worker.ID || got.Worker.UUID != "other" {
		t.Errorf("worker = %+v, want the same with another UUID", got.Worker)
	}
	if inv.Authenticate(a.Worker.ID, a.Credential) {
		t.Error("the machine that was replaced may still report")
	}
	report(t, inv, a.Worker.ID)
	_, err := inv.Register(t.Context(), registration("a"))
	wantError(t, err, fleet.ErrNameTaken, `"a"`, "worker 1", "a.example", "choose another worker name")
	wantSummary(t, inv, `
		cluster 1 default Docker ready
		worker 1 c1 a other ready
	`)
}

func TestRenamedMachineReplacesASilentOne(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	join(t, inv, registration("a"))
	b := join(t, inv, registration("b"))
	report(t, inv, b.Worker.ID, engine("e", "m"))
	r := registration("a")
	r.UUID, r.Run = "uuid-b", "run-b"
	join(t, inv, r)
	want := `
		cluster 1 default Docker ready
		worker 2 c1 a uuid-b ready
		model 1 c1 m vLLM 0.11.0 desired=1
		instance 1 m1 w2 e running
	`
	wantSummary(t, inv, want)
	wantSummary(t, newInventory(t, s), want)
}

func TestRemoveWorker(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	a, b := join(t, inv, registration("a")), join(t, inv, registration("b"))
	report(t, inv, a.Worker.ID, engine("e0", "shared"), engine("e1", "own"))
	report(t, inv, b.Worker.ID, engine("e0", "shared"))
	if err := inv.RemoveWorker(t.Context(), a.Worker.ID); err != nil {
		t.Fatal(err)
	}
	want := `
		cluster 1 default Docker ready
		worker 2 c1 b uuid-b ready
		model 1 c1 shared vLLM 0.11.0 desired=1
		instance 3 m1 w2 e0 running
	`
	wantSummary(t, inv, want)
	wantSummary(t, newInventory(t, s), want)
	if inv.Authenticate(a.Worker.ID, a.Credential) {
		t.Error("a removed worker may still report")
	}
	wantError(t, inv.RemoveWorker(t.Context(), a.Worker.ID), fleet.ErrNoWorker, "worker 1")
	_, err := inv.Report(t.Context(), a.Worker.ID, fleet.Report{})
	wantError(t, err, fleet.ErrNoWorker, "worker 1")
	if err := inv.Allow(t.Context(), a.Worker.ID); err != nil { // it was alive
		t.Fatal(err)
	}
	if got := join(t, inv, registration("a")).Worker.ID; got != 3 {
		t.Errorf("id = %d; an id must not be given twice", got)
	}
}

func TestBadRegistrationsAreExplained(t *testing.T) {
	inv := newInventory(t, newMemory())
	for _, c := range []struct {
		name   string
		change func(*fleet.Registration)
		want   []string
	}{
		{"no uuid", func(r *fleet.Registration) { r.UUID = "" }, []string{"uuid is empty"}},
		{"long uuid", func(r *fleet.Registration) { r.UUID = strings.Repeat("u", 65) }, []string{"uuid is 65 bytes long", "64"}},
		{"blank name", func(r *fleet.Registration) { r.Name = "  " }, []string{"name is empty"}},
		{"bad utf-8", func(r *fleet.Registration) { r.Name = "a\xff" }, []string{"name", `"a\xff"`, "UTF-8"}},
		{"newline", func(r *fleet.Registration) { r.Name = "a\nb" }, []string{"name", `"a\nb"`, "character 2 is U+000A", "a control character"}},
		{"direction", func(r *fleet.Registration) { r.Name = "gpu-\u202e1" }, []string{`name is "gpu-\u202e1"`, "character 5 is U+202E", "turns the direction"}},
		{"invisible cluster", func(r *fleet.Registration) { r.Cluster = "la\u200bb" }, []string{"cluster", "character 3 is U+200B", "invisible"}},
		{"invisible label", func(r *fleet.Registration) { r.Labels = map[string]string{"ra\u00adck": "7"} }, []string{"label key", "U+00AD"}},
		{"reserved label", func(r *fleet.Registration) { r.Labels = map[string]string{"rack": "7", "le": "1"} }, []string{`label "le" is reserved`, "histograms", "another name", "--worker-label"}},
		{"reserved label of Prometheus", func(r *fleet.Registration) { r.Labels = map[string]string{"__address__": "1"} }, []string{`"__address__" is reserved`}},
		{"reserved label of ours", func(r *fleet.Registration) { r.Labels = map[string]string{"worker_name": "1"} }, []string{`"worker_name" is reserved`}},
		{"long cluster", func(r *fleet.Registration) { r.Cluster = strings.Repeat("c", 254) }, []string{"cluster is 254 bytes long"}},
		{"no address", func(r *fleet.Registration) { r.Address = "" }, []string{"address", "host name or a unicast IP address", "--worker-ip"}},
		{"port in address", func(r *fleet.Registration) { r.Address = "10.0.0.1:10151" }, []string{`"10.0.0.1:10151"`, "without a port"}},
		{"url as address", func(r *fleet.Registration) { r.Address = "http://a" }, []string{`"http://a"`}},
		{"any address", func(r *fleet.Registration) { r.Address = "0.0.0.0" }, []string{`"0.0.0.0"`, "every address"}},
		{"any address 6", func(r *fleet.Registration) { r.Address = "[::]" }, []string{"every address"}},
		{"zone", func(r *fleet.Registration) { r.Address = "fe80::1%eth0" }, []string{"one network link"}},
		{"long address", func(r *fleet.Registration) { r.Address = strings.Repeat("a.", 200) + "a" }, []string{`"a.a.`, `"...`}},
		{"negative port", func(r *fleet.Registration) { r.MetricsPort = -1 }, []string{"metrics_port is -1", "65535"}},
		{"high port", func(r *fleet.Registration) { r.MetricsPort = 65536 }, []string{"metrics_port is 65536"}},
		{"metrics scheme", func(r *fleet.Registration) { r.MetricsScheme = "ftp" }, []string{`metrics_scheme is "ftp"`, `"http" or "https"`}},
		{"proxy mode", func(r *fleet.Registration) { r.ProxyMode = "worker" }, []string{`proxy_mode is "worker"`, `"direct" or "tunnel"`}},
		{"version", func(r *fleet.Registration) { r.Version = strings.Repeat("v", 129) }, []string{"version is 129 bytes"}},
		{"labels", func(r *fleet.Registration) {
			r.Labels = make(map[string]string)
			for k := range 65 {
				r.Labels[strconv.Itoa(k)] = "x"
			}
		}, []string{"65 labels", "64"}},
		{"label key", func(r *fleet.Registration) { r.Labels = map[string]string{"": "x"} }, []string{"label key is empty"}},
		{"label value", func(r *fleet.Registration) { r.Labels = map[string]string{"k": "\x00"} }, []string{`label "k"`, "control"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := registration("w")
			c.change(&r)
			_, err := inv.Register(t.Context(), r)
			wantError(t, err, fleet.ErrInvalid, append(c.want, "invalid registration: ")...)
		})
	}
	wantSummary(t, inv, "cluster 1 default Docker ready\n")
}

func TestAddressesInNormalForm(t *testing.T) {
	inv := newInventory(t, newMemory())
	for given, want := range map[string]string{
		"[2001:DB8::1]":    "2001:db8::1",
		"2001:db8:0:0::1":  "2001:db8::1",
		"::ffff:10.1.2.3":  "10.1.2.3",
		"gpu_1.dc-2.local": "gpu_1.dc-2.local",
		"GPU-1.":           "GPU-1.",
	} {
		r := registration("w")
		r.Address = given
		if got := join(t, inv, r).Worker.Address; got != want {
			t.Errorf("address %q became %q, want %q", given, got, want)
		}
	}
}

func TestFleetIsBounded(t *testing.T) {
	inv := newWith(t, inventory.Options{MaxWorkers: 1, MaxClusters: 2, MaxModels: 2})
	r := registration("a")
	r.Cluster = "second"
	id := join(t, inv, r).Worker.ID
	join(t, inv, r) // nothing new
	_, err := inv.Register(t.Context(), registration("b"))
	wantError(t, err, fleet.ErrInvalid, "1 workers already, the limit")
	r.Cluster = "third"
	_, err = inv.Register(t.Context(), r)
	wantError(t, err, fleet.ErrInvalid, `cluster "third"`, "2 clusters already, the limit")
	_, err = inv.Report(t.Context(), id, fleet.Report{Instances: []fleet.ReportedInstance{engine("a", "1"), engine("b", "2"), engine("c", "3")}})
	wantError(t, err, fleet.ErrInvalid, "3 new models", "the limit is 2")
	if got := stateOf(inv, id); got != fleet.WorkerNotReady {
		t.Errorf("a report that was refused made the worker %s", got)
	}
	report(t, inv, id, engine("a", "1"), engine("b", "2"))
}

// The server's own machine is scraped only for workers that came from there. Those that were let in go on as they are.
func TestLoopbackOnlyFromThisMachine(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	here := registration("here")
	here.Address, here.Local = "127.0.0.1", true
	if w := join(t, inv, here).Worker; !w.Loopback {
		t.Errorf("worker = %+v", w)
	}
	before := summary(inv.Snapshot())
	for _, address := range []string{"127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "LOCALHOST.", "a.localhost", "ip6-localhost"} {
		there := registration("there")
		there.Address, there.Elsewhere = address, "it came from user 33"
		_, err := inv.Register(t.Context(), there)
		wantError(t, err, fleet.ErrInvalid, "server's own machine", "--worker-ip", ": it came from user 33; or")
	}
	inv = newInventory(t, s) // a restart keeps the rule
	if got := summary(inv.Snapshot()); got != before {
		t.Errorf("refused registrations changed the inventory to\n%s", got)
	}
	here.Local = false
	if w := join(t, inv, here).Worker; w.ID != 1 || !w.Loopback {
		t.Errorf("the worker that was let in came back as %+v", w)
	}
	for name, change := range map[string]func(*fleet.Registration){
		"another port":    func(r *fleet.Registration) { r.MetricsPort++ },
		"another address": func(r *fleet.Registration) { r.Address = "127.0.0.2" },
		"another machine": func(r *fleet.Registration) { r.UUID = "stranger" },
	} {
		r := here
		change(&r)
		_, err := inv.Register(t.Context(), r)
		if wantError(t, err, fleet.ErrInvalid, "server's own machine"); !inv.Snapshot().Workers[0].Loopback {
			t.Errorf("%s: changed the worker", name)
		}
	}
	w := s.workers[1]
	w.Loopback = false
	s.workers[1] = w
	_, err := newInventory(t, s).Register(t.Context(), here) // nobody let it in
	wantError(t, err, fleet.ErrInvalid, "server's own machine")
	away := here
	away.Address = "10.0.0.1"
	if w := join(t, inv, away).Worker; w.Loopback {
		t.Errorf("worker = %+v", w)
	}
	_, err = inv.Register(t.Context(), here) // it is not what was let in any more
	wantError(t, err, fleet.ErrInvalid, "server's own machine")
}
