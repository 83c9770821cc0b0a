package wire

import "github.com/stackscope/stackscope/internal/fleet"

// GPUReport is one GPU, or one chip of a board with several, as its worker sees it. What changes with every reading is in the metrics.
type GPUReport struct {
	Vendor      string         `json:"vendor" minLength:"1" maxLength:"64"`
	Index       int            `json:"index" minimum:"0" doc:"As the vendor's own tool shows it"`
	Chip        int            `json:"chip_index,omitempty" minimum:"0" doc:"On its board"`
	Name        string         `json:"name,omitempty" maxLength:"128"`
	UUID        string         `json:"uuid,omitempty" maxLength:"128" doc:"Or serial number"`
	PCI         string         `json:"pci_address,omitempty" maxLength:"128"`
	MemoryTotal int64          `json:"memory_total,omitempty" minimum:"0" doc:"Bytes"`
	Driver      string         `json:"driver_version,omitempty" maxLength:"128"`
	Firmware    string         `json:"firmware_version,omitempty" maxLength:"128"`
	State       fleet.GPUState `json:"state" enum:"present,missing"`
	Message     string         `json:"state_message,omitempty" maxLength:"1024" doc:"Why it is missing"`
	Action      string         `json:"recommended_action,omitempty" maxLength:"64"`
	Reason      string         `json:"action_reason,omitempty" maxLength:"1024"`
	Instances   []string       `json:"instances,omitzero" required:"false" maxItems:"64" doc:"Names of the instances whose processes use it; absent: not known"`
}

// GPUDevice is an item of GET /v2/gpu-devices.
type GPUDevice struct {
	ID           string         `json:"id" doc:"WORKER:VENDOR:INDEX with the id of the worker, and :CHIP of boards with several chips"`
	ClusterID    int64          `json:"cluster_id"`
	WorkerID     int64          `json:"worker_id"`
	WorkerName   string         `json:"worker_name"`
	Vendor       string         `json:"vendor"`
	Index        int            `json:"index" doc:"As the vendor's own tool shows it"`
	Chip         int            `json:"chip_index" doc:"On its board; 0 on boards with one chip"`
	Name         string         `json:"name"`
	UUID         string         `json:"uuid,omitempty" doc:"Or serial number"`
	PCI          string         `json:"pci_address,omitempty"`
	Memory       *GPUMemory     `json:"memory,omitempty" doc:"Absent if it is not known"`
	Driver       string         `json:"driver_version,omitempty"`
	Firmware     string         `json:"firmware_version,omitempty"`
	State        fleet.GPUState `json:"state" enum:"present,missing,unreachable" doc:"missing: it is expected and cannot be read; unreachable: its worker does not report"`
	StateMessage string         `json:"state_message,omitempty" doc:"Why it is not present"`
	Action       string         `json:"recommended_action,omitempty" doc:"As in gpustack:gpu_recommended_action; absent: none"`
	ActionReason string         `json:"action_reason,omitempty"`
	Users        []GPUUser      `json:"users,omitzero" doc:"Instances whose processes use it; absent if its driver does not list processes"`
}

// GPUMemory is the memory of a GPU.
type GPUMemory struct {
	Total int64 `json:"total" doc:"Bytes"`
}

// GPUUser is an instance whose processes use a GPU.
type GPUUser struct {
	ID   int64  `json:"model_instance_id"`
	Name string `json:"model_instance_name"`
}
