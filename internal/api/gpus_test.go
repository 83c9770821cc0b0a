package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func TestGPUDevices(t *testing.T) {
	h := newAPI(t)
	if w := h.do(request("GET", "/v2/gpu-devices", "")); w.Code != 200 || w.Body.String() != "{\"items\":[]}\n" {
		t.Errorf("without GPUs: %d %s", w.Code, w.Body)
	}
	h.inventory.snapshot = fleet.Snapshot{At: time.Unix(1, 0), GPUs: []fleet.GPU{
		{
			ReportedGPU: fleet.ReportedGPU{
				Vendor: "nvidia", Index: 1, Name: "H200", UUID: "GPU-1", PCI: "0000:3b:00.0", MemoryTotal: 141 << 30, Driver: "570.1", Firmware: "96",
				State: fleet.GPUPresent, Action: "reset", ActionReason: "xid 79", InstancesKnown: true, Instances: "a",
			}, ID: "1:nvidia:1", WorkerID: 1, WorkerName: "one", ClusterID: 3, Holders: []fleet.GPUHolder{{ID: 7, Name: "a"}},
		},
		{ReportedGPU: fleet.ReportedGPU{Vendor: "amd", State: fleet.GPUMissing, StateMessage: "gone"}, ID: "1:amd:0", WorkerID: 1},
		{ReportedGPU: fleet.ReportedGPU{Vendor: "amd", Index: 1, State: fleet.GPUPresent, InstancesKnown: true}, ID: "1:amd:1", WorkerID: 1},
	}}
	w := h.do(request("GET", "/v2/gpu-devices?page=1&perPage=2", ""))
	var list wire.List[wire.GPUDevice]
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := wire.List[wire.GPUDevice]{Pagination: &wire.Pagination{Page: 1, PerPage: 2, Total: 3, TotalPage: 2}, Items: []wire.GPUDevice{
		{
			ID: "1:nvidia:1", ClusterID: 3, WorkerID: 1, WorkerName: "one", Vendor: "nvidia", Index: 1, Name: "H200", UUID: "GPU-1", PCI: "0000:3b:00.0",
			Memory: &wire.GPUMemory{Total: 141 << 30}, Driver: "570.1", Firmware: "96", State: fleet.GPUPresent, Action: "reset", ActionReason: "xid 79",
			Users: []wire.GPUUser{{ID: 7, Name: "a"}},
		},
		{ID: "1:amd:0", WorkerID: 1, Vendor: "amd", State: fleet.GPUMissing, StateMessage: "gone"},
	}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w = h.do(request("GET", "/v2/gpu-devices", ""))
	list = wire.List[wire.GPUDevice]{}
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Items) != 3 || list.Items[1].Users != nil || list.Items[2].Users == nil {
		t.Errorf("a GPU that nobody uses, and one of which that is not known: %s", w.Body)
	}
	if again := h.do(request("GET", "/v2/gpu-devices", "", "If-None-Match", w.Header().Get("ETag"))); again.Code != 304 {
		t.Errorf("unchanged: %d", again.Code)
	}
}

// What a report says of GPUs is passed on; a report of an older worker says nothing.
func TestReportedGPUs(t *testing.T) {
	h := newAPI(t)
	report := func(body string) int {
		return h.do(request("PUT", "/v2/workers/1/report", body, "Authorization", "Bearer cred-1", "Content-Type", "application/json")).Code
	}
	if code := report(`{"applied_generation":0,"instances":[]}`); code != 200 || h.inventory.reported.GPUs != nil {
		t.Errorf("%d %+v", code, h.inventory.reported.GPUs)
	}
	if code := report(`{"applied_generation":0,"instances":[],"gpus":[]}`); code != 200 || h.inventory.reported.GPUs == nil {
		t.Errorf("%d %+v", code, h.inventory.reported.GPUs)
	}
	code := report(`{"applied_generation":0,"instances":[],"gpus":[{"vendor":"nvidia","index":3,"chip_index":1,"name":"H200","uuid":"u","pci_address":"p","memory_total":5,
		"driver_version":"d","firmware_version":"f","state":"missing","state_message":"gone","recommended_action":"reboot","action_reason":"lost","instances":["a","b"],"new":1},
		{"vendor":"amd","index":0,"state":"present"},{"vendor":"amd","index":1,"state":"present","instances":[]}]}`)
	want := []fleet.ReportedGPU{
		{
			Vendor: "nvidia", Index: 3, Chip: 1, Name: "H200", UUID: "u", PCI: "p", MemoryTotal: 5, Driver: "d", Firmware: "f", State: fleet.GPUMissing, StateMessage: "gone",
			Action: "reboot", ActionReason: "lost", Instances: "a\nb", InstancesKnown: true,
		},
		{Vendor: "amd", State: fleet.GPUPresent},
		{Vendor: "amd", Index: 1, State: fleet.GPUPresent, InstancesKnown: true},
	}
	if diff := cmp.Diff(want, h.inventory.reported.GPUs); diff != "" || code != 200 {
		t.Errorf("%d (-want +got):\n%s", code, diff)
	}
	if code := report(`{"applied_generation":0,"instances":[],"gpus":[{"vendor":"nvidia","index":3,"state":"fine"}]}`); code != 422 {
		t.Errorf("a state that is none: %d", code)
	}
}
