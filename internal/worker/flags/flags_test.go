package flags

import (
	"bytes"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/worker"
)

func TestFlagsBecomeOptions(t *testing.T) {
	f := Worker{
		Engine: []string{
			"url=http://a:1,model=x",
			"http://b:2; url=http://c:3,runtime=sglang;\nhttp://d:4", // as an environment variable has them
		},
		WorkerName: "n", WorkerIP: "10.0.0.1", WorkerLabels: map[string]string{"a": "b"}, Cluster: "c",
		WorkerMetricsHost: "127.0.0.1", WorkerMetricsPort: 1, DisableWorkerMetrics: true, HostRoot: "/host", HostInterval: time.Second,
		Discover: []string{" docker"}, DockerHost: "unix:///run/podman.sock", EngineRetention: time.Minute,
		GPUVendors: []string{"amd", "nvidia"}, ExpectedGPUs: 8, FakeGPUs: 2, MaxSeriesPerEngine: new(70_000), MaxNewSeries: new(0), LargePagesMemory: 64, UserLimit: new(0), HashUsers: true, UserHashKeyFile: "/k",
	}
	got, err := f.Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	j := Join{ServerURL: " http://s ", Token: command.Token{Text: "t\n"}, DataDir: "/d"}
	if err := j.Apply(&got); err != nil {
		t.Fatal(err)
	}
	want := worker.Options{
		ServerURL: "http://s", Token: "t", TokenFrom: "--token", DataDir: "/d", Name: "n", Cluster: "c", Address: "10.0.0.1",
		MetricsHost: "127.0.0.1", MetricsPort: 1, DisableWorkerMetrics: true, Labels: map[string]string{"a": "b"},
		HostRoot: "/host", HostInterval: time.Second, StallAfter: -1, GPUInterval: time.Second,
		Discover: []discovery.Source{discovery.SourceDocker}, DockerHost: "unix:///run/podman.sock", EngineRetention: time.Minute,
		GPUVendors: []string{"amd", "nvidia"}, ExpectedGPUs: 8, FakeGPUs: 2, MaxSeriesPerEngine: 70_000, LargePagesMemory: 64, HashUsers: true, UserHashKeyFile: "/k",
		Engines: []engine.Declaration{
			{URL: "http://a:1", Model: "x", Path: "/metrics"},
			{URL: "http://b:2", Path: "/metrics"},
			{URL: "http://c:3", Runtime: "SGLang", Path: "/metrics"},
			{URL: "http://d:4", Path: "/metrics"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []Worker{
		{Engine: []string{"x"}},
		{HostInterval: time.Millisecond},
		{Discover: []string{"process", "kubernetes"}},
		{EngineRetention: -1},
		{StallAfter: time.Millisecond},
		{GPUInterval: time.Millisecond},
		{MaxSeriesPerEngine: new(0)},
		{MaxSeriesPerEngine: new(250_001)},
		{MaxNewSeries: new(-1)},
		{MaxNewSeries: new(10_000_001)},
		{LargePagesMemory: 27},
		{UserLimit: new(-1)},
		{UserLimit: new(100_001)},
		{UserHashKeyFile: "/k"},
		{LargePagesMemory: 1 << 20},
	} {
		if _, err := bad.Options(nil); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	if o, err := new(Worker).Options(nil); err != nil || o.MaxSeriesPerEngine != 50_000 || o.MaxNewSeriesPerEngine != 50_000 || o.UserLimit != 1000 {
		t.Errorf("without flags: %d series, %v", o.MaxSeriesPerEngine, err)
	}
}

// Environment variables are GPUSTACK_ and the flag's name, as in GPUStack.
func TestFlagsHaveTheirEnvironmentVariables(t *testing.T) {
	plural := map[string]string{
		"GPUSTACK_DOCKER_HOST": "GPUSTACK_DOCKER_HOST,DOCKER_HOST", // the container tools' own name works, too
		"GPUSTACK_ENGINE":      "GPUSTACK_ENGINES", "GPUSTACK_WORKER_LABEL": "GPUSTACK_WORKER_LABELS",
	}
	for _, structure := range []reflect.Type{reflect.TypeFor[Worker](), reflect.TypeFor[Join]()} {
		for field := range structure.Fields() {
			name := field.Tag.Get("name")
			if name == "" {
				for i, c := range field.Name {
					if i > 0 && 'A' <= c && c <= 'Z' {
						name += "-"
					}
					name += strings.ToLower(string(c))
				}
			}
			want := "GPUSTACK_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			if p, ok := plural[want]; ok {
				want = p
			}
			if got := field.Tag.Get("env"); got != want {
				t.Errorf("--%s has %s, want %s", name, got, want)
			}
		}
	}
}

// TestTokenOnTheCommandLine: it works as in GPUStack, with a warning that doesn't repeat it.
func TestTokenOnTheCommandLine(t *testing.T) {
	var log bytes.Buffer
	o := worker.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	j := Join{Token: command.Token{Text: "a-secret", Shown: true}}
	if err := j.Apply(&o); err != nil || o.Token != "a-secret" {
		t.Errorf("%q, %v", o.Token, err)
	}
	if text := log.String(); !strings.Contains(text, "WARN") || !strings.Contains(text, "--token-file") || strings.Contains(text, "a-secret") {
		t.Errorf("log %q", text)
	}
	if err := (&Join{TokenFile: "/no/such/file"}).Apply(&o); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("%v", err)
	}
}

// TestManySeriesMayBeNewAtOnce: an engine that may have many series has them all at its start.
func TestManySeriesMayBeNewAtOnce(t *testing.T) {
	for _, tt := range []struct {
		f    Worker
		want int
	}{
		{Worker{}, 50_000},
		{Worker{MaxSeriesPerEngine: new(1000)}, 50_000},
		{Worker{MaxSeriesPerEngine: new(100_000)}, 200_000},
		{Worker{MaxSeriesPerEngine: new(100_000), MaxNewSeries: new(7)}, 7},
		{Worker{MaxSeriesPerEngine: new(100_000), MaxNewSeries: new(0)}, 0},
	} {
		if o, err := tt.f.Options(nil); err != nil || o.MaxNewSeriesPerEngine != tt.want {
			t.Errorf("%d, %v; want %d", o.MaxNewSeriesPerEngine, err, tt.want)
		}
	}
}

// A user who cannot write to the system's directory has one of its own, and is told.
func TestDataDirOfAUser(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	user := command.User{SystemDir: "/system", Writable: func(string) bool { return false }, Getenv: func(name string) string {
		return map[string]string{"HOME": "/home/u"}[name]
	}}
	if got := (&Join{DataDir: "/given"}).dataDir(logger, user); got != "/given" || log.Len() != 0 {
		t.Errorf("%s, %s", got, log.String())
	}
	if got := new(Join).dataDir(logger, user); got != "/home/u/.local/state/stackscope" || !strings.Contains(log.String(), `dir=/home/u/.local/state/stackscope instead_of=/system`) {
		t.Errorf("%s, %s", got, log.String())
	}
	log.Reset()
	if got := new(Join).dataDir(logger, command.User{Root: true, SystemDir: "/system", Getenv: user.Getenv}); got != "/system" || log.Len() != 0 {
		t.Errorf("root: %s, %s", got, log.String())
	}
}
