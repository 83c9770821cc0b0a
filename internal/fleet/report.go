package fleet

import (
	"errors"
	"time"
)

// Registration is what a worker says about itself when it joins.
type Registration struct {
	UUID        string
	Name        string
	Cluster     string // empty: the default cluster
	Address     string
	MetricsPort int
	// MetricsScheme may also be "http".
	MetricsScheme MetricsScheme
	ProxyMode     ProxyMode // empty: ProxyDirect
	Labels        map[string]string
	Version       string
	// Local says that the request came from this machine itself. Only then may the address be a loopback one.
	Local bool
	// Elsewhere says, where Local is false, why that is, and what to do about it on this machine.
	Elsewhere string
	// Run is made by the worker at each of its starts and tells two processes of one UUID apart; empty: it is not told.
	Run string
}

// Joined is what a worker learns when it joins.
type Joined struct {
	Worker      Worker
	ClusterName string
	// Credential authorises the worker's reports from now on. Only its hash is kept.
	Credential string
}

// Report is the whole truth about a worker at one moment.
type Report struct {
	AppliedGeneration int64
	Instances         []ReportedInstance
	GPUs              []ReportedGPU // nil: the worker does not say which it has
	// Stopping says that the worker stops: it is its last report.
	Stopping bool
}

// ReportedInstance is one engine as its worker sees it.
type ReportedInstance struct {
	Name           string // unique on the worker
	Model          string // empty: it is not known, or a gateway has none
	URL            string
	Runtime        string
	RuntimeVersion string
	State          InstanceState
	StateMessage   string
	Source         string
	SourceKey      string
	Category       string
	Role           Role
	// Group names the prefill, decode and router instances that serve together, as the operator set it.
	Group string
	// Connector is what passes the KV cache between it and instances of the other role, as the runtime names it.
	Connector string
	// Upstreams are the addresses of a router's instances, host:port with spaces between them.
	Upstreams     string
	RestartCount  int
	LastRestartAt time.Time
	// Since is when the state began; zero: not known, as from workers of older versions.
	Since time.Time
}

// ReportedIDs are the ids of a reported instance and its model.
type ReportedIDs struct {
	Name       string
	InstanceID int64
	ModelID    int64
	// Model is the name of the model of the instances to which a router passes requests; empty: not known, or it is no router.
	Model string
}

// Errors of the inventory that callers tell apart.
var (
	// ErrNameTaken: another machine of that name is reporting.
	ErrNameTaken = errors.New("worker name is taken")
	// ErrTwoWorkers: another live worker has the same identity.
	ErrTwoWorkers = errors.New("two live workers have one identity")
	// ErrNoWorker: no worker has that id, or it was removed.
	ErrNoWorker = errors.New("no such worker")
	// ErrInvalid: the registration or report breaks a rule; the error's text says which.
	ErrInvalid = errors.New("invalid")
	// ErrNotStored: what was asked for could not be stored. It may work later.
	ErrNotStored = errors.New("not stored")
	// ErrNoSpace is the cause of an ErrNotStored when the disk is full.
	ErrNoSpace = errors.New("no space is left")
	// ErrDamaged is the cause of an ErrNotStored that won't pass by itself: the database's file is damaged.
	ErrDamaged = errors.New("damaged")
)
