package bundle

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/wire"
)

// shown replaces the hash in texts.
var hashForm = regexp.MustCompile(`-[a-z2-7]{8}\b`)

func shown(s string) string { return hashForm.ReplaceAllString(s, "-X") }

func testRedactor() *Redactor {
	return NewRedactor([]Name{{Worker, "gpu-1"}, {Model, "Qwen/Qwen3-8B"}, {Instance, "open source"}, {Cluster, "default"}, {Worker, "memory"}}, []string{"gpustack:x_total"})
}

func TestText(t *testing.T) {
	r := testRedactor()
	for _, tt := range [][2]string{
		{"connection refused", ""},
		{"dial tcp 10.0.0.7:8000: connect: connection refused", "dial tcp host-X:8000: connect: connection refused"},
		{"dial tcp 127.0.0.1:8000: connect: connection refused", ""},
		{"dial tcp [fe80::1%eth0]:8000: timeout", "dial tcp [host-X]:8000: timeout"},
		{"10.0.0.7 and fe80::1 do not answer", "host-X and host-X do not answer"},
		{"lookup node7.example.com: no such host", "lookup host-X: no such host"},
		{"lookup node7.example.com on 127.0.0.53:53: no such host", "lookup host-X on host-X:53: no such host"},
		{`Get "http://u:p@h:1/metrics?key=1": EOF`, `Get "text-X": EOF`},
		{"https://h/a/b:80 failed", "https://host-X/path-X failed"},
		{"http://u:p@h:1/metrics?key=1 failed", "http://...@host-X:1/metrics?... failed"},
		{"open /home/zaphod/token: permission denied", "open path-X: permission denied"},
		{`open C:\Users\zaphod: permission denied`, "open path-X: permission denied"},
		{"worker gpu-1 is not ready, GPU-1 neither", "worker worker-X is not ready, worker-X neither"},
		{"model Qwen/Qwen3-8B is open source", "model model-X is instance-X"},
		{"memory of GPU 7 is full: 12.5GiB, 98%", "worker-X of GPU 7 is full: 12.5GiB, 98%"},
		{"its /metrics took 1m30.5s, more than 10 s (3 times)", ""},
		{"generation 4 of 2026-01-02T03:04:05Z", ""},
		{"vLLM 0.11.0rc2 and 1.2.3", ""},
		{"llama.cpp b7000, worker v0.0.0-20261130154703-623d3d778ea2", ""},
		{"user zaphod@example.com, id 123456789", "user user-X, id text-X"},
		{"Zaphod's engine", "text-X's engine"},
		{"the worker's clock, 'zaphod' and `zaphod x`", "the worker's clock, 'text-X' and `text-X`"},
		{`an open "quotation with all that follows`, `an open "text-X"`},
		{"ixsmi -q -x: killed", ""},
		{"give --token-file FILE or --engine=zaphod", "give --token-file FILE or --engine=text-X"},
		{"gpustack:x_total and gpustack:zaphod_total", "gpustack:x_total and text-X"},
		{"a\x1bb\nc", "a b c"},
		{"Zürich 北京", "text-X text-X"},
		{"sk-proj-abcDEF123 eyJhbGciOi", "text-X text-X"},
	} {
		want := tt[1]
		if want == "" {
			want = tt[0]
		}
		if got := shown(r.Text(tt[0])); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt[0], got, want)
		}
	}
	for _, version := range []string{"v0.0.0-20260101120000-0123456789ab", "v0.0.0-20260101120000-0123456789ab+dirty", "v0.3.0-12-g0123abc", "v0.3.0-12-g0123abc-dirty", "0123abcd", "v1.2.3", "dev"} {
		if got := r.build(version); got != version {
			t.Errorf("of a worker's version %s there is %s", version, got)
		}
	}
	for version, want := range map[string]string{
		"zaphod": "value-X", "v1.2.3-zaphod": "v1.2.3-value-X", "v0.3.0-12-gzaphod0": "v0.3.0-value-X", "0123abcd0123abcd0123abcd": "value-X", "12345678": "value-X",
	} {
		if got := shown(r.build(version)); got != want {
			t.Errorf("of a worker's version %s there is %s", version, got)
		}
	}
	owned := NewRedactor([]Name{{User, "root"}, {User, "zaphod"}}, nil)
	if got := shown(string(owned.Settings([]wire.Setting{{Flag: "--host-root", Value: "/", Source: "default"}, {Flag: "--host-zaphod", Value: "true", Source: "flag"}}))); got != "--host-root=/  (default)\n--text-X=true  (flag)\n" {
		t.Error(got)
	}
	if a, b := r.Text("zaphod"), r.Hash(User, "zaphod"); a[len("text"):] != b[len("user"):] {
		t.Errorf("%s and %s", a, b)
	}
	if a, b := r.Text("zaphod"), testRedactor().Text("zaphod"); a == b {
		t.Error("two bundles have the same hashes")
	}
}

// Names of metrics and labels stay, but for the names of the inventory in them. Worker labels are such names.
func TestIdentifierNames(t *testing.T) {
	r := NewRedactor([]Name{{Text, "krillmaw"}, {Worker, "gpu"}, {User, "zaphod_b"}}, []string{"gpustack:x_total"})
	page, _ := r.Page([]byte("# TYPE vllm:krillmaw_total counter\nvllm:krillmaw_total{krillmaw=\"1\",gpu=\"2\",le=\"3\",x_zaphod_b=\"\"} 4\ngpustack:x_total 5\n"), 1000)
	want := "# TYPE vllm:text_X_total counter\nvllm:text_X_total{text_X=\"value-X\",gpu=\"value-X\",le=\"3\",x_user_X=\"\"} 4\ngpustack:x_total 5\n"
	if got := identifierHash.ReplaceAllString(shown(string(page)), "${1}_X"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	mapping, err := r.Mapping([]byte(`{"runtime_mapping":{"vLLM":{"*":{"vllm:krillmaw":{"to":"gpustack:krillmaw","match":{"krillmaw":"1"}}}}}}`))
	if err != nil || leaked.Match(mapping) {
		t.Errorf("%v: %s", err, mapping)
	}
	var report bytes.Buffer
	r.NativeReport(&report, &wire.NativeReport{Name: "vllm:krillmaw_total", Outcomes: []wire.NativeOutcome{{Family: "gpustack:krillmaw"}}}, SampleNames([]byte("vllm:krillmaw_total 1\n")))
	if leaked.Match(report.Bytes()) {
		t.Error(report.String())
	}
}

var (
	identifierHash = regexp.MustCompile(`(text|user)_[a-z2-7]{8}`)
	leaked         = regexp.MustCompile(`krillmaw`)
)

// A worker label such as rack=7 leaves numbers readable.
func TestCommonValuesAreNoNames(t *testing.T) {
	r := NewRedactor([]Name{{Text, "7"}, {Text, "true"}, {Worker, "4711"}}, nil)
	if got := shown(r.Label("le", "7") + " " + r.Text("7 of 12, true, 4711")); got != "7 7 of 12, true, worker-X" {
		t.Error(got)
	}
}

func TestLabelValues(t *testing.T) {
	r := testRedactor()
	for _, tt := range []struct{ label, value, want string }{
		{"gpu_name", "H100", "H100"},
		{"name", "H100", "value-X"}, // also a person's short name
		{"name", "NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"},
		{"name", "Linux", "Linux"},
		{"version", "v0.0.0-20260102030405-0123456789ab", "v0.0.0-20260102030405-0123456789ab"},
		{"version", "v1.2.3-0.20260102030405-0123456789ab+dirty", "v1.2.3-0.20260102030405-0123456789ab+dirty"},
		{"version", "v1.2.3-zaphod", "v1.2.3-value-X"},
	} {
		if got := shown(r.Label(tt.label, tt.value)); got != tt.want {
			t.Errorf("%s=%s: got %s, want %s", tt.label, tt.value, got, tt.want)
		}
	}
}

func TestLabel(t *testing.T) {
	own := buildinfo.Get().Version
	r := NewRedactor([]Name{{Worker, "7.8.9"}, {Worker, "x86_64"}}, nil)
	for _, tt := range [][3]string{
		{"version", "0.11.0", "0.11.0"},
		{"version", "12", "12"},
		{"version", own, own},
		{"runtime_version", "0.11.1rc2.dev125+g1a2b3c4d5.cu129", "0.11.1rc2.dev125+value-X"},
		{"version", "10.0.0.7+zaphod", "value-X"},
		{"version", "7.8.9+zaphod", "value-X"},
		{"version", "zaphod-1.2.3", "value-X"},
		{"path", "0.11.1+zaphod", "path-X"},
		{"architecture", "aarch64", "aarch64"},
		{"architecture", "x86_64", "worker-X"},
		{"architecture", "zaphod", "value-X"},
		{"name", "Debian GNU/Linux", "Debian GNU/Linux"},
		{"name", "Ubuntu", "Ubuntu"},
		{"name", "Zaphod GNU/Linux", "value-X"},
	} {
		if got := shown(r.Label(tt[0], tt[1])); got != tt[2] {
			t.Errorf("%s=%q: %s, want %s", tt[0], tt[1], got, tt[2])
		}
	}
}
