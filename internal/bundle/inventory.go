package bundle

import (
	"encoding/json"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

type inventoryFile struct {
	Clusters  []clusterRow  `json:"clusters"`
	Workers   []workerRow   `json:"workers"`
	Models    []modelRow    `json:"models"`
	Instances []instanceRow `json:"model_instances"`
	GPUs      []gpuRow      `json:"gpus"`
}

type clusterRow struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

type workerRow struct {
	ID           int64     `json:"id"`
	ClusterID    int64     `json:"cluster_id"`
	Name         string    `json:"name"`
	Address      string    `json:"address"`
	Port         int       `json:"metrics_port"`
	Scheme       string    `json:"metrics_scheme,omitempty"`
	ProxyMode    string    `json:"proxy_mode"`
	State        string    `json:"state"`
	Message      string    `json:"state_message,omitempty"`
	Since        time.Time `json:"since,omitzero"`
	Version      string    `json:"version"`
	Generation   int64     `json:"applied_generation"`
	RegisteredAt time.Time `json:"registered_at"`
	LastReportAt time.Time `json:"last_report_at,omitzero"`
	Labels       int       `json:"labels"`
}

type modelRow struct {
	ID        int64            `json:"id"`
	ClusterID int64            `json:"cluster_id"`
	Name      string           `json:"name"`
	Runtime   string           `json:"runtime"`
	Version   string           `json:"runtime_version"`
	Source    string           `json:"source"`
	Key       string           `json:"source_key"`
	Category  string           `json:"category"`
	Desired   int              `json:"desired_instances"`
	Roles     fleet.RoleCounts `json:"roles"`
}

type instanceRow struct {
	ID          int64     `json:"id"`
	ModelID     int64     `json:"model_id,omitempty"`
	WorkerID    int64     `json:"worker_id"`
	Name        string    `json:"name"`
	State       string    `json:"state"`
	Message     string    `json:"state_message,omitempty"`
	Since       time.Time `json:"since,omitzero"`
	URL         string    `json:"url"`
	Runtime     string    `json:"runtime"`
	Version     string    `json:"runtime_version"`
	Role        string    `json:"role,omitempty"`
	Group       string    `json:"group,omitempty"`
	Restarts    int       `json:"restart_count"`
	LastRestart time.Time `json:"last_restart_at,omitzero"`
}

type gpuRow struct {
	WorkerID int64  `json:"worker_id"`
	Vendor   string `json:"vendor"`
	Index    int    `json:"index"`
	Name     string `json:"name"`
	Driver   string `json:"driver_version"`
	Firmware string `json:"firmware_version"`
	Memory   int64  `json:"memory_total"`
	State    string `json:"state"`
	Message  string `json:"state_message,omitempty"`
}

// Names returns the names of the inventory, and parts of them that may stand alone.
func Names(s *fleet.Snapshot) []Name {
	var names []Name
	for i := range s.Workers {
		w := &s.Workers[i]
		names = append(names, Name{Worker, w.Name}, Name{Host, w.Address}, Name{Text, w.UUID})
		for k, v := range w.Labels {
			names = append(names, Name{Text, k}, Name{Text, v})
		}
	}
	for i := range s.Instances {
		names = append(names, Name{Instance, s.Instances[i].Name}, Name{Text, s.Instances[i].Group})
	}
	for i := range s.Models {
		names = append(names, Name{Model, s.Models[i].Name}, Name{Model, s.Models[i].SourceKey})
	}
	for i := range s.Clusters {
		names = append(names, Name{Cluster, s.Clusters[i].Name})
	}
	return names
}

// Inventory returns the inventory as JSON with names hashed.
func (r *Redactor) Inventory(s *fleet.Snapshot) []byte {
	var f inventoryFile
	for i := range s.Clusters {
		c := &s.Clusters[i]
		f.Clusters = append(f.Clusters, clusterRow{c.ID, r.Hash(Cluster, c.Name), r.Label("state", string(c.State))})
	}
	for i := range s.Workers {
		w := &s.Workers[i]
		f.Workers = append(f.Workers, workerRow{
			w.ID, w.ClusterID, r.Hash(Worker, w.Name), r.host(w.Address), w.MetricsPort, r.Label("state", string(w.MetricsScheme)), r.Label("state", string(w.ProxyMode)),
			r.Label("state", string(w.State)), r.Text(w.StateMessage), w.Since, r.build(w.Version), w.AppliedGeneration, w.RegisteredAt, w.LastReportAt, len(w.Labels),
		})
	}
	for i := range s.Models {
		m := &s.Models[i]
		f.Models = append(f.Models, modelRow{
			m.ID, m.ClusterID, r.Hash(Model, m.Name), r.Label("runtime", m.Runtime), r.Label("version", m.RuntimeVersion), r.Label("source", m.Source), r.Hash(Model, m.SourceKey),
			r.Label("category", m.Category), m.DesiredInstances, m.Roles,
		})
	}
	for i := range s.Instances {
		in := &s.Instances[i]
		url := ""
		if in.URL != "" {
			url = r.URL(in.URL)
		}
		f.Instances = append(f.Instances, instanceRow{
			in.ID, in.ModelID, in.WorkerID, r.Hash(Instance, in.Name), r.Label("state", string(in.State)), r.Text(in.StateMessage), in.Since, url,
			r.Label("runtime", in.Runtime), r.Label("version", in.RuntimeVersion), r.Label("role", string(in.Role)), r.Hash(Text, in.Group), in.RestartCount, in.LastRestartAt,
		})
	}
	for i := range s.GPUs {
		g := &s.GPUs[i]
		f.GPUs = append(f.GPUs, gpuRow{
			g.WorkerID, r.Label("vendor", g.Vendor), g.Index, r.Label("gpu_name", g.Name), r.Label("driver_version", g.Driver), r.Label("firmware_version", g.Firmware),
			g.MemoryTotal, r.Label("state", string(g.State)), r.Text(g.StateMessage),
		})
	}
	return indented(f)
}

// indented returns v as JSON with a line for each value. v holds nothing that cannot be encoded.
func indented(v any) []byte {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return []byte("{}\n")
	}
	return append(text, '\n')
}
