package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func TestResolve(t *testing.T) {
	a := healthy(t)
	s := a.Snapshot
	s.Workers = append(s.Workers, fleet.Worker{ID: 3, ClusterID: 1, Name: "same"}, fleet.Worker{ID: 4, ClusterID: 1, Name: "same"})
	s.Instances = append(s.Instances, fleet.Instance{ID: 7, WorkerID: 1, Name: "twice"}, fleet.Instance{ID: 8, WorkerID: 2, Name: "twice"})
	for _, c := range []struct {
		r      Request
		want   wire.DoctorSubject
		metric string
	}{
		{Request{}, wire.DoctorSubject{Kind: "fleet"}, ""},
		{Request{Instance: "qwen-0"}, wire.DoctorSubject{Kind: "instance", ID: 1, Name: "qwen-0"}, ""},
		{Request{Instance: "2"}, wire.DoctorSubject{Kind: "instance", ID: 2, Name: "qwen-1"}, ""},
		{Request{Instance: "twice", Worker: "gpu-2"}, wire.DoctorSubject{Kind: "instance", ID: 8, Name: "twice"}, ""},
		{Request{Worker: "gpu-1"}, wire.DoctorSubject{Kind: "worker", ID: 1, Name: "gpu-1"}, ""},
		{Request{Worker: "4"}, wire.DoctorSubject{Kind: "worker", ID: 4, Name: "same"}, ""},
		{Request{Model: "qwen"}, wire.DoctorSubject{Kind: "model", ID: 1, Name: "qwen"}, ""},
		{Request{Metric: "num_requests_running"}, wire.DoctorSubject{Kind: "metric", Name: running}, running},
		{Request{Metric: "gpustack:time_to_first_token_seconds_bucket", Instance: "qwen-0"}, wire.DoctorSubject{Kind: "instance", ID: 1, Name: "qwen-0"}, "gpustack:time_to_first_token_seconds"},
		{Request{Metric: "gpustack:generation_tokens"}, wire.DoctorSubject{Kind: "metric", Name: "gpustack:generation_tokens_total"}, "gpustack:generation_tokens_total"},
		{Request{Text: "qwen-1"}, wire.DoctorSubject{Kind: "instance", ID: 2, Name: "qwen-1"}, ""},
		{Request{Text: "gpu-2"}, wire.DoctorSubject{Kind: "worker", ID: 2, Name: "gpu-2"}, ""},
		{Request{Text: "qwen"}, wire.DoctorSubject{Kind: "model", ID: 1, Name: "qwen"}, ""},
		{Request{Text: "gpustack:gpu_driver_responsive"}, wire.DoctorSubject{Kind: "metric", Name: "gpustack:gpu_driver_responsive"}, "gpustack:gpu_driver_responsive"},
	} {
		got, err := Resolve(s, a.Mapping, c.r)
		if err != nil || got.Subject != c.want || got.Metric != c.metric {
			t.Errorf("%+v: got %+v, %v", c.r, got, err)
		}
	}
	for _, c := range []struct {
		r    Request
		is   error
		says string
	}{
		{Request{Worker: "same"}, ErrAmbiguous, "worker 3 (in cluster default), worker 4"},
		{Request{Text: "twice"}, ErrAmbiguous, "instance 7 (on worker gpu-1), instance 8 (on worker gpu-2)"},
		{Request{Instance: "qwen-00"}, ErrUnknown, `did you mean "qwen-0"?`},
		{Request{Worker: "gpu"}, ErrUnknown, "these are like it: gpu-1, gpu-2"},
		{Request{Model: "entirely-different"}, ErrUnknown, "there are: qwen"},
		{Request{Text: "GPU-2x"}, ErrUnknown, `did you mean "gpu-2"?`},
		{Request{Metric: "num_requests_run"}, ErrUnknown, "num_requests_run"},
		{Request{Text: "vllm:num_requests_running"}, ErrUnknown, "it is a native metric, so ask for what it becomes: gpustack:num_requests_running"},
		{Request{Metric: "vllm:generation_tokens_total"}, ErrUnknown, "what it becomes: gpustack:generation_tokens_total"},
		{Request{Metric: "vllm:of_ours"}, ErrUnknown, "`stackscope mapping unmapped` lists"},
		{Request{Text: "ours:foo"}, ErrUnknown, "there are: "},
		{Request{Text: strings.Repeat("x", 10_000)}, ErrUnknown, "..."},
		{Request{Text: "\x00\xff\n"}, ErrUnknown, "there is no"},
	} {
		_, err := Resolve(s, a.Mapping, c.r)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 1000 {
			t.Errorf("%.60q: got %v", c.r, err)
		}
	}
}

// What an empty inventory is asked is an error, not a panic.
func TestResolveInAnEmptyFleet(t *testing.T) {
	for _, r := range []Request{{Instance: "x"}, {Worker: "1"}, {Model: "x"}, {Text: "x"}, {Metric: "x"}} {
		if _, err := Resolve(&fleet.Snapshot{}, Mapping{}, r); !errors.Is(err, ErrUnknown) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
