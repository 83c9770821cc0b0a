package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/base/nearest"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Request is what a client asks about, by names or ids. Without any of them it asks about the fleet.
type Request struct {
	Instance, Worker, Model, Metric string
	// Text is one of them, of whatever kind.
	Text string
}

// Errors of Resolve.
var (
	ErrUnknown   = errors.New("there is no")
	ErrAmbiguous = errors.New("there are several")
)

const (
	// nearestEdits is how many edits a name may be away to be proposed, and namesShown how many are listed of those that fit.
	nearestEdits = 3
	namesShown   = 10
	nameShown    = 100 // bytes of a name that is not known
)

// Resolved is the subject of a request.
type Resolved struct {
	Subject wire.DoctorSubject
	// Metric is the sample name of the unified metric that was asked for, alone or beside another subject.
	Metric string
	// Renamed are the instances of a model that had its name in the last day.
	Renamed []int64
}

// Resolve finds the subject of a request: a text is an instance, else a worker, a model, a metric. Its errors are ErrUnknown, with the
// nearest names, and ErrAmbiguous, with all that the name may mean.
func Resolve(s *fleet.Snapshot, m Mapping, r Request) (Resolved, error) {
	var out Resolved
	if r.Metric != "" {
		name, ok := metricNamed(m, r.Metric)
		if !ok {
			if err := native(s, m, wire.DoctorMetric, r.Metric); err != nil {
				return out, err
			}
			return out, unknown(wire.DoctorMetric, r.Metric, metricNames(m))
		}
		out.Metric = name
		out.Subject = wire.DoctorSubject{Kind: wire.DoctorMetric, Name: name}
	}
	var err error
	switch {
	case r.Instance != "":
		out.Subject, err = resolveInstance(s, r)
	case r.Worker != "":
		out.Subject, err = one(wire.DoctorWorker, r.Worker, workersNamed(s, r.Worker), workerNames(s))
	case r.Model != "":
		out.Subject, err = one(wire.DoctorModel, r.Model, modelsNamed(s, r.Model), modelNames(s))
	case r.Text != "":
		return resolveText(s, m, r.Text, out)
	case r.Metric == "":
		out.Subject = wire.DoctorSubject{Kind: wire.DoctorFleet}
	}
	return out, err
}

const anySubject = "instance, worker, model or metric"

// native returns the error of a text that is the name of an engine's own metric; nil if it is none as far as is known.
func native(s *fleet.Snapshot, m Mapping, kind, text string) error {
	if m.Compiled == nil {
		return nil
	}
	type runs struct{ runtime, version string }
	seen := map[runs]bool{}
	var unified []string
	for i := range s.Instances {
		r := runs{s.Instances[i].Runtime, s.Instances[i].RuntimeVersion}
		if seen[r] {
			continue
		}
		seen[r] = true
		for _, t := range m.Compiled.Plan(r.runtime, r.version).Lookup([]byte(text)) {
			if name := m.Compiled.Families()[t.Family].WireName; !slices.Contains(unified, name) {
				unified = append(unified, name)
			}
		}
	}
	err := fmt.Errorf("%w %s %q", ErrUnknown, kind, clip.Line(text, nameShown))
	switch beginning, _, ok := strings.Cut(text, ":"); {
	case len(unified) > 0:
		return fmt.Errorf("%w; it is a native metric, so ask for what it becomes: %s", err, listed(unified))
	case ok && seenBeginning(s, m, beginning+":"):
		return fmt.Errorf("%w; it looks like a native metric, and the mapping has none of this name: `stackscope mapping unmapped` lists those of engines", err)
	}
	return nil
}

// seenBeginning reports whether native metrics of the engines begin so.
func seenBeginning(s *fleet.Snapshot, m Mapping, with string) bool {
	return slices.ContainsFunc(s.Instances, func(in fleet.Instance) bool {
		return slices.ContainsFunc(m.Compiled.Plan(in.Runtime, in.RuntimeVersion).Natives(), func(n string) bool { return strings.HasPrefix(n, with) })
	})
}

// found is something that a name may mean.
type found struct {
	wire.DoctorSubject
	where string // tells those of one name apart
}

func resolveInstance(s *fleet.Snapshot, r Request) (wire.DoctorSubject, error) {
	all := instancesNamed(s, r.Instance)
	if len(all) > 1 && r.Worker != "" {
		workers := workersNamed(s, r.Worker)
		all = slices.DeleteFunc(all, func(f found) bool {
			return !slices.ContainsFunc(workers, func(w found) bool { return workerOf(s, f.ID) == w.ID })
		})
	}
	return one(wire.DoctorInstance, r.Instance, all, instanceNames(s))
}

func resolveText(s *fleet.Snapshot, m Mapping, text string, out Resolved) (Resolved, error) {
	for _, kind := range []struct {
		name string
		all  []found
	}{
		{wire.DoctorInstance, instancesNamed(s, text)},
		{wire.DoctorWorker, workersNamed(s, text)},
		{wire.DoctorModel, modelsNamed(s, text)},
	} {
		if isID(text) && kind.name != wire.DoctorInstance {
			continue // a number is an instance's id
		}
		if len(kind.all) > 0 {
			var err error
			out.Subject, err = one(kind.name, text, kind.all, nil)
			return out, err
		}
	}
	if name, ok := metricNamed(m, text); ok {
		out.Metric = name
		out.Subject = wire.DoctorSubject{Kind: wire.DoctorMetric, Name: name}
		return out, nil
	}
	if err := native(s, m, anySubject, text); err != nil {
		return out, err
	}
	return out, unknown(anySubject, text, slices.Concat(instanceNames(s), workerNames(s), modelNames(s), metricNames(m)))
}

// one returns the only one of all.
func one(kind, text string, all []found, names []string) (wire.DoctorSubject, error) {
	switch len(all) {
	case 0:
		return wire.DoctorSubject{}, unknown(kind, text, names)
	case 1:
		return all[0].DoctorSubject, nil
	}
	var b strings.Builder
	for i, f := range all {
		if i == namesShown {
			fmt.Fprintf(&b, " and %d more", len(all)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d (%s)", f.Kind, f.ID, f.where)
	}
	return wire.DoctorSubject{}, fmt.Errorf("%w of the name %q: %s; ask for one of them by its id", ErrAmbiguous, clip.Line(text, nameShown), b.String())
}

func unknown(kind, text string, names []string) error {
	err := fmt.Errorf("%w %s %q", ErrUnknown, kind, clip.Line(text, nameShown))
	lower := make([]string, len(names))
	for i, n := range names {
		lower[i] = strings.ToLower(n)
	}
	word := strings.ToLower(text)
	if at := slices.Index(lower, nearest.Name(word, lower, min(nearestEdits, len(word)/2))); at >= 0 && names[at] != "" {
		return fmt.Errorf("%w; did you mean %q?", err, names[at])
	}
	var like []string
	for i, n := range lower {
		if word != "" && strings.Contains(n, word) && !slices.Contains(like, names[i]) {
			like = append(like, names[i])
		}
	}
	switch {
	case len(like) > 0:
		return fmt.Errorf("%w; these are like it: %s", err, listed(like))
	case kind == wire.DoctorMetric || len(names) == 0:
		return fmt.Errorf("%w; stackscope status lists instances, workers and models, docs/metrics.md the metrics", err)
	}
	names = slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(name string) bool {
		return strings.HasPrefix(name, catalog.Prefix) || strings.HasPrefix(name, "stackscope_")
	})
	if len(names) == 0 {
		return err
	}
	return fmt.Errorf("%w; there are: %s", err, listed(slices.Compact(names)))
}

func listed(names []string) string {
	if len(names) > namesShown {
		return strings.Join(names[:namesShown], ", ") + fmt.Sprintf(" and %d more", len(names)-namesShown)
	}
	return strings.Join(names, ", ")
}

func isID(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && n > 0
}

func idOf(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func instancesNamed(s *fleet.Snapshot, text string) (all []found) {
	for i := range s.Instances {
		in := &s.Instances[i]
		f := found{wire.DoctorSubject{Kind: wire.DoctorInstance, ID: in.ID, Name: in.Name}, "on worker " + workerName(s, in.WorkerID)}
		if in.Name == text {
			all = append(all, f)
		}
	}
	if len(all) == 0 && isID(text) {
		for i := range s.Instances {
			if in := &s.Instances[i]; in.ID == idOf(text) {
				return []found{{wire.DoctorSubject{Kind: wire.DoctorInstance, ID: in.ID, Name: in.Name}, ""}}
			}
		}
	}
	return all
}

func workersNamed(s *fleet.Snapshot, text string) (all []found) {
	for i := range s.Workers {
		if w := &s.Workers[i]; w.Name == text {
			all = append(all, found{wire.DoctorSubject{Kind: wire.DoctorWorker, ID: w.ID, Name: w.Name}, "in cluster " + clusterName(s, w.ClusterID)})
		}
	}
	if len(all) == 0 && isID(text) {
		if w := worker(s, idOf(text)); w != nil {
			return []found{{wire.DoctorSubject{Kind: wire.DoctorWorker, ID: w.ID, Name: w.Name}, ""}}
		}
	}
	return all
}

func modelsNamed(s *fleet.Snapshot, text string) (all []found) {
	for i := range s.Models {
		if m := &s.Models[i]; m.Name == text {
			all = append(all, found{wire.DoctorSubject{Kind: wire.DoctorModel, ID: m.ID, Name: m.Name}, "in cluster " + clusterName(s, m.ClusterID)})
		}
	}
	if len(all) == 0 && isID(text) {
		for i := range s.Models {
			if m := &s.Models[i]; m.ID == idOf(text) {
				return []found{{wire.DoctorSubject{Kind: wire.DoctorModel, ID: m.ID, Name: m.Name}, ""}}
			}
		}
	}
	return all
}

func instanceNames(s *fleet.Snapshot) (names []string) {
	for i := range s.Instances {
		names = append(names, s.Instances[i].Name)
	}
	return names
}

func workerNames(s *fleet.Snapshot) (names []string) {
	for i := range s.Workers {
		names = append(names, s.Workers[i].Name)
	}
	return names
}

func modelNames(s *fleet.Snapshot) (names []string) {
	for i := range s.Models {
		names = append(names, s.Models[i].Name)
	}
	return names
}

func worker(s *fleet.Snapshot, id int64) *fleet.Worker {
	i, ok := slices.BinarySearchFunc(s.Workers, id, func(w fleet.Worker, id int64) int { return cmp.Compare(w.ID, id) })
	if !ok {
		return nil
	}
	return &s.Workers[i]
}

func instance(s *fleet.Snapshot, id int64) *fleet.Instance {
	i, ok := slices.BinarySearchFunc(s.Instances, id, func(in fleet.Instance, id int64) int { return cmp.Compare(in.ID, id) })
	if !ok {
		return nil
	}
	return &s.Instances[i]
}

func workerOf(s *fleet.Snapshot, instanceID int64) int64 {
	if in := instance(s, instanceID); in != nil {
		return in.WorkerID
	}
	return 0
}

func workerName(s *fleet.Snapshot, id int64) string {
	if w := worker(s, id); w != nil {
		return w.Name
	}
	return fleet.Unknown
}

func clusterName(s *fleet.Snapshot, id int64) string {
	for i := range s.Clusters {
		if s.Clusters[i].ID == id {
			return s.Clusters[i].Name
		}
	}
	return ""
}

func modelName(s *fleet.Snapshot, id int64) string {
	for i := range s.Models {
		if s.Models[i].ID == id {
			return s.Models[i].Name
		}
	}
	return ""
}

// metricNamed returns the sample name of a unified metric: that of its counter or gauge, and the name itself of a histogram. The beginning
// gpustack: may be left out, and samples of a histogram may be named.
func metricNamed(m Mapping, text string) (string, bool) {
	names := metricNames(m)
	for _, t := range []string{text, catalog.Prefix + text} {
		for _, suffix := range []string{"", "_total", "_bucket", "_sum", "_count"} {
			base, ok := strings.CutSuffix(t, suffix)
			if !ok {
				continue
			}
			for _, name := range []string{t, base, base + "_total"} {
				if slices.Contains(names, name) {
					return name, true
				}
			}
		}
	}
	return "", false
}

// metricNames returns the sample names of all unified metrics.
func metricNames(m Mapping) []string {
	var names []string
	if m.Compiled != nil {
		for _, f := range m.Compiled.Families() {
			names = append(names, f.WireName)
		}
	}
	return append(names, catalog.WireNames()...)
}
