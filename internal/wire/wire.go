// Package wire holds the request and response bodies of the HTTP API that workers and command-line clients speak.
package wire

import (
	"encoding/json"

	"github.com/stackscope/stackscope/internal/fleet"
)

// RegisterRequest is the body of POST /v2/workers/register, authorised by the join token.
type RegisterRequest struct {
	UUID        string `json:"uuid" minLength:"1" maxLength:"64" doc:"Identity that the worker made for itself and keeps on disk"`
	Name        string `json:"name" minLength:"1" maxLength:"253" doc:"Worker name, by default the host name"`
	Cluster     string `json:"cluster,omitempty" maxLength:"253" doc:"Cluster name; empty is the default cluster"`
	Address     string `json:"address" minLength:"1" maxLength:"253" doc:"Host name or IP address under which the worker is scraped"`
	MetricsPort int    `json:"metrics_port" minimum:"0" maximum:"65535" doc:"Port of the worker's metrics; 0 if it exports none"`
	// MetricsScheme is absent for http, so that an older server takes the request.
	MetricsScheme fleet.MetricsScheme `json:"metrics_scheme,omitempty" enum:"http,https" doc:"How the worker's metrics are served; absent: http"`
	ProxyMode     fleet.ProxyMode     `json:"proxy_mode,omitempty" enum:"direct,tunnel"`
	Labels        map[string]string   `json:"labels,omitempty"`
	Version       string              `json:"version,omitempty" maxLength:"128" doc:"Version of the worker's program"`
	Run           string              `json:"run,omitempty" maxLength:"64" doc:"Made anew at each start of the worker; tells two workers of one uuid apart"`
}

// RegisterResponse answers RegisterRequest.
type RegisterResponse struct {
	WorkerID    int64  `json:"worker_id"`
	WorkerName  string `json:"worker_name"`
	ClusterID   int64  `json:"cluster_id"`
	ClusterName string `json:"cluster_name"`
	// Credential authorises this worker's reports and its watch stream from now on.
	Credential string `json:"credential"`
	// ReportIntervalSeconds is how often the worker should report when nothing changes.
	ReportIntervalSeconds int `json:"report_interval_seconds"`
	// ServerVersion is absent from older servers.
	ServerVersion string `json:"server_version,omitempty"`
}

// ReportRequest is the body of PUT /v2/workers/{id}/report, authorised by the worker's credential. It is the whole truth
// about the worker: instances that it no longer names are gone.
type ReportRequest struct {
	AppliedGeneration int64            `json:"applied_generation" minimum:"0"`
	Instances         []InstanceReport `json:"instances"`
	GPUs              []GPUReport      `json:"gpus,omitzero" required:"false" doc:"The worker's GPUs, present and missing ones; absent: it does not say which it has"`
	Stopping          bool             `json:"stopping,omitempty" doc:"The worker stops: this is its last report until it registers again"`
}

// InstanceReport is one engine as its worker sees it.
type InstanceReport struct {
	Name  string `json:"name" minLength:"1" maxLength:"253" doc:"Instance name, unique on the worker"`
	Model string `json:"model,omitempty" maxLength:"512" doc:"Absent of a gateway, which has none, and while the model is not known"`
	URL   string `json:"url,omitempty" maxLength:"2048"`
	// Runtime is unknown, and not absent, of an engine without a model whose runtime is not known either: an older server would refuse the
	// whole report.
	Runtime        string              `json:"runtime,omitempty" maxLength:"64"`
	RuntimeVersion string              `json:"runtime_version,omitempty" maxLength:"128"`
	State          fleet.InstanceState `json:"state"`
	StateMessage   string              `json:"state_message,omitempty" maxLength:"1024"`
	Source         string              `json:"source,omitempty" maxLength:"64"`
	SourceKey      string              `json:"source_key,omitempty" maxLength:"1024"`
	Category       string              `json:"category,omitempty" maxLength:"64"`
	// Role, Group, Connector and Upstreams are absent of engines that do both prefill and decode. An older server ignores them.
	Role          fleet.Role `json:"role,omitempty" enum:"prefill,decode,router" doc:"What the instance does where prefill and decode are separate instances; absent: both"`
	Group         string     `json:"group,omitempty" maxLength:"765" doc:"Instances that serve together, as the operator named them"`
	Connector     string     `json:"connector,omitempty" maxLength:"64" doc:"What passes the KV cache between prefill and decode instances, as the runtime names it: NixlConnector, mooncake"`
	Upstreams     string     `json:"upstreams,omitempty" maxLength:"16384" doc:"Addresses of a router's instances, host:port with spaces between them"`
	RestartCount  int        `json:"restart_count" minimum:"0"`
	LastRestartAt int64      `json:"last_restart_at,omitempty" doc:"Unix seconds; 0 if it never restarted"`
	Since         int64      `json:"since,omitempty" doc:"When the state began, in Unix seconds; absent from older workers"`
}

// ReportResponse answers ReportRequest with the ids that samples are labelled with, in the order of the request.
type ReportResponse struct {
	Instances []InstanceIDs `json:"instances"`
	// ServerVersion tells a worker that the server was upgraded: it does not register again then. Older servers omit it.
	ServerVersion string `json:"server_version,omitempty"`
}

// InstanceIDs are the ids that the server gave to an instance and its model.
type InstanceIDs struct {
	Name       string `json:"name"`
	InstanceID int64  `json:"instance_id"`
	ModelID    int64  `json:"model_id,omitempty" doc:"Absent of a gateway, and while the model is not known"`
	Model      string `json:"model,omitempty" doc:"Model of the instances to which a router passes requests; absent if they are unknown, or of other instances"`
}

// MappingEvent is the data of an event named "mapping" on GET /v2/workers/{id}/watch?generation=N (server-sent events).
// The current generation is sent at once when it differs from N, then each new one. With document=SHA-256 it is sent, too, when the
// worker has another document under that generation.
type MappingEvent struct {
	Generation int64 `json:"generation"`
	// Default says that the worker's own built-in mapping is meant; Document is then absent.
	Default bool `json:"default,omitempty"`
	// Document is the effective one: it has no extends.
	Document json.RawMessage `json:"document,omitempty"`
}

// ChangedEvent is the data of an event named "changed" on GET /v2/watch (server-sent events).
type ChangedEvent struct {
	// Tag is the ETag of the inventory's lists, without quotation marks; empty: there is no inventory yet.
	Tag string `json:"tag"`
}

// MappingStatus answers POST and DELETE /v2/metrics/config.
type MappingStatus struct {
	Status     string `json:"status" doc:"ok"`
	Generation int64  `json:"generation" doc:"Active generation; 0 is the built-in default"`
	Workers    int    `json:"workers" doc:"Workers that were told over an open watch stream"`
	Unchanged  bool   `json:"unchanged,omitempty" doc:"The document was active before; no generation was added"`
	// Vanishing is what the change took away; nil of an answer to a reset of an older server.
	Vanishing *Vanishing `json:"vanishing,omitempty" doc:"What the change took away; absent if it took nothing away that is known"`
}

// Fault is one thing wrong with a mapping document.
type Fault struct {
	Pointer string `json:"pointer" doc:"JSON pointer (RFC 6901) to the place"`
	Detail  string `json:"detail" doc:"What was found and what is allowed"`
	Line    int    `json:"line,omitempty" doc:"Line of the document, from 1; absent if it is not known"`
}

// PreviewRequest is the body of POST /v2/metrics/preview.
type PreviewRequest struct {
	_        struct{}        `additionalProperties:"false"`
	Page     string          `json:"page,omitempty" doc:"A metrics page of an engine, at most 16 MiB; needed without instance"`
	Runtime  string          `json:"runtime,omitempty" maxLength:"64" doc:"The engine, as the mapping names it; needed without instance"`
	Version  string          `json:"version,omitempty" maxLength:"128" doc:"The engine's version; without one only entries for every version apply"`
	Instance int64           `json:"instance,omitempty" minimum:"1" doc:"Id of a model instance, whose live page, runtime and version are used; stands alone or with mapping"`
	Mapping  json.RawMessage `json:"mapping,omitempty" doc:"Mapping to use instead of the active one: an object, or a string with JSON or YAML"`
}

// Preview answers PreviewRequest: what would become of the page.
type Preview struct {
	Unified string `json:"unified" doc:"The unified metrics, in text 0.0.4"`
	// Page, Truncated, Runtime and Version are those of the instance that was asked for.
	Page      string         `json:"page,omitempty" doc:"The instance's page that was read; absent without instance"`
	Truncated bool           `json:"truncated,omitempty" doc:"The page is cut after a line: it has more than 1 MiB"`
	Runtime   string         `json:"runtime,omitempty" doc:"The instance's runtime; absent without instance"`
	Version   string         `json:"version,omitempty" doc:"The instance's version; absent without instance, or if it is not known"`
	Coverage  Coverage       `json:"coverage"`
	Native    []NativeReport `json:"native" doc:"The native metrics, in the order of the page"`
}

// Coverage says how many of the unified families have samples.
type Coverage struct {
	Families int `json:"families"`
	Of       int `json:"of"`
}

// NativeReport says what became of a native family.
type NativeReport struct {
	Name       string          `json:"name"`
	Type       string          `json:"type,omitempty" doc:"What the page declares"`
	Samples    int             `json:"samples"`
	Unreadable int             `json:"unreadable,omitempty" doc:"Unreadable samples of a mapped metric"`
	Outcomes   []NativeOutcome `json:"outcomes,omitempty" doc:"What the mapping makes of it; absent for an unmapped metric"`
	Why        string          `json:"why,omitempty" doc:"Why there is no outcome"`
}

// NativeOutcome is what a native family contributes to a unified one.
type NativeOutcome struct {
	Family  string `json:"family" doc:"The unified metric"`
	Samples int    `json:"samples" doc:"Samples of it that came from the native"`
	Why     string `json:"why,omitempty" doc:"Why there is none"`
}

// Version answers GET /version.
type Version struct {
	Version   string `json:"version"`
	GitCommit string `json:"git_commit"`
}
