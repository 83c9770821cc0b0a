package doctor

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// renamedTime bounds the search for a model of another name.
const renamedTime = 3 * time.Second

// Renamed finds the instances of a model that is not known any more, or has no instance, and had the name of the request in the last day.
func Renamed(ctx context.Context, src Sources, r Request) (Resolved, bool) {
	name := cmp.Or(r.Model, r.Text)
	if name == "" || len(name) > 512 || r.Instance != "" || r.Worker != "" || r.Metric != "" {
		return Resolved{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, renamedTime)
	defer cancel()
	if p := src.Prometheus(ctx); p.Kind == PrometheusNone || p.Err != "" {
		return Resolved{}, false
	}
	a := src.Query(ctx, "group by (model_instance_id) (last_over_time("+catalog.RuntimeScrapeSuccess.WireName()+"{"+catalog.LabelModelName+"="+quoted(name)+"}[1d:1m]))")
	out := Resolved{Subject: wire.DoctorSubject{Kind: wire.DoctorModel, Name: name}}
	s := src.Snapshot()
	for _, sample := range a.Samples {
		id, _ := strconv.ParseInt(sample.Labels[catalog.LabelModelInstanceID], 10, 64)
		if in := instance(s, id); in != nil && modelName(s, in.ModelID) != name {
			out.Renamed = append(out.Renamed, id)
		}
	}
	return out, len(out.Renamed) > 0
}

// HasNoInstance reports whether the subject is a model of which there is no instance, as after its last one took another name.
func HasNoInstance(s *fleet.Snapshot, r Resolved) bool {
	return r.Subject.Kind == wire.DoctorModel && r.Subject.ID != 0 && !slices.ContainsFunc(s.Instances, func(in fleet.Instance) bool { return in.ModelID == r.Subject.ID })
}

// quoted writes a string of PromQL.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(text, "")) + `"`
}
