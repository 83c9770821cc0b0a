package wire

import "time"

// PageEvent is the data of an event named "page" on GET /v2/workers/{id}/watch: the worker reads an engine and answers with an InstancePage.
type PageEvent struct {
	ID            string `json:"id"`
	Instance      string `json:"instance"`   // its name
	TimeoutMillis int64  `json:"timeout_ms"` // how long the server waits for the answer
}

// InstancePage answers GET /v2/model-instances/{id}/page: an instance's own metrics page and what became of it. It is also the body of
// POST /v2/workers/{id}/pages/{run}, authorised by the worker's credential.
type InstancePage struct {
	URL            string         `json:"url" maxLength:"2048" doc:"Address of the page, without credentials"`
	Runtime        string         `json:"runtime" maxLength:"64" doc:"Runtime whose mapping is used; empty: unknown"`
	RuntimeVersion string         `json:"runtime_version" maxLength:"128"`
	FetchedAt      time.Time      `json:"fetched_at" doc:"When the worker read the page, or failed to"`
	ContentType    string         `json:"content_type" maxLength:"256" doc:"As the engine sent it"`
	Bytes          int            `json:"bytes" minimum:"0" doc:"Size of the whole page"`
	Truncated      bool           `json:"truncated" doc:"The native text is cut after a line"`
	Native         string         `json:"native" maxLength:"1048576" doc:"The page as the engine sent it, at most 1 MiB. With an error, the beginning of what it sent, at most 4 KiB, which may be HTML"`
	Unified        string         `json:"unified" maxLength:"1048576" doc:"What the active mapping makes of the page, with the labels of the instance, at most 1 MiB"`
	UnifiedCut     bool           `json:"unified_truncated,omitempty" doc:"The unified text is cut after a line"`
	Metrics        []NativeReport `json:"metrics" maxItems:"10000" doc:"What became of each native metric, in the order of the page"`
	MetricsLeftOut int            `json:"metrics_left_out,omitempty" minimum:"0" doc:"Native metrics that did not fit into the list"`
	Coverage       *Coverage      `json:"coverage,omitempty" doc:"Absent if no page could be read"`
	Error          string         `json:"error" maxLength:"2048" doc:"Why the page, or a part of this answer, could not be had; empty: everything is here"`
}
