package discovery

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// daemon plays Docker on a unix socket.
type daemon struct {
	t      *testing.T
	socket string

	mu         sync.Mutex
	containers map[string]map[string]any // what inspect says, by id
	broken     map[string]bool           // ids about which it says nothing
	answer     http.HandlerFunc          // instead of the list
	inspected  int
	events     chan string // ids
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	// The path of a socket may have no more than 108 bytes.
	dir, err := os.MkdirTemp("", "docker") //nolint:usetesting // t.TempDir has the test's name in it and gets too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{t: t, socket: filepath.Join(dir, "docker.sock"), containers: map[string]map[string]any{}, broken: map[string]bool{}, events: make(chan string, 16)}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.47") })
	mux.HandleFunc("/v1.47/containers/json", d.list)
	mux.HandleFunc("/v1.47/containers/{id}/json", d.inspect)
	mux.HandleFunc("/v1.47/events", d.stream)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return d
}

func (d *daemon) list(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answer != nil {
		d.answer(w, r)
		return
	}
	list := []map[string]any{}
	for id := range d.containers {
		list = append(list, map[string]any{"Id": id, "State": "running"})
	}
	_ = json.NewEncoder(w).Encode(list)
}

func (d *daemon) inspect(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inspected++
	c := d.containers[r.PathValue("id")]
	switch {
	case d.broken[r.PathValue("id")]:
		http.Error(w, "canary", http.StatusInternalServerError)
	case c == nil:
		http.Error(w, `{"message":"no such container"}`, http.StatusNotFound)
	default:
		_ = json.NewEncoder(w).Encode(c)
	}
}

func (d *daemon) stream(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case id := <-d.events:
			_ = json.NewEncoder(w).Encode(map[string]any{"Type": "container", "Action": "start", "Actor": map[string]any{"ID": id}})
			_ = http.NewResponseController(w).Flush()
		}
	}
}

type object = map[string]any

// fakeContainer is a container as inspect shows it.
type fakeContainer struct {
	id, name, image string
	argv, env       []string
	labels          map[string]string
	network         string // mode
	address         string
	ports           object
	pid             int
}

func (d *daemon) put(c fakeContainer) {
	if c.network == "" {
		c.network = "bridge"
	}
	networks := object{}
	if c.address != "" {
		networks["bridge"] = object{"IPAddress": c.address}
	}
	if len(c.argv) == 0 {
		c.argv = []string{"/start"}
	}
	exposed := object{}
	for port := range c.ports {
		exposed[port] = object{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.containers[c.id] = object{
		"Id": c.id, "Name": "/" + c.name, "Path": c.argv[0], "Args": c.argv[1:],
		"State":           object{"Running": true, "Pid": c.pid, "StartedAt": "2024-05-06T07:08:09.5Z", "Status": "running"},
		"Config":          object{"Image": c.image, "Env": c.env, "Labels": c.labels, "ExposedPorts": exposed},
		"HostConfig":      object{"NetworkMode": c.network},
		"NetworkSettings": object{"Networks": networks, "Ports": c.ports},
	}
}

func publish(port, hostIP, hostPort string) object {
	return object{port: []object{{"HostIp": hostIP, "HostPort": hostPort}, {"HostIp": "::", "HostPort": hostPort}}}
}

// sync asks the daemon once and goes over the machine.
func (m *machineTree) sync(ctx context.Context, d *Discovery) error {
	m.tb.Helper()
	d.docker.requestSync("")
	start := time.Now()
	err := d.docker.explain(d.docker.sync(ctx))
	d.dockerSkips.recordRound(time.Since(start), err)
	d.runRound()
	return err
}

func TestDocker(t *testing.T) {
	started := time.Date(2024, 5, 6, 7, 8, 9, 5e8, time.UTC)
	tp := "/tcp"
	for name, test := range map[string]struct {
		containers []fakeContainer
		processes  []fakeProcess
		want       []Found
		skipped    skipReason
	}{
		"published port": {
			containers: []fakeContainer{{
				id: idA, name: "qwen", image: "vllm/vllm-openai:v0.11.0", argv: []string{"vllm", "serve", "org/qwen", "--api-key", "canary"},
				env: []string{"HF_TOKEN=canary"}, address: "172.17.0.2", ports: publish("8000"+tp, "0.0.0.0", "18000"), pid: 70,
			}},
			want: []Found{{Key: "docker:qwen:8000", Source: SourceDocker, Runtime: "vLLM", Model: "org/qwen", URL: "http://127.0.0.1:18000", PID: 70, Container: idA[:12], ModelSource: "huggingface", ModelSourceKey: "org/qwen", Started: started}},
		},
		"published on one address": {
			containers: []fakeContainer{{id: idA, name: "n", argv: []string{"sglang", "serve", "--port", "5"}, ports: object{"5/tcp": []object{{"HostIp": "192.0.2.9", "HostPort": "6"}}}}},
			want:       []Found{{Key: "docker:n:5", Source: SourceDocker, Runtime: "SGLang", URL: "http://192.0.2.9:6", Container: idA[:12], Started: started}},
		},
		"own address": {
			containers: []fakeContainer{{id: idA, name: "nim", image: "nvcr.io/nim/meta/llama:1", address: "172.17.0.3"}},
			want:       []Found{{Key: "docker:nim:8000", Source: SourceDocker, Runtime: "NIM", URL: "http://172.17.0.3:8000", Path: "/v1/metrics", Container: idA[:12], Started: started}},
		},
		"the machine's network": {
			containers: []fakeContainer{{id: idA, name: "n", image: "lmsysorg/sglang", argv: []string{"python3", "-m", "sglang.launch_server", "--model-path", "/w", "--served-model-name", "s"}, network: "host"}},
			want:       []Found{{Key: "docker:n:30000", Source: SourceDocker, Runtime: "SGLang", Model: "s", URL: "http://127.0.0.1:30000", Container: idA[:12], ModelSource: "local_path", ModelSourceKey: "/w", Started: started}},
		},
		"another container's network, GPUStack": {
			containers: []fakeContainer{
				{id: idB, name: "qwen-x-pause", image: "gpustack/runtime:pause", network: "bridge", address: "172.17.0.9", labels: map[string]string{labelGPUStackWorkload: "qwen-x", labelGPUStackComponent: "pause", labelPort: "1"}},
				{id: idA, name: "qwen-x-run-0", argv: []string{"vllm", "serve", "/w", "--port", "40000", "--served-model-name", "qwen"}, network: "container:" + idB, labels: map[string]string{labelGPUStackWorkload: "qwen-x", labelGPUStackComponent: "run"}},
			},
			want: []Found{{Key: "docker:qwen-x-run-0:40000", Source: SourceDocker, Runtime: "vLLM", Model: "qwen", Instance: "qwen-x", URL: "http://172.17.0.9:40000", Container: idA[:12], ModelSource: "local_path", ModelSourceKey: "/w", Started: started}},
		},
		"labels": {
			containers: []fakeContainer{{
				id: idA, name: "own", image: "example.com/serve:1", address: "172.17.0.4", env: []string{"STACKSCOPE_MODEL=env", "STACKSCOPE_INSTANCE=env-0"},
				labels: map[string]string{labelRuntime: "vllm", labelPort: "7777", labelModel: "mine", labelPath: "/m"},
			}},
			want: []Found{{Key: "docker:own:7777", Source: SourceDocker, Runtime: "vLLM", Model: "mine", Instance: "env-0", URL: "http://172.17.0.4:7777", Path: "/m", Container: idA[:12], Started: started}},
		},
		"only the runtime is said": {
			containers: []fakeContainer{{id: idA, name: "own", image: "x", address: "172.17.0.4", labels: map[string]string{labelRuntime: "Other"}, ports: object{"99/tcp": nil}}},
			want:       []Found{{Key: "docker:own:99", Source: SourceDocker, Runtime: "Other", URL: "http://172.17.0.4:99", Container: idA[:12], Started: started}},
		},
		"published over UDP alone": {
			containers: []fakeContainer{{id: idA, name: "own", image: "nvcr.io/nim/x", network: "none", ports: publish("8000/udp", "", "18000")}},
			skipped:    skipNoAddress,
		},
		"published over UDP too": {
			containers: []fakeContainer{{id: idA, name: "own", image: "nvcr.io/nim/x", ports: object{"8000/udp": []object{{"HostPort": "18001"}}, "8000/tcp": []object{{"HostPort": "18000"}}}}},
			want:       []Found{{Key: "docker:own:8000", Source: SourceDocker, Runtime: "NIM", URL: "http://127.0.0.1:18000", Path: "/v1/metrics", Container: idA[:12], Started: started}},
		},
		"its only port is one of UDP": {
			containers: []fakeContainer{{id: idA, name: "own", address: "172.17.0.4", labels: map[string]string{labelRuntime: "Other"}, ports: object{"99/udp": nil}}},
			skipped:    skipNoPort,
		},
		"published on several addresses": {
			containers: []fakeContainer{{id: idA, name: "own", image: "nvcr.io/nim/x", ports: object{"8000/tcp": []object{{"HostIp": "192.0.2.9", "HostPort": "6"}, {"HostIp": "127.0.0.1", "HostPort": "7"}, {"HostIp": "192.0.2.8", "HostPort": "8"}}}}},
			want:       []Found{{Key: "docker:own:8000", Source: SourceDocker, Runtime: "NIM", URL: "http://127.0.0.1:7", Path: "/v1/metrics", Container: idA[:12], Started: started}},
		},
		"published on several addresses, the best one first": {
			containers: []fakeContainer{{id: idA, name: "own", image: "nvcr.io/nim/x", ports: object{"8000/tcp": []object{{"HostIp": "192.0.2.8", "HostPort": "8"}, {"HostIp": "192.0.2.9", "HostPort": "6"}, {"HostIp": "2001:db8::1", "HostPort": "7"}}}}},
			want:       []Found{{Key: "docker:own:8000", Source: SourceDocker, Runtime: "NIM", URL: "http://192.0.2.8:8", Path: "/v1/metrics", Container: idA[:12], Started: started}},
		},
		"no port":          {containers: []fakeContainer{{id: idA, name: "own", address: "172.17.0.4", labels: map[string]string{labelRuntime: "Other"}}}, skipped: skipNoPort},
		"no address":       {containers: []fakeContainer{{id: idA, name: "own", image: "nvcr.io/nim/x", network: "none"}}, skipped: skipNoAddress},
		"disabled":         {containers: []fakeContainer{{id: idA, name: "own", image: "nvcr.io/nim/x", address: "172.17.0.4", labels: map[string]string{labelDisable: "true"}}}, skipped: skipDisabled},
		"disabled by env":  {containers: []fakeContainer{{id: idA, name: "own", image: "nvcr.io/nim/x", address: "172.17.0.4", env: []string{"GPUSTACK_DISABLE_METRICS=0"}}}, skipped: skipDisabled},
		"metrics off":      {containers: []fakeContainer{{id: idA, name: "own", argv: []string{"vllm", "serve", "m", "--disable-log-stats"}, address: "172.17.0.4"}}, skipped: skipMetricsOff},
		"nothing of ours":  {containers: []fakeContainer{{id: idA, name: "db", image: "postgres:17", address: "172.17.0.4"}}},
		"image, no engine": {containers: []fakeContainer{{id: idA, name: "ray", image: "vllm/vllm-openai", argv: []string{"ray", "start"}, address: "172.17.0.4", pid: 70}}, processes: []fakeProcess{{pid: 70, argv: []string{"ray", "start"}}}},
		"seen as a process too": {
			containers: []fakeContainer{{id: idA, name: "q", image: "own/image", argv: []string{"/entrypoint.sh"}, address: "172.17.0.5", ports: publish("8000"+tp, "", "18000"), pid: 70, labels: map[string]string{labelModel: "mine"}}},
			processes: []fakeProcess{
				{pid: 70, ppid: 1, argv: []string{"sh", "/entrypoint.sh"}, net: otherNet, cgroup: "0::/system.slice/docker-" + idA + ".scope\n"},
				{pid: 71, ppid: 70, start: 4200, argv: vllm(0, "org/m").argv, net: otherNet, cgroup: "0::/system.slice/docker-" + idA + ".scope\n", trie: podTrie("172.17.0.5"), sockets: []uint64{1}, listen: []listener{anywhere(8000, 1)}},
			},
			want: []Found{{Key: "docker:q:8000", Source: SourceDocker, Runtime: "vLLM", Model: "mine", URL: "http://127.0.0.1:18000", PID: 71, Container: idA[:12], ModelSource: "huggingface", ModelSourceKey: "org/m", Started: time.Unix(bootSecond+42, 0), Listening: true}},
		},
		"seen as a process too, cgroup hidden": {
			containers: []fakeContainer{{id: idA, name: "q", image: "vllm/vllm-openai", argv: []string{"vllm", "serve", "m"}, network: "host", pid: 70}},
			processes:  []fakeProcess{{pid: 70, ppid: 1, start: 4200, argv: vllm(0, "m").argv, cgroup: "0::/\n", sockets: []uint64{1}, listen: []listener{anywhere(8000, 1)}}},
			want:       []Found{{Key: "docker:q:8000", Source: SourceDocker, Runtime: "vLLM", Model: "m", URL: "http://127.0.0.1:8000", PID: 70, Container: idA[:12], Started: time.Unix(bootSecond+42, 0), Listening: true}},
		},
		"two engines in one container": {
			containers: []fakeContainer{{id: idA, name: "q", address: "172.17.0.5", pid: 70, labels: map[string]string{labelPort: "9", labelInstance: "nine"}}},
			processes: []fakeProcess{
				{pid: 70, ppid: 1, argv: []string{"supervisord"}, net: otherNet, cgroup: "0::/docker/" + idA},
				{pid: 71, ppid: 70, start: 1, argv: vllm(0, "a").argv, net: otherNet, cgroup: "0::/docker/" + idA},
				{pid: 72, ppid: 70, start: 2, argv: vllm(0, "b", "--port", "9").argv, net: otherNet, cgroup: "0::/docker/" + idA},
			},
			want: []Found{
				{Key: "docker:q:8000", Source: SourceDocker, Runtime: "vLLM", Model: "a", URL: "http://172.17.0.5:8000", PID: 71, Container: idA[:12], Started: time.Unix(bootSecond, 1e7)},
				{Key: "docker:q:9", Source: SourceDocker, Runtime: "vLLM", Model: "b", Instance: "nine", URL: "http://172.17.0.5:9", PID: 72, Container: idA[:12], Started: time.Unix(bootSecond, 2e7)},
			},
		},
		"loopback of its own network": {
			containers: []fakeContainer{{id: idA, name: "q", argv: []string{"vllm", "serve", "m"}, ports: publish("8000"+tp, "", "18000"), pid: 70}},
			processes:  []fakeProcess{{pid: 70, ppid: 1, argv: vllm(0, "m").argv, net: otherNet, cgroup: "0::/docker/" + idA, sockets: []uint64{1}, listen: []listener{{loopback, 8000, 1}}}},
			skipped:    skipLoopback,
		},
		"address that only its network knows": {
			containers: []fakeContainer{{id: idA, name: "q", argv: []string{"vllm", "serve", "m"}, network: "none", pid: 70}},
			processes:  []fakeProcess{{pid: 70, ppid: 1, argv: vllm(0, "m").argv, net: otherNet, cgroup: "0::/docker/" + idA, trie: podTrie("10.88.0.5")}},
			want:       []Found{{Key: "docker:q:8000", Source: SourceDocker, Runtime: "vLLM", Model: "m", URL: "http://10.88.0.5:8000", PID: 70, Container: idA[:12], Started: time.Unix(bootSecond+70, 0)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, fake := newTree(t), newDaemon(t)
			for _, c := range test.containers {
				fake.put(c)
			}
			for _, p := range test.processes {
				m.add(p)
			}
			d, log := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
			for range 2 {
				if err := m.sync(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, d.Engines()); diff != "" {
				t.Error(diff)
			}
			want := 0.0
			if test.skipped != "" {
				want = 1
				if !strings.Contains(log.String(), test.skipped) {
					t.Errorf("not named: %s", log)
				}
			}
			if n := skippedBy(d, SourceDocker, test.skipped); n != want {
				t.Errorf("%g counted as %s, want %g", n, test.skipped, want)
			}
			lines, _, err := emitted(d.Collectors()[1])
			if err != nil || strings.Contains(lines+log.String(), "canary") {
				t.Errorf("%s %v %s", lines, err, log)
			}
		})
	}
}

// A daemon elsewhere has its own process ids and its own loopback address.
func TestDockerOnAnotherMachine(t *testing.T) {
	local := "0::/docker/" + idA
	for name, test := range map[string]struct {
		cgroup string
		want   Found
	}{
		"elsewhere": {"0::/user.slice", Found{URL: "http://192.0.2.7:18000"}},
		"here":      {local, Found{URL: "http://127.0.0.1:18000", PID: 70}},
	} {
		t.Run(name, func(t *testing.T) {
			m, fake := newTree(t), newDaemon(t)
			fake.put(fakeContainer{id: idA, name: "q", image: "vllm/vllm-openai", argv: []string{"vllm", "serve", "m"}, address: "172.17.0.2", ports: publish("8000/tcp", "", "18000"), pid: 70})
			fake.put(fakeContainer{id: idB, name: "r", image: "lmsysorg/sglang", argv: []string{"sglang", "serve"}, network: "host", pid: 71})
			fake.put(fakeContainer{id: strings.Repeat("c", 64), name: "s", argv: []string{"vllm", "serve"}, address: "172.17.0.3"})
			m.add(fakeProcess{pid: 70, ppid: 1, argv: []string{"postgres"}, cgroup: test.cgroup})
			d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
			d.docker.host = "tcp://192.0.2.7:2375" // what it is called; the socket answers
			d.docker.verifyPIDs(d.machine, newProcfs(filepath.Join(m.root, "proc")))
			if err := m.sync(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			got := d.Engines()
			if len(got) != 2 || got[0].URL != test.want.URL || got[0].PID != test.want.PID || got[1].URL != "http://192.0.2.7:30000" || got[1].PID != 0 {
				t.Errorf("%+v", got)
			}
			if key, ok := d.Owner(70); ok != (test.want.PID == 70) {
				t.Errorf("a process of this machine is %q's", key)
			}
			if n := skippedBy(d, SourceDocker, skipNoAddress); n != 1 {
				t.Errorf("%g without an address, want the one whose port is not published", n)
			}
		})
	}
}

func TestDockerOwnerAndDeclared(t *testing.T) {
	m, fake := newTree(t), newDaemon(t)
	fake.put(fakeContainer{id: idA, name: "q", argv: []string{"vllm", "serve", "m"}, address: "172.17.0.2", ports: publish("8000/tcp", "", "18000"), pid: 70})
	m.add(fakeProcess{pid: 70, ppid: 1, argv: []string{"init"}, cgroup: "0::/docker/" + idA, net: otherNet})
	m.add(fakeProcess{pid: 90, ppid: 1, argv: []string{"worker"}, cgroup: "0::/docker/" + idA, net: otherNet})
	for _, url := range []string{"http://127.0.0.1:18000", "http://172.17.0.2:8000"} {
		d, _ := m.discover(func(o *Options) {
			o.Docker, o.DockerHost, o.Declared = true, "unix://"+fake.socket, []Declared{{Key: "mine", URL: url}}
		})
		if err := m.sync(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if got := d.Engines(); len(got) != 1 || got[0].Key != "mine" || got[0].PID != 70 || got[0].Container != idA[:12] {
			t.Errorf("%s: %+v", url, got)
		}
		if key, _ := d.Owner(90); key != "mine" {
			t.Errorf("%s: owner is %q", url, key)
		}
	}
}

func TestDockerFollows(t *testing.T) {
	m, fake := newTree(t), newDaemon(t)
	changed := make(chan struct{}, 64)
	d, _ := m.discover(func(o *Options) {
		o.Docker, o.DockerHost, o.Processes, o.Interval = true, "unix://"+fake.socket, false, time.Hour
		o.OnChange = func() { changed <- struct{}{} }
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { d.Run(ctx) })
	wait := func(want string) {
		t.Helper()
		await(t, d, changed, want, func() bool { return keys(d.Engines()) == want })
	}
	awaitStream(t, d)
	fake.put(fakeContainer{id: idA, name: "a", image: "nvcr.io/nim/x", address: "172.17.0.2"})
	fake.events <- idA
	wait("docker:a:8000")
	fake.put(fakeContainer{id: idA, name: "renamed", image: "nvcr.io/nim/x", address: "172.17.0.2"})
	fake.events <- idA
	wait("docker:renamed:8000")
	fake.mu.Lock()
	delete(fake.containers, idA)
	fake.mu.Unlock()
	fake.events <- idA
	wait("")
	cancel()
	wg.Wait()
}

func TestDockerFaults(t *testing.T) {
	t.Run("one container", func(t *testing.T) {
		m, fake := newTree(t), newDaemon(t)
		fake.put(fakeContainer{id: idA, name: "a", image: "nvcr.io/nim/x", address: "172.17.0.2"})
		fake.put(fakeContainer{id: idB, name: "b", image: "nvcr.io/nim/x", address: "172.17.0.3"})
		fake.broken[idA] = true
		d, log := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
		if err := m.sync(t.Context(), d); err != nil || keys(d.Engines()) != "docker:b:8000" {
			t.Errorf("%v, %+v", err, d.Engines())
		}
		if n := skippedBy(d, SourceDocker, skipNotAnswered); n != 1 || strings.Contains(log.String(), "canary") {
			t.Errorf("%g counted, logged %s", n, log)
		}
		delete(fake.broken, idA)
		if err := d.docker.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.runRound()
		if keys(d.Engines()) != "docker:a:8000 docker:b:8000" {
			t.Errorf("%+v", d.Engines())
		}
		// What is known isn't asked about again.
		before := fake.inspected
		if err := d.docker.sync(t.Context()); err != nil || fake.inspected != before {
			t.Errorf("%d containers asked about, %v", fake.inspected-before, err)
		}
	})
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"garbage":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>canary")) }, "is it a Docker daemon?"},
		"truncated": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[{"Id":"a"`)) }, "is it a Docker daemon?"},
		"other":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"canary":1}`)) }, "is it a Docker daemon?"},
		"refusal":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "canary", http.StatusInternalServerError) }, "see its log"},
		"hangs":     {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, fake := newTree(t), newDaemon(t)
			m.add(vllm(100, "m"))
			fake.answer = test.answer
			d, log := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
			for range 2 {
				err := m.sync(t.Context(), d)
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
					t.Errorf("%v", err)
				}
				if name == "hangs" {
					break
				}
			}
			if _, took, err := emitted(d.Collectors()[1]); took < 0 || err == nil {
				t.Errorf("took %s, %v", took, err)
			}
			if keys(d.Engines()) != "process:8000" {
				t.Errorf("the processes: %+v", d.Engines())
			}
			if strings.Count(log.String(), "discovery failed") != 1 || strings.Contains(log.String(), "canary") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

func TestDockerGone(t *testing.T) {
	m, fake := newTree(t), newDaemon(t)
	fake.put(fakeContainer{id: idA, name: "a", image: "nvcr.io/nim/x", address: "172.17.0.2", pid: 70})
	m.add(fakeProcess{pid: 70, ppid: 1, argv: []string{"nim"}, cgroup: "0::/docker/" + idA})
	d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
	if err := m.sync(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	d.docker.last.Store(&containerList{list: d.docker.containers()}) // as after a failure
	d.runRound()
	if keys(d.Engines()) != "docker:a:8000" {
		t.Errorf("while the daemon does not answer: %+v", d.Engines())
	}
	m.remove(70)
	d.runRound()
	if len(d.Engines()) != 0 {
		t.Errorf("after the container ended: %+v", d.Engines())
	}
}

func TestDockerSocketBelowRoot(t *testing.T) {
	m := newTree(t)
	for _, linked := range []bool{false, true} {
		want := "unix://" + m.root + "/var/run/docker.sock"
		if linked {
			m.link("var/run", "/run")
			want = "unix://" + m.root + "/run/docker.sock"
		}
		if d, _ := m.discover(func(o *Options) { o.Docker = true }); d.docker.host != want {
			t.Errorf("%s, want %s", d.docker.host, want)
		}
	}
}
