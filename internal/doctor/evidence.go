// Package doctor says where samples stop between an engine and a dashboard, and what to do. Run gathers the evidence from Sources,
// Examine judges it.
package doctor

import (
	"context"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// Evidence is what was seen of the subject, as plain values. A nil or empty part was not looked at.
type Evidence struct {
	Subject wire.DoctorSubject
	// Metric is the sample name of the unified metric that was asked for; empty: all.
	Metric string
	Now    time.Time
	// Version is that of the server.
	Version  string
	Snapshot *fleet.Snapshot
	// Connected has the workers with an open watch stream.
	Connected map[int64]bool
	Mapping   Mapping
	Pages     map[int64]Page  // by instance
	Checks    map[int64]Check // by worker
	// Prometheus is the one that is asked: the embedded one, or that of --prometheus-url.
	Prometheus Prometheus
	// Answers has the answers of PromQL, by the names of queries.
	Answers map[string]Answer
	Server  Server
}

// Mapping is the active metrics mapping.
type Mapping struct {
	Generation int64
	At         time.Time         // of its activation; zero: before the server was started
	Compiled   *mapping.Compiled // nil: it is not known
	Builtin    *mapping.Compiled // nil: it is the active one
}

// Page is what came of a request for an instance's page.
type Page struct {
	wire.InstancePage
	Seconds float64
	// NotRead is why nobody answered; empty: the worker answered, InstancePage.Error may say why it has no page.
	NotRead string
}

// Check is a worker's check of itself.
type Check struct {
	wire.WorkerCheck
	Asked, Answered time.Time // by the server's clock
	// NotAnswered is why there is no answer; empty: there is one.
	NotAnswered string
}

// Kinds of Prometheus.
const (
	PrometheusEmbedded = "embedded"
	PrometheusExternal = "external" // that of --prometheus-url
	PrometheusNone     = "none"     // nobody can be asked
)

// Prometheus is what is known of the Prometheus that is asked.
type Prometheus struct {
	Kind string
	URL  string // of an external one, without credentials
	// Err is why it cannot be asked; empty: it can.
	Err string
	// Targets are its targets by host:port; nil with TargetsErr: they cannot be seen.
	Targets    map[string]Scrape
	TargetsErr string
}

// Scrape is the state of a target.
type Scrape struct {
	Up       bool
	Last     time.Time // zero: it was not scraped yet
	Duration time.Duration
	Timeout  time.Duration // of a scrape; 0: not known
	Error    string
}

// Answer is an answer of PromQL, an instant vector or a scalar.
type Answer struct {
	Samples         []Sample
	Asked, Answered time.Time
	Err             string
}

// Seconds is how long the answer took.
func (a Answer) Seconds() float64 { return a.Answered.Sub(a.Asked).Seconds() }

// Sample is a sample of an instant vector.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Server is what the server knows of itself.
type Server struct {
	// Problems are those that /readyz tells, as it tells them to strangers.
	Problems []string
	// MetricsOff says that the server has no metrics port.
	MetricsOff bool
	// ExternalGrafana says that the Grafana is another one, and GrafanaPhase and GrafanaReason how the embedded one is.
	ExternalGrafana             bool
	GrafanaPhase, GrafanaReason string
	// Readers are the last programs that scrape and read service discovery. ReadersSince is since when they are remembered.
	Readers      []Reader
	ReadersSince time.Time
	Refusals     []Refusal
	Connections  []Connections
}

// Reader is a reader of service discovery.
type Reader struct {
	At    time.Time // last
	Agent string    // class of its User-Agent, such as Prometheus/3.5.0
	Path  string
}

// Classes of refusals besides the reasons of package fleet.
const (
	RefusedLimit = "too_many"
	RefusedToken = "token"
)

// Refusal are registrations that were refused.
type Refusal struct {
	At      time.Time // the last of its kind
	Class   string    // such as fleet.RefusedNameTaken or RefusedToken
	Name    string    // of the worker that wanted to join
	Detail  string    // why it was refused
	Other   string    // name of the worker that has its name or identity; empty: there is none
	OtherID int64
	From    string // of a wrong token: the kind of address, such as "a private network"
	Count   int
}

// Connections are those of a listener.
type Connections struct {
	Listener  string
	Open, Max int
}

// Sources gathers evidence. Each method returns within its context.
type Sources interface {
	Version() string
	Snapshot() *fleet.Snapshot
	// Connected returns the workers with an open watch stream.
	Connected() []int64
	Mapping() Mapping
	// Page asks an instance's worker for its page.
	Page(ctx context.Context, instanceID int64) Page
	// Check asks a worker to examine itself.
	Check(ctx context.Context, workerID int64) Check
	Prometheus(ctx context.Context) Prometheus
	// Query evaluates an expression at the present time of the Prometheus.
	Query(ctx context.Context, expr string) Answer
	Server() Server
}
