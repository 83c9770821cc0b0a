package runtimes

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/enginepages"
)

func TestDetectionRules(t *testing.T) {
	rules := DetectionRules()
	if len(rules) != len(All())+len(routerRules()) {
		t.Fatalf("%d rules of %d runtimes and %d routers", len(rules), len(All()), len(routerRules()))
	}
	commands := map[string]string{}
	for _, s := range rules {
		if s.Runtime == "" || s.Port < 1 || s.Port > 65535 || len(s.Commands) == 0 && !IsGateway(s.Runtime) || len(s.Images) == 0 && s.Role == "" {
			t.Errorf("incomplete: %+v", s)
		}
		if s.Path != "" && !strings.HasPrefix(s.Path, "/") {
			t.Errorf("%s: path %q", s.Runtime, s.Path)
		}
		for _, c := range s.Commands {
			if other := commands[c]; other != "" {
				t.Errorf("%s and %s start alike: %s", s.Runtime, other, c)
			}
			commands[c] = s.Runtime
		}
		for _, list := range [][]string{s.PortFlags, s.NameFlags, s.ModelFlags, s.Off, s.Lockstep, s.Needs, s.RoleFlags, s.TransferFlags, s.UpstreamFlags} {
			for _, flag := range list {
				if !strings.HasPrefix(flag, "-") {
					t.Errorf("%s: flag %q", s.Runtime, flag)
				}
			}
		}
	}
	for image, want := range map[string]string{
		"vllm/vllm-openai": "vLLM", "quay/ascend/vllm-ascend": "vLLM", "rocm/vllm": "vLLM", "lmsysorg/sglang": "SGLang", "hub/ascendhub/mindie": "MindIE",
		"huggingface/text-generation-inference": "TGI", "huggingface/text-embeddings-inference": "TEI", "nvidia/tritonserver": "Triton",
		"nvidia/tensorrt-llm/release": "trtllm-serve", "openmmlab/lmdeploy": "LMDeploy", "ggml-org/llama.cpp:server-cuda": "llama.cpp",
		"nvidia/ai-dynamo/dynamo-frontend": "Dynamo", "nvidia/ai-dynamo/vllm-runtime": "", "registry/nim/meta/llama-3.1-8b-instruct": "NIM",
		"predibase/lorax": "TGI", "baidubce/paddlepaddle/fastdeploy-cuda-12.6": "FastDeploy", "modeltc/lightllm": "LightLLM", "xprobe/xinference": "Xinference",
		"vllm/vllm-router": "vLLM", "lmsysorg/sgl-model-gateway": "SGLang",
		"berriai/litellm": "LiteLLM", "lmcache/lmstack-router": "production-stack", "envoyproxy/ai-gateway-extproc": "Envoy AI Gateway", "higress/all-in-one": "Higress",
		"envoyproxy/envoy": "", "lmcache/vllm-openai": "", "prom/prometheus": "", "nvidia/cuda": "", "paddlepaddle/paddle": "",
	} {
		var got []string
		for _, s := range rules {
			for _, part := range s.Images {
				if strings.Contains(image, part) {
					got = append(got, s.Runtime)
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("image %s: got %q, want %q", image, got, want)
		}
	}
}

func TestRecognisePages(t *testing.T) {
	enginepages.Each(t, func(t *testing.T, p enginepages.Page) { //nolint:thelper // the body of a test: its own lines are wanted
		if got := Recognise(p.Text); got != p.Runtime {
			t.Errorf("got %q, want %q", got, p.Runtime)
		}
		for _, r := range All() {
			if r.Wrote(p.Text) != (r.Name == p.Runtime) {
				t.Errorf("%s says %t", r.Name, r.Wrote(p.Text))
			}
			if w := r.Read(p.Text).Work; r.Name == p.Runtime && !r.Gateway && !p.Partial && !w.HasCounters && !slices.Contains(withoutProgress, p.Name) {
				t.Errorf("no counter of %s's progress is there", r.Name)
			}
		}
	})
}

// withoutProgress are pages that lack the counters which tell whether their engine works.
var withoutProgress = []string{"vllm-ray", "triton-trtllm-backend-readme"}

func TestWorkOnPages(t *testing.T) {
	compare := func(t *testing.T, pages []enginepages.Page, wants map[string]Work) {
		t.Helper()
		for name, want := range wants {
			i := slices.IndexFunc(pages, func(p enginepages.Page) bool { return p.Name == name })
			if i < 0 {
				t.Errorf("there is no page %s", name)
				continue
			}
			r, _ := ByName(Recognise(pages[i].Text))
			want.HasCounters, want.GaugeLag = true, r.gaugeLag
			for _, n := range want.Counters {
				want.Moved = want.Moved || n > 0
			}
			if diff := cmp.Diff(want, r.Read(pages[i].Text).Work); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", name, diff)
			}
		}
	}
	t.Run("own", func(t *testing.T) {
		compare(t, enginepages.Own(t), map[string]Work{
			"vllm-0.8.5":        {PerStep: true, Counters: []float64{6328, 85319}, Requests: 4},
			"vllm-current-dp2":  {PerStep: true, Counters: []float64{85703, 97757}, Requests: 10}, // of both ranks
			"sglang":            {PerStep: true, Counters: []float64{0, 113, 158, 0, 32441834}, Requests: 12},
			"sglang-priorities": {Counters: []float64{0, 0, 0, 0, 120}, Requests: 5},
			"mindie":            {PerStep: true, Counters: []float64{121, 109, 33914, 80441, 11}, Requests: 1},
			"lorax":             {Counters: []float64{0, 9, 512}, Requests: 7},
			"nim":               {PerStep: true, Counters: []float64{174, 109, 3}, Requests: 1},
			"triton-ensemble":   {Counters: []float64{0, 0, 26, 0}, Requests: 1},
			"trtllm-serve":      {Counters: []float64{450, 900, 9}, Requests: 3},
			"lmdeploy":          {PerStep: true, Counters: []float64{450, 900}, Requests: 3},
			"llamacpp":          {Counters: []float64{0, 3400, 1200}, Requests: 2},
		})
	})
	t.Run("recorded", func(t *testing.T) {
		compare(t, enginepages.Recorded(t), map[string]Work{
			"vllm-0.6.x-ray-datadog":            {PerStep: true, Counters: []float64{300, 58}},
			"vllm-0.10.x-pymotor":               {PerStep: true, Counters: []float64{26, 39}},
			"sglang-0.4.3-docs":                 {PerStep: true, Counters: []float64{0, 0, 11008, 7557572, 8128902}, Requests: 2988},
			"mindie-3.0-motor-pd-node0":         {PerStep: true, Counters: []float64{79600, 400, 80000, 78800, 0}},
			"tgi-3.x-datadog":                   {PerStep: true, Counters: []float64{1525, 109, 3423}},
			"nim-1.0.0-datadog":                 {PerStep: true, Counters: []float64{174, 109, 169}, Requests: 1},
			"trtllm-dynamo-docs":                {Counters: []float64{0, 0, 155}},
			"triton-trtllm-nv_inference-readme": {PerStep: true, Counters: []float64{0, 0, 0, 0}},
		})
	})
}

func TestWorkSelectsSeries(t *testing.T) {
	page := []byte(`sglang:num_running_reqs{tp_rank="0",priority=""} 3
sglang:num_running_reqs{tp_rank="1",priority=""} 3
sglang:num_running_reqs{tp_rank="0",priority="5"} 2
sglang:num_running_reqs{tp_rank="0",dp_rank="1"} 4
sglang:num_queue_reqs -1
sglang:realtime_tokens_total{mode="decode"} 10
sglang:realtime_tokens_total{mode="prefill_compute"} NaN
sglang:realtime_tokens_totally 99
`)
	w := sglang().Read(page).Work
	if w.Requests != 7 || w.Counters[0] != 10 || !w.PerStep || !w.HasCounters {
		t.Errorf("got %+v", w)
	}
	w = sglang().Read([]byte(`sglang:num_running_reqs{dp_rank="0",tp_rank="0"} 3
sglang:num_running_reqs{dp_rank="0",tp_rank="1"} 4
sglang:num_running_reqs{dp_rank="1",tp_rank="4"} 5
sglang:num_queue_reqs{dp_rank="1",tp_rank="4"} 1
sglang:num_decode_prealloc_queue_reqs{dp_rank="0",tp_rank="0"} 57
sglang:num_decode_prealloc_queue_reqs{dp_rank="0",tp_rank="1"} 57
`)).Work
	if w.Requests != 4+5+1+57 {
		t.Errorf("the data-parallel ranks have %v requests", w.Requests)
	}
	var many strings.Builder // ranks, in an order that mixes their replicas
	for tp := range 4 {
		for dp := range 500 {
			fmt.Fprintf(&many, "sglang:num_running_reqs{dp_rank=\"%d\",tp_rank=\"%d\"} %d\n", dp, tp, dp+tp)
		}
	}
	if w = sglang().Read([]byte(many.String())).Work; w.Requests != 500*499/2+500*3 {
		t.Errorf("500 data-parallel ranks have %v requests", w.Requests)
	}
	w = dynamo().Read([]byte("dynamo_frontend_active_requests 2\ndynamo_frontend_inflight_requests 2\n")).Work
	if w.Requests != 2 || w.HasCounters {
		t.Errorf("got %+v", w)
	}
}

func TestWorkOfOtherNames(t *testing.T) {
	for page, want := range map[string]Work{
		"lorax_request_success 3\nlorax_batch_current_size 1\nlorax_queue_size 2\n":                        {Counters: []float64{0, 3, 0}, Requests: 3},
		"fastdeploy:generation_tokens_total 5\nfastdeploy:num_requests_running 1\n":                        {Counters: []float64{5, 0, 0}, Requests: 1},
		"lightllm_request_success_total 2\nlightllm_request_generated_tokens_sum 9\nlightllm_queue_size 4": {Counters: []float64{2, 9}, Requests: 4},
		"xinference:output_tokens_total_counter{model=\"a\"} 7\nxinference:model_serve_count 2\n":          {Counters: []float64{7, 0}, Requests: 2},
	} {
		r, _ := ByName(Recognise([]byte(page)))
		want.HasCounters, want.Moved, want.GaugeLag = true, true, r.gaugeLag
		if diff := cmp.Diff(want, r.Read([]byte(page)).Work); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", page, diff)
		}
	}
}

// TestMindIEAndNIMAreToldApart holds that families which both have decide nothing.
func TestMindIEAndNIMAreToldApart(t *testing.T) {
	const shared = "num_requests_running 1\nprompt_tokens_total 2\n"
	for page, want := range map[string]string{
		shared:                            "",
		shared + "npu_cache_usage_perc 0": "MindIE",
		shared + "gpu_cache_usage_perc 0": "NIM",
		shared + "num_request_max 8":      "NIM",
	} {
		if got := Recognise([]byte(page)); got != want {
			t.Errorf("%q: got %q, want %q", page, got, want)
		}
	}
}

func FuzzWorkOn(f *testing.F) {
	f.Add("vllm:num_requests_running{engine=\"0\"} 3.0\n")
	f.Add("sglang:num_running_reqs{tp_rank=\"0\"} 1e400\nsglang:num_queue_reqs -5\n")
	f.Fuzz(func(t *testing.T, page string) {
		for _, r := range All() {
			if w := r.Read([]byte(page)).Work; !(w.Requests >= 0) {
				t.Errorf("%s: load %v", r.Name, w.Requests)
			}
		}
	})
}

// gatewayPages are pages that are also translated, by the gateway that wrote them.
func gatewayPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for runtime, name := range map[string]string{
		"LiteLLM": "litellm", "production-stack": "production-stack", "Envoy AI Gateway": "envoy-ai-gateway", "Higress": "higress",
	} {
		a, err := txtar.ParseFile(filepath.Join("..", "..", "translate", "testdata", "engines", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		pages[runtime] = string(a.Files[0].Data)
	}
	return pages
}

func TestGatewaysAreRecognised(t *testing.T) {
	for want, page := range gatewayPages(t) {
		if got := Recognise([]byte(page)); got != want {
			t.Errorf("%s: got %q", want, got)
		}
		if !IsGateway(want) || !IsGateway(strings.ToUpper(want)) {
			t.Errorf("%s is no gateway", want)
		}
		for _, r := range All() {
			if r.Wrote([]byte(page)) != (r.Name == want) {
				t.Errorf("%s: %s says %t", want, r.Name, r.Wrote([]byte(page)))
			}
			if r.Gateway && r.Read([]byte(page)).Work.HasCounters {
				t.Errorf("%s is watched", r.Name)
			}
		}
	}
	for _, name := range []string{"vLLM", "Dynamo", "", "smg"} {
		if IsGateway(name) {
			t.Errorf("%q is a gateway", name)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{"vllm:num_requests_running{engine=\"0\"} 3.0\n", "a{", `a{b="\`, "a 1"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, page string) {
		newCounterScan([]series{{name: "a"}, {name: "vllm:x", only: []string{"a", "b"}}}).totals([]byte(page), new(modelScan))
		labelValue([]byte(page), "b", []string{"a"})
	})
}

func TestStatusHint(t *testing.T) {
	for _, c := range []struct {
		runtime string
		status  int
		want    []string
	}{
		{"", 500, []string{"MIES_SERVICE_MONITOR_MODE=1"}},
		{"", 404, []string{"SGLang serves metrics only when it is started with --enable-metrics", "trtllm-serve serves metrics at path=/prometheus/metrics"}},
		{"SGLang", 404, []string{"--enable-metrics"}},
		{"llama.cpp", 501, []string{"--metrics"}},
		{"trtllm-serve", 200, []string{"path=/prometheus/metrics"}},
		{"", 200, nil},
		{"vLLM", 404, nil},
		{"", 503, nil},
	} {
		got := StatusHint(c.runtime, c.status)
		if (got == "") != (len(c.want) == 0) || c.runtime == "SGLang" && strings.Contains(got, "trtllm") {
			t.Errorf("%q %d: got %q", c.runtime, c.status, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%q %d: got %q, want %q in it", c.runtime, c.status, got, want)
			}
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, p := range enginepages.Own(b) {
		if p.Name != "vllm-current-dp2" && p.Name != "sglang" {
			continue
		}
		r, _ := ByName(p.Runtime)
		page := bytes.Repeat(p.Text, 8)
		b.Run(p.Name, func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			models := r.Read(page).Models
			for b.Loop() {
				r.ReadAfter(page, models)
			}
		})
	}
}
