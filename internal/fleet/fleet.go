// Package fleet holds the inventory's nouns, Cluster, Worker, Model and Instance, with their states, as plain values.
package fleet

import "time"

// ClusterState is a cluster's state as GPUStack spells it.
type ClusterState string

// States of a cluster.
const (
	ClusterPending      ClusterState = "pending"
	ClusterProvisioning ClusterState = "provisioning"
	ClusterProvisioned  ClusterState = "provisioned"
	ClusterReady        ClusterState = "ready"
)

// Valid reports whether s is a state that GPUStack knows.
func (s ClusterState) Valid() bool {
	switch s {
	case ClusterPending, ClusterProvisioning, ClusterProvisioned, ClusterReady:
		return true
	}
	return false
}

// WorkerState is a worker's state as GPUStack spells it.
type WorkerState string

// States of a worker.
const (
	WorkerNotReady     WorkerState = "not_ready"
	WorkerReady        WorkerState = "ready"
	WorkerUnreachable  WorkerState = "unreachable"
	WorkerPending      WorkerState = "pending"
	WorkerProvisioning WorkerState = "provisioning"
	WorkerInitializing WorkerState = "initializing"
	WorkerDeleting     WorkerState = "deleting"
	WorkerError        WorkerState = "error"
	WorkerMaintenance  WorkerState = "maintenance"
)

// Valid reports whether s is a state that GPUStack knows.
func (s WorkerState) Valid() bool {
	switch s {
	case WorkerNotReady, WorkerReady, WorkerUnreachable, WorkerPending, WorkerProvisioning, WorkerInitializing, WorkerDeleting,
		WorkerError, WorkerMaintenance:
		return true
	}
	return false
}

// InstanceState is a model instance's state as GPUStack spells it.
type InstanceState string

// States of a model instance.
const (
	InstancePending      InstanceState = "pending"
	InstanceAnalyzing    InstanceState = "analyzing"
	InstanceScheduled    InstanceState = "scheduled"
	InstanceInitializing InstanceState = "initializing"
	InstanceDownloading  InstanceState = "downloading"
	InstanceStarting     InstanceState = "starting"
	InstanceRunning      InstanceState = "running"
	InstanceError        InstanceState = "error"
	InstanceUnreachable  InstanceState = "unreachable"
)

// Valid reports whether s is a state that GPUStack knows.
func (s InstanceState) Valid() bool {
	switch s {
	case InstancePending, InstanceAnalyzing, InstanceScheduled, InstanceInitializing, InstanceDownloading,
		InstanceStarting, InstanceRunning, InstanceError, InstanceUnreachable:
		return true
	}
	return false
}

// ProxyMode says how the server reaches a worker's metrics.
type ProxyMode string

// Proxy modes of a worker. Workers in ProxyTunnel are listed apart, to be scraped through a proxy.
const (
	ProxyDirect ProxyMode = "direct"
	ProxyTunnel ProxyMode = "tunnel"
)

// MetricsScheme says how a worker's metrics are served.
type MetricsScheme string

// Schemes of a worker's metrics.
const (
	MetricsHTTP  MetricsScheme = "" // sent as absent, or as "http"
	MetricsHTTPS MetricsScheme = "https"
)

// Unknown is the label value for a runtime, version, category or worker that nobody named.
const Unknown = "unknown"

// ProviderDocker is the provider of a cluster whose workers register themselves.
const ProviderDocker = "Docker"

// DefaultClusterName names the cluster that always exists.
const DefaultClusterName = "default"

// Cluster is a group of workers.
type Cluster struct {
	ID       int64
	Name     string
	Provider string // Docker, Kubernetes or DigitalOcean
	State    ClusterState
}

// Worker is a machine with an agent.
type Worker struct {
	ID        int64
	ClusterID int64
	// UUID is made by the agent and kept in its data directory; it tells two machines of one name apart.
	UUID string
	Name string
	// Address is the host name or IP address, without port and without brackets, under which the worker is scraped.
	Address string
	// Loopback says that Address is this machine's own, which was allowed because the worker came from here.
	Loopback    bool
	MetricsPort int // 0: the worker exports no metrics
	// MetricsScheme is how they are served.
	MetricsScheme MetricsScheme
	ProxyMode     ProxyMode
	State         WorkerState
	// StateMessage says why the worker is not ready.
	StateMessage string
	// Since is when the state began; zero: before that was kept.
	Since   time.Time
	Labels  map[string]string
	Version string
	// VersionSkew says how Version relates to the server's: empty, older, newer, too_old, too_new. It is not stored.
	VersionSkew string
	// AppliedGeneration is the mapping generation that the worker said it applies.
	AppliedGeneration int64
	RegisteredAt      time.Time
	LastReportAt      time.Time
}

// Model is what instances serve: a name within a cluster.
type Model struct {
	ID             int64
	ClusterID      int64
	Name           string
	Runtime        string // vLLM, SGLang, MindIE, ...; empty if unknown
	RuntimeVersion string
	Source         string // huggingface, model_scope, local_path; empty if unknown
	SourceKey      string
	Category       string
	// DesiredInstances is how many instances the model should have. For models that no scheduler owns it is the number of
	// instances declared.
	DesiredInstances int
	// Roles counts the instances that have a role. A model without such instances has zeros.
	Roles RoleCounts
}

// Instance is one running engine of a model on a worker.
type Instance struct {
	ID             int64
	ModelID        int64 // 0: it is not known, or it is a gateway and has none
	WorkerID       int64
	Name           string
	State          InstanceState
	StateMessage   string
	URL            string // the engine's base URL, without credentials
	Runtime        string
	RuntimeVersion string
	Role           Role   // empty: it does both prefill and decode
	Group          string // of instances that serve together in different roles; empty: it has no role
	RestartCount   int
	LastRestartAt  time.Time // zero: never
	Since          time.Time // when the state began; zero: not known
}

// Snapshot is the whole inventory at one moment. It is immutable: readers share it.
type Snapshot struct {
	At        time.Time
	Clusters  []Cluster
	Workers   []Worker
	Models    []Model
	Instances []Instance
	GPUs      []GPU // by worker
}
