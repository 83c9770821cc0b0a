package fleet

import "time"

// Records is the inventory as it is stored.
type Records struct {
	Clusters  []Cluster
	Workers   []WorkerRecord
	Models    []ModelRecord
	Instances []InstanceRecord
	Revoked   []RevokedWorker
	GPUs      []WorkerGPUs
	// Faults says what of the stored rows could not be read.
	Faults []RowFault
}

// RowKind says of what a row is.
type RowKind string

// Kinds of rows.
const (
	RowCluster  RowKind = "cluster"
	RowWorker   RowKind = "worker"
	RowModel    RowKind = "model"
	RowInstance RowKind = "instance"
	RowRevoked  RowKind = "revoked worker"
	RowGPUs     RowKind = "GPUs of worker"
)

// RowFault is a row of the stored inventory that is damaged. One that is left out is not among the records; of another, a column
// is.
type RowFault struct {
	Kind    RowKind
	ID      int64
	Detail  string
	LeftOut bool
}

// WorkerRecord is a worker as it is stored. StateMessage is not: it follows from the rest.
type WorkerRecord struct {
	Worker
	// CredentialHash is the SHA-256 of the worker's credential.
	CredentialHash [32]byte
	// LeftAt is when the worker said that it stops; zero if it didn't, or joined again since.
	LeftAt time.Time
}

// ModelRecord is a model as it is stored. DesiredInstances is not: it follows from the instances.
type ModelRecord struct {
	Model
	// EmptySince is when the model lost its last instance; zero while it has one.
	EmptySince time.Time
}

// InstanceRecord is an instance as it is stored: its ids and what its worker last said about it.
type InstanceRecord struct {
	ID       int64
	ModelID  int64
	WorkerID int64
	Reported ReportedInstance
}

// WorkerGPUs are the GPUs of a worker as it last reported them; nil: it says nothing of them.
type WorkerGPUs struct {
	WorkerID int64
	GPUs     []ReportedGPU
}

// Heartbeat is when a worker last reported and which mapping generation it said it applies.
type Heartbeat struct {
	WorkerID          int64
	At                time.Time
	AppliedGeneration int64
}

// IDs is a number of new ids wanted of each kind, or the first of those given.
type IDs struct {
	Clusters, Workers, Models, Instances int64
}

// Changes is what one step changes in the stored inventory. Removals come first, so that a new row may take a removed
// one's name.
type Changes struct {
	RemovedInstances []int64
	RemovedModels    []int64
	RemovedWorkers   []int64
	RemovedRevoked   []int64
	// Put holds whole rows, new or to be replaced by their id.
	Put        Records
	Heartbeats []Heartbeat
}

// Empty reports whether there is nothing to store.
func (c *Changes) Empty() bool { return len(c.Heartbeats) == 0 && c.HeartbeatsAlone() }

// HeartbeatsAlone reports whether there is nothing to store but heartbeats.
func (c *Changes) HeartbeatsAlone() bool {
	return len(c.RemovedInstances)+len(c.RemovedModels)+len(c.RemovedWorkers)+len(c.RemovedRevoked)+
		len(c.Put.Clusters)+len(c.Put.Workers)+len(c.Put.Models)+len(c.Put.Instances)+len(c.Put.Revoked)+len(c.Put.GPUs) == 0
}
