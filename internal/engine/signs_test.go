package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/fleet"
)

func TestSigns(t *testing.T) {
	signs := DetectionRules()
	if len(signs) != len(Runtimes()) {
		t.Fatalf("%d signs of %d runtimes", len(signs), len(Runtimes()))
	}
	commands := map[string]string{}
	for _, s := range signs {
		if s.Runtime == "" || s.Port < 1 || s.Port > 65535 || len(s.Commands) == 0 && !Gateway(s.Runtime) || len(s.Images) == 0 {
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
		for _, list := range [][]string{s.PortFlags, s.NameFlags, s.ModelFlags, s.Off, s.Lockstep} {
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
		"berriai/litellm": "LiteLLM", "lmcache/lmstack-router": "production-stack", "envoyproxy/ai-gateway-extproc": "Envoy AI Gateway", "higress/all-in-one": "Higress",
		"envoyproxy/envoy": "", "lmcache/vllm-openai": "", "prom/prometheus": "", "nvidia/cuda": "", "paddlepaddle/paddle": "",
	} {
		var got []string
		for _, s := range signs {
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
		for _, r := range Runtimes() {
			if r.wrote(p.Text) != (r.Name == p.Runtime) {
				t.Errorf("%s says %t", r.Name, r.wrote(p.Text))
			}
			if w := r.workOn(p.Text); r.Name == p.Runtime && !r.gateway && !w.known && !slices.Contains(withoutProgress, p.Name) {
				t.Errorf("no counter of %s's progress is there", r.Name)
			}
		}
		if err := check("", p.Text); err != nil {
			t.Error(err)
		}
	})
}

// withoutProgress are pages that lack the counters which tell whether their engine works.
var withoutProgress = []string{"vllm-ray", "triton-trtllm-backend-readme"}

func TestWorkOnPages(t *testing.T) {
	compare := func(t *testing.T, pages []enginepages.Page, wants map[string]work) {
		t.Helper()
		for name, want := range wants {
			i := slices.IndexFunc(pages, func(p enginepages.Page) bool { return p.Name == name })
			if i < 0 {
				t.Errorf("there is no page %s", name)
				continue
			}
			r, _ := byName(Recognise(pages[i].Text))
			want.known, want.lag = true, r.lag
			for _, n := range want.counts {
				want.ever = want.ever || n > 0
			}
			if diff := cmp.Diff(want, r.workOn(pages[i].Text), cmp.AllowUnexported(work{})); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", name, diff)
			}
		}
	}
	t.Run("own", func(t *testing.T) {
		compare(t, enginepages.Own(t), map[string]work{
			"vllm-0.8.5":        {live: true, counts: []float64{6328, 85319}, load: 4},
			"vllm-current-dp2":  {live: true, counts: []float64{85703, 97757}, load: 10}, // of both ranks
			"sglang":            {live: true, counts: []float64{0, 113, 158, 0, 32441834}, load: 12},
			"sglang-priorities": {counts: []float64{0, 0, 0, 0, 120}, load: 5},
			"mindie":            {live: true, counts: []float64{121, 109, 33914, 80441, 11}, load: 1},
			"lorax":             {counts: []float64{0, 9, 512}, load: 7},
			"nim":               {live: true, counts: []float64{174, 109, 3}, load: 1},
			"triton-ensemble":   {counts: []float64{0, 0, 26, 0}, load: 1},
			"trtllm-serve":      {counts: []float64{450, 900, 9}, load: 3},
			"lmdeploy":          {live: true, counts: []float64{450, 900}, load: 3},
			"llamacpp":          {counts: []float64{0, 3400, 1200}, load: 2},
		})
	})
	t.Run("recorded", func(t *testing.T) {
		compare(t, enginepages.Recorded(t), map[string]work{
			"vllm-0.6.x-ray-datadog":            {live: true, counts: []float64{300, 58}},
			"vllm-0.10.x-pymotor":               {live: true, counts: []float64{26, 39}},
			"sglang-0.4.3-docs":                 {live: true, counts: []float64{0, 0, 11008, 7557572, 8128902}, load: 2988},
			"mindie-3.0-motor-pd-node0":         {live: true, counts: []float64{79600, 400, 80000, 78800, 0}},
			"tgi-3.x-datadog":                   {live: true, counts: []float64{1525, 109, 3423}},
			"nim-1.0.0-datadog":                 {live: true, counts: []float64{174, 109, 169}, load: 1},
			"trtllm-dynamo-docs":                {counts: []float64{0, 0, 155}},
			"triton-trtllm-nv_inference-readme": {live: true, counts: []float64{0, 0, 0, 0}},
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
	w := sglang().workOn(page)
	if w.load != 7 || w.counts[0] != 10 || !w.live || !w.known {
		t.Errorf("got %+v", w)
	}
	w = dynamo().workOn([]byte("dynamo_frontend_active_requests 2\ndynamo_frontend_inflight_requests 2\n"))
	if w.load != 2 || w.known {
		t.Errorf("got %+v", w)
	}
}

func TestWorkOfOtherNames(t *testing.T) {
	for page, want := range map[string]work{
		"lorax_request_success 3\nlorax_batch_current_size 1\nlorax_queue_size 2\n":                        {counts: []float64{0, 3, 0}, load: 3},
		"fastdeploy:generation_tokens_total 5\nfastdeploy:num_requests_running 1\n":                        {counts: []float64{5, 0, 0}, load: 1},
		"lightllm_request_success_total 2\nlightllm_request_generated_tokens_sum 9\nlightllm_queue_size 4": {counts: []float64{2, 9}, load: 4},
		"xinference:output_tokens_total_counter{model=\"a\"} 7\nxinference:model_serve_count 2\n":          {counts: []float64{7, 0}, load: 2},
	} {
		r, _ := byName(Recognise([]byte(page)))
		want.known, want.ever, want.lag = true, true, r.lag
		if diff := cmp.Diff(want, r.workOn([]byte(page)), cmp.AllowUnexported(work{})); diff != "" {
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

const (
	tgiInfo    = `{"model_id":"org/chat","model_sha":null,"model_pipeline_tag":"text-generation","validation_workers":2,"router":"text-generation-router","version":"3.3.7","docker_label":null}`
	teiInfo    = `{"model_id":"/data/gte","model_sha":null,"model_dtype":"float16","served_model_name":"gte-base","model_type":{"embedding":{"pooling":"cls"}},"tokenization_workers":4,"version":"1.9.3"}`
	mindieInfo = `{"docker_label":null,"validation_workers":null,"version":"3.0.0","models":[{"model_id":"m","model_pipeline_tag":"text-generation"}]}`
)

func TestMoreEnginesAreFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		declaration string
		pages       map[string]string
		want        Identity
	}{
		"TGI": {"http://127.0.0.1:8080", map[string]string{"/metrics": "# TYPE tgi_queue_size gauge\ntgi_queue_size 0\n", "/info": tgiInfo}, Identity{"TGI", "3.3.7", "org/chat"}},
		"TEI": {"http://127.0.0.1:8080", map[string]string{"/metrics": "te_queue_size 0\n", "/info": teiInfo}, Identity{"TEI", "1.9.3", "gte-base"}},
		"TEI, older": {
			"http://127.0.0.1:8080",
			map[string]string{"/metrics": "te_queue_size 0\n", "/info": `{"model_id":"org/gte","tokenization_workers":4,"version":"1.2.0"}`},
			Identity{"TEI", "1.2.0", "org/gte"},
		},
		"TEI that served nothing yet":    {"http://127.0.0.1:8080", map[string]string{"/metrics": "", "/info": teiInfo}, Identity{"TEI", "1.9.3", "gte-base"}},
		"TGI that served nothing yet":    {"http://127.0.0.1:8080", map[string]string{"/metrics": "", "/info": tgiInfo}, Identity{"TGI", "3.3.7", "org/chat"}},
		"MindIE that served nothing yet": {"url=http://127.0.0.1:8080,model=m", map[string]string{"/metrics": "", "/info": mindieInfo}, Identity{"MindIE", "3.0.0", "m"}},
		"nobody knows":                   {"url=http://127.0.0.1:8080,model=m", map[string]string{"/metrics": "", "/info": `{"version":"1"}`}, Identity{"", "", "m"}},
		"another one answers":            {"url=http://127.0.0.1:8080,model=m", map[string]string{"/metrics": "tgi_queue_size 0\n", "/info": teiInfo}, Identity{"TGI", "", "m"}},
		"Triton": {
			"http://127.0.0.1:8002",
			map[string]string{"/metrics": "nv_inference_count{model=\"a\"} 1\n", "/v2": `{"name":"triton","version":"2.55.0"}`},
			Identity{"Triton", "2.55.0", "node-8002"},
		},
		"trtllm-serve": {
			"url=http://127.0.0.1:8000,runtime=trtllm-serve",
			map[string]string{"/prometheus/metrics": "trtllm_request_success_total 1\n", "/metrics": "[]", "/version": `{"version":"1.1.0"}`, "/v1/models": `{"data":[{"id":"llama"}]}`},
			Identity{"trtllm-serve", "1.1.0", "llama"},
		},
		"LMDeploy":  {"http://127.0.0.1:23333", map[string]string{"/metrics": "lmdeploy:num_requests_running{model_name=\"q\"} 1\n"}, Identity{"LMDeploy", "", "q"}},
		"llama.cpp": {"http://127.0.0.1:8080", map[string]string{"/metrics": "llamacpp:n_decode_total 1\n", "/props": `{"build_info":"b6000-abc","model_alias":"x"}`, "/v1/models": `{"data":[{"id":"x"}]}`}, Identity{"llama.cpp", "b6000-abc", "x"}},
		"Dynamo":    {"http://127.0.0.1:8000", map[string]string{"/metrics": "dynamo_frontend_active_requests{model=\"q\"} 1\n", "/v1/models": `{"data":[{"id":"q"}]}`}, Identity{"Dynamo", "", "q"}},
		"FastDeploy": {
			"http://127.0.0.1:8000",
			map[string]string{"/metrics": "# TYPE fastdeploy:num_requests_running gauge\nfastdeploy:num_requests_running 1\n", "/v1/models": `{"data":[{"id":"q"}]}`},
			Identity{"FastDeploy", "", "q"},
		},
		"LightLLM":   {"url=http://127.0.0.1:8000,model=q", map[string]string{"/metrics": "lightllm_queue_size 1\n"}, Identity{"LightLLM", "", "q"}},
		"Xinference": {"http://127.0.0.1:8000", map[string]string{"/metrics": "xinference:model_serve_count{model=\"a\"} 1\n"}, Identity{"Xinference", "", "node-8000"}},
		"LoRAX":      {"http://127.0.0.1:8080", map[string]string{"/metrics": "lorax_queue_size 0\n", "/info": tgiInfo}, Identity{"TGI", "3.3.7", "org/chat"}},
		"NIM": {
			"url=http://127.0.0.1:8000,runtime=nim",
			map[string]string{"/v1/metrics": "num_request_max 1\n", "/v1/version": `{"release":"1.0.0","api":"0.1.0"}`, "/v1/models": `{"data":[{"id":"q"}]}`},
			Identity{"NIM", "1.0.0", "q"},
		},
		"NIM by its page": {"http://127.0.0.1:8000/v1/metrics", map[string]string{"/v1/metrics": "num_request_max 1\n", "/v1/version": `{"release":"1.0.0"}`, "/v1/models": `{"data":[{"id":"q"}]}`}, Identity{"NIM", "1.0.0", "q"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, c.declaration, c.pages)
				h.run(t)
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, h.Status().Identity); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				h.want(t, fleet.InstanceRunning, "", 0)
			})
		})
	}
}

func TestProbesOfOtherPorts(t *testing.T) {
	p := prober{target: target(t, "http://u:p@[::1]:8002")}
	if got := p.beside("8002", "8000").target.URL(); got != "http://[::1]:8000" {
		t.Errorf("got %s", got)
	}
	if got := p.beside("1027", "1026").target.URL(); got != "http://[::1]:8002" {
		t.Errorf("got %s", got)
	}
	if got := p.target.URL(); got != "http://[::1]:8002" {
		t.Errorf("the prober itself asks %s now", got)
	}
}

func TestDeclaredRuntimeHasItsPath(t *testing.T) {
	for s, want := range map[string][2]string{
		"url=http://h:1,runtime=trtllm-serve":                     {"http://h:1", "/prometheus/metrics"},
		"url=http://h:1/prometheus/metrics/,runtime=TRTLLM-SERVE": {"http://h:1", "/prometheus/metrics"},
		"url=http://h:1/x/metrics,runtime=trtllm-serve":           {"http://h:1/x", "/metrics"},
		"url=http://h:1/v1/metrics,runtime=NIM":                   {"http://h:1", "/v1/metrics"},
		"url=http://h:1,runtime=NIM,path=/metrics":                {"http://h:1", "/metrics"},
		"url=http://h:1,runtime=vLLM":                             {"http://h:1", "/metrics"},
	} {
		d, err := ParseDeclaration(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]string{d.URL, d.Path}; got != want {
			t.Errorf("%s: got %q, want %q", s, got, want)
		}
	}
}

func TestReadAbout(t *testing.T) {
	a, err := readAbout(strings.NewReader(teiInfo), "version")
	if err != nil || a.texts["version"] != "1.9.3" || len(a.texts) != 1 || !a.members["model_type"] || a.members["embedding"] {
		t.Errorf("got %+v, %v", a, err)
	}
	many := &strings.Builder{}
	for i := range maxMembers + 1 {
		fmt.Fprintf(many, `,"m%d":1`, i)
	}
	for _, body := range []string{"", "[]", `"a"`, `{"a":`, `{"a":1`, `{"version":}`, "{" + many.String()[1:] + "}"} {
		if _, err := readAbout(strings.NewReader(body), "version"); err == nil {
			t.Errorf("%.40s: no error", body)
		}
	}
}

func FuzzReadAbout(f *testing.F) {
	for _, s := range []string{tgiInfo, teiInfo, mindieInfo, `{"a":[{}],"version":{"b":1}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a, err := readAbout(strings.NewReader(body), "version")
		if len(a.members) > maxMembers+1 || len(a.texts) > 1 {
			t.Errorf("%d members, %d texts, %v", len(a.members), len(a.texts), err)
		}
		_ = a.who()
	})
}

func FuzzWorkOn(f *testing.F) {
	f.Add(vllmPage)
	f.Add("sglang:num_running_reqs{tp_rank=\"0\"} 1e400\nsglang:num_queue_reqs -5\n")
	f.Fuzz(func(t *testing.T, page string) {
		for _, r := range Runtimes() {
			if w := r.workOn([]byte(page)); !(w.load >= 0) {
				t.Errorf("%s: load %v", r.Name, w.load)
			}
		}
	})
}
