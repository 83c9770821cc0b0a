package wire

import "encoding/json"

// DryRunEvent is the data of an event named "dry-run" on GET /v2/workers/{id}/watch: the worker says what the mapping would
// change, and changes nothing. It answers with a DryRunResult.
type DryRunEvent struct {
	ID            string `json:"id"`
	TimeoutMillis int64  `json:"timeout_ms"` // how long the server waits for the answer
	MaxBytes      int    `json:"max_bytes"`  // of the lists in the answer, about
	// Default says that the worker's own built-in mapping is meant; Document is then absent.
	Default  bool            `json:"default,omitempty"`
	Document json.RawMessage `json:"document,omitempty"`
}

// DryRunResult is the body of POST /v2/workers/{id}/dry-runs/{run}, authorised by the worker's credential.
type DryRunResult struct {
	Generation int64            `json:"generation" minimum:"0" doc:"Generation of the mapping that is active on the worker, with which the other one is compared"`
	Error      string           `json:"error,omitempty" maxLength:"2048" doc:"Why the worker tried nothing"`
	Instances  []InstanceDryRun `json:"instances" maxItems:"1024"`
}

// MappingDryRun answers POST and DELETE /v2/metrics/config?dry_run=1.
type MappingDryRun struct {
	Status     string         `json:"status" doc:"dry run"`
	Generation int64          `json:"generation" doc:"Active generation, which has not changed"`
	Unchanged  bool           `json:"unchanged,omitempty" doc:"The document is the active one"`
	Added      int            `json:"added" doc:"Series that would appear, of all instances that could be tried"`
	Removed    int            `json:"removed" doc:"Series that would vanish"`
	Changed    int            `json:"changed" doc:"Series whose value would change"`
	Workers    []WorkerDryRun `json:"workers"`
	Vanishing  *Vanishing     `json:"vanishing,omitempty" doc:"What the document would take away; absent if it would take nothing away that is known"`
}

// States of a WorkerDryRun.
const (
	DryRunAnswered     = "answered"
	DryRunFailed       = "failed"
	DryRunUnanswered   = "unanswered"
	DryRunNotConnected = "not_connected"
)

// WorkerDryRun is what a worker said, or that it said nothing.
type WorkerDryRun struct {
	WorkerID   int64            `json:"worker_id"`
	WorkerName string           `json:"worker_name"`
	State      string           `json:"state" enum:"answered,failed,unanswered,not_connected"`
	Detail     string           `json:"detail,omitempty" doc:"Why there are no instances"`
	Generation *int64           `json:"generation,omitempty" doc:"Active generation on the worker; absent without an answer"`
	Instances  []InstanceDryRun `json:"instances"`
}

// InstanceDryRun is what would change for an instance. Counts are exact; of the lists, each says how much is left out.
type InstanceDryRun struct {
	Name            string         `json:"name" maxLength:"253"`
	Runtime         string         `json:"runtime,omitempty" maxLength:"64"`
	RuntimeVersion  string         `json:"runtime_version,omitempty" maxLength:"128"`
	Error           string         `json:"error,omitempty" maxLength:"2048" doc:"Why its page could not be had; nothing else is then known"`
	Before          *DryRunPage    `json:"before,omitempty" doc:"Its page under the active mapping"`
	After           *DryRunPage    `json:"after,omitempty" doc:"The same page under the other one"`
	Added           int            `json:"added" minimum:"0" doc:"Series that would appear"`
	Removed         int            `json:"removed" minimum:"0" doc:"Series that would vanish"`
	Changed         int            `json:"changed" minimum:"0" doc:"Series whose value would change"`
	Families        []FamilyDryRun `json:"families,omitempty" doc:"Unified metrics in which something would change, by name"`
	FamiliesLeftOut int            `json:"families_left_out,omitempty" minimum:"0"`
	Series          []SeriesDryRun `json:"series,omitempty" doc:"The first 200 that would appear, vanish or change, sorted"`
	SeriesLeftOut   int            `json:"series_left_out,omitempty" minimum:"0"`
}

// DryRunPage is an engine's page under a mapping.
type DryRunPage struct {
	Coverage    Coverage `json:"coverage" doc:"Families of those that count for coverage which have samples"`
	Series      int      `json:"series" minimum:"0"`
	ParseErrors int      `json:"parse_errors,omitempty" minimum:"0" doc:"Lines of mapped metrics that cannot be read"`
}

// FamilyDryRun is what would change in a unified family.
type FamilyDryRun struct {
	Name    string      `json:"name" doc:"As on the page"`
	Added   int         `json:"added,omitempty" minimum:"0"`
	Removed int         `json:"removed,omitempty" minimum:"0"`
	Changed int         `json:"changed,omitempty" minimum:"0"`
	Type    *TextChange `json:"type,omitempty"`
	Help    *TextChange `json:"help,omitempty"`
}

// TextChange is a text before and after.
type TextChange struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// SeriesDryRun is a series that would appear, vanish or change.
type SeriesDryRun struct {
	Series string  `json:"series" doc:"Name and labels"`
	Before *string `json:"before,omitempty" doc:"Its value; absent: it would appear"`
	After  *string `json:"after,omitempty" doc:"Its value; absent: it would vanish"`
}
