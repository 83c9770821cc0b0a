package wire

import (
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// List is the answer of an inventory read.
type List[T any] struct {
	Items      []T         `json:"items"`
	Pagination *Pagination `json:"pagination,omitempty" doc:"Absent where everything was asked for"`
}

// Pagination says which part of a list an answer is.
type Pagination struct {
	Page      int `json:"page"`
	PerPage   int `json:"perPage"`
	Total     int `json:"total" doc:"Items of the whole list"`
	TotalPage int `json:"totalPage" doc:"Pages of the whole list"`
}

// Cluster is an item of GET /v2/clusters.
type Cluster struct {
	ID       int64              `json:"id"`
	Name     string             `json:"name"`
	Provider string             `json:"provider"`
	State    fleet.ClusterState `json:"state"`
}

// Worker is an item of GET /v2/workers.
type Worker struct {
	ID                int64               `json:"id"`
	ClusterID         int64               `json:"cluster_id"`
	Name              string              `json:"name"`
	Address           string              `json:"address" doc:"Host name or IP address under which the worker is scraped"`
	MetricsPort       int                 `json:"metrics_port" doc:"0 if the worker exports no metrics"`
	MetricsScheme     fleet.MetricsScheme `json:"metrics_scheme,omitempty" enum:"http,https" doc:"How the worker's metrics are served; absent: http"`
	ProxyMode         fleet.ProxyMode     `json:"proxy_mode"`
	State             fleet.WorkerState   `json:"state"`
	StateMessage      string              `json:"state_message,omitempty" doc:"Why the worker is not ready"`
	Since             *time.Time          `json:"since,omitempty" doc:"When the state began; absent if it is not known"`
	Labels            map[string]string   `json:"labels"`
	Version           string              `json:"version"`
	VersionSkew       string              `json:"version_skew,omitempty" enum:"older,newer,too_old,too_new" doc:"How the version relates to the server's; too_old and too_new: by more than one minor version. Absent: the same, or one of both is not known"`
	AppliedGeneration int64               `json:"applied_generation" doc:"Generation of the metrics mapping that the worker said it applies"`
	RegisteredAt      time.Time           `json:"registered_at"`
	LastReportAt      *time.Time          `json:"last_report_at,omitempty" doc:"Absent before the first report"`
}

// Model is an item of GET /v2/models.
type Model struct {
	ID               int64       `json:"id"`
	ClusterID        int64       `json:"cluster_id"`
	Name             string      `json:"name"`
	Runtime          string      `json:"runtime"`
	RuntimeVersion   string      `json:"runtime_version"`
	Source           string      `json:"source"`
	SourceKey        string      `json:"source_key"`
	Category         string      `json:"category"`
	DesiredInstances int         `json:"desired_instances"`
	Roles            []ModelRole `json:"roles,omitempty" doc:"Its instances that have a role; absent if none has"`
}

// ModelRole counts the instances of a model that have one role.
type ModelRole struct {
	Role             fleet.Role `json:"role" enum:"prefill,decode,router"`
	DesiredInstances int        `json:"desired_instances" doc:"Known instances of the role"`
	ReadyInstances   int        `json:"ready_instances" doc:"Those that are running"`
}

// ModelInstance is an item of GET /v2/model-instances.
type ModelInstance struct {
	ID             int64               `json:"id"`
	ModelID        int64               `json:"model_id,omitempty" doc:"Absent of a gateway, which has no model, and while the model is not known"`
	WorkerID       int64               `json:"worker_id"`
	Name           string              `json:"name"`
	State          fleet.InstanceState `json:"state"`
	StateMessage   string              `json:"state_message" doc:"Why it is not running, or what is wrong with it, and what to do"`
	Since          *time.Time          `json:"since,omitempty" doc:"When the state began; absent if it is not known"`
	URL            string              `json:"url"`
	Runtime        string              `json:"runtime"`
	RuntimeVersion string              `json:"runtime_version"`
	Role           fleet.Role          `json:"role,omitempty" enum:"prefill,decode,router" doc:"What it does where prefill and decode are separate instances; absent: both"`
	Group          string              `json:"group,omitempty" doc:"Instances of one group serve together; absent without a role"`
	RestartCount   int                 `json:"restart_count"`
	LastRestartAt  *time.Time          `json:"last_restart_at,omitempty" doc:"Absent if it never restarted"`
}
