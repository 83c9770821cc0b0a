package wire

import "time"

// Kinds of what a doctor looks at.
const (
	DoctorFleet    = "fleet"
	DoctorInstance = "instance"
	DoctorWorker   = "worker"
	DoctorModel    = "model"
	DoctorMetric   = "metric"
)

// Hops of a path, in the order in which samples travel. HopWorker stands first because the server asks the worker for those up to HopWorkerPage.
const (
	HopWorker     = "worker"      // the worker's reports and its watch stream
	HopEndpoint   = "endpoint"    // the engine's address: DNS, connection, TLS, HTTP status
	HopPage       = "page"        // what the engine's page has
	HopMapping    = "mapping"     // what the mapping makes of it
	HopWorkerPage = "worker_page" // the worker's own /metrics
	HopTarget     = "target"      // the worker among Prometheus' targets
	HopScrape     = "scrape"      // Prometheus' last scrape of it
	HopStorage    = "storage"     // series in Prometheus' TSDB
	HopDashboard  = "dashboard"   // the variables of dashboards
)

// States of a hop.
const (
	HopOK      = "ok"
	HopWarning = "warning" // works, and something is to be done
	HopBroken  = "broken"  // nothing, or not what was asked for, passes
	HopUnknown = "unknown" // could not be seen; Seen says why
)

// Severities of findings.
const (
	FindingError   = "error"
	FindingWarning = "warning"
	FindingInfo    = "info"
)

// Doctor answers GET /v2/doctor: where samples stop on their way from an engine to a dashboard, and what to do.
type Doctor struct {
	Subject   DoctorSubject `json:"subject"`
	CheckedAt time.Time     `json:"checked_at"`
	Seconds   float64       `json:"seconds" doc:"How long everything took"`
	// OK is whether there is no finding but of severity info.
	OK       bool            `json:"ok" doc:"No error and no warning was found"`
	Summary  string          `json:"summary" doc:"The most important finding, or that there is none, in a sentence"`
	Findings []DoctorFinding `json:"findings" doc:"What was found, the most severe first"`
	Paths    []DoctorPath    `json:"paths" doc:"The ways of samples that were walked"`
	// PathsLeftOut counts those that were not.
	PathsLeftOut int `json:"paths_left_out,omitempty" doc:"Ways that were not walked, because there are too many; ask for one of them"`
}

// DoctorSubject is what was asked about.
type DoctorSubject struct {
	Kind string `json:"kind" enum:"fleet,instance,worker,model,metric"`
	ID   int64  `json:"id,omitempty" doc:"Absent of a fleet and of a metric"`
	Name string `json:"name,omitempty"`
}

// DoctorPath is the way of an instance's or a worker's samples.
type DoctorPath struct {
	InstanceID   int64       `json:"model_instance_id,omitempty" doc:"Absent of the way of a worker's own metrics"`
	InstanceName string      `json:"model_instance_name,omitempty"`
	WorkerID     int64       `json:"worker_id"`
	WorkerName   string      `json:"worker_name"`
	Metric       string      `json:"metric,omitempty" doc:"The unified metric that was asked for; absent: all"`
	Hops         []DoctorHop `json:"hops" doc:"In the order of the way"`
}

// DoctorHop is one step of a way.
type DoctorHop struct {
	Hop      string   `json:"hop" enum:"worker,endpoint,page,mapping,worker_page,target,scrape,storage,dashboard"`
	State    string   `json:"state" enum:"ok,warning,broken,unknown"`
	Seen     string   `json:"seen" doc:"What was seen there, in a sentence"`
	Seconds  *float64 `json:"seconds,omitempty" doc:"How long that took; absent if it was not measured"`
	Findings []string `json:"findings,omitempty" doc:"Ids of findings at this hop"`
}

// DoctorFinding is something that is wrong, and what to do about it.
type DoctorFinding struct {
	ID       string        `json:"id" doc:"Stable name of its kind, such as engine_refused"`
	Severity string        `json:"severity" enum:"error,warning,info"`
	Subject  DoctorSubject `json:"subject" doc:"What it is about"`
	Hop      string        `json:"hop,omitempty" doc:"The first hop that it breaks; absent if it is on no way"`
	What     string        `json:"what" doc:"What is wrong, in a sentence"`
	Seen     string        `json:"seen" doc:"What shows that: an error, a value, a time"`
	Do       string        `json:"do" doc:"What to do"`
	Docs     string        `json:"docs,omitempty" doc:"Page and section of the documentation, such as discovery.md#when-an-engine-is-missing"`
}

// CheckEvent is the data of an event named "check" on GET /v2/workers/{id}/watch: the worker examines itself and answers with a WorkerCheck.
type CheckEvent struct {
	ID            string `json:"id"`
	TimeoutMillis int64  `json:"timeout_ms"` // how long the server waits for the answer
	// Log asks for the last log lines and the settings, too.
	Log bool `json:"log,omitempty"`
}

// WorkerCheck is the body of POST /v2/workers/{id}/checks/{run}, authorised by the worker's credential.
type WorkerCheck struct {
	Now         time.Time   `json:"now" doc:"The worker's clock when it answered"`
	PageSeconds float64     `json:"page_seconds" minimum:"0" doc:"How long its /metrics took to make, engines included"`
	PageBytes   int         `json:"page_bytes" minimum:"0"`
	PageSeries  int         `json:"page_series" minimum:"0"`
	PageError   string      `json:"page_error,omitempty" maxLength:"2048" doc:"Why there is no page"`
	Own         string      `json:"own" maxLength:"1048576" doc:"The worker's metrics about itself, its collectors, discovery, GPUs and instances, without those of engines, at most 1 MiB"`
	OwnCut      bool        `json:"own_truncated,omitempty" doc:"The text is cut after a line"`
	Settings    []Setting   `json:"settings,omitempty" maxItems:"1000" doc:"Only where it was asked for"`
	Log         []LogRecord `json:"log,omitempty" maxItems:"2000" doc:"The last records, the oldest first; only where it was asked for"`
}

// Setting is a flag of a program as it was started.
type Setting struct {
	Flag   string `json:"flag" maxLength:"128" doc:"Such as --metrics-port"`
	Value  string `json:"value" maxLength:"4096" doc:"Absent of a secret"`
	Secret bool   `json:"secret,omitempty" doc:"The value is a secret, which is never told"`
	Source string `json:"source" enum:"default,flag,environment,file"`
}

// LogRecord is a line of a program's log.
type LogRecord struct {
	At      time.Time `json:"at"`
	Level   string    `json:"level" maxLength:"16"`
	Message string    `json:"message" maxLength:"1024"`
	Attrs   []LogAttr `json:"attrs,omitempty" maxItems:"64"`
}

// LogAttr is a pair of a log line.
type LogAttr struct {
	Key   string `json:"key" maxLength:"128"`
	Value string `json:"value" maxLength:"4096"`
	// Kind tells values that can hold no text of others.
	Kind string `json:"kind" enum:"text,number,bool,duration,time" doc:"text may hold names and texts of others"`
}
