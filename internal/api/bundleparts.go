package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/bundle"
	"github.com/stackscope/stackscope/internal/doctor"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// unnamedAuthors are those of changes whose authors say no name, as adminName has them.
var unnamedAuthors = []string{"admin token", "local user"}

// bundling is a bundle that is being made.
type bundling struct {
	*bundle.Archive
	api      *API
	r        *bundle.Redactor
	snapshot *fleet.Snapshot
	begun    time.Time
	// trouble ranks workers, the worst highest: findings of the doctor, and instances that are not well.
	trouble map[int64]int
}

// writeBundle writes a bundle. The parts that need nobody come first, so that they are there whatever workers do.
func (a *API) writeBundle(ctx context.Context, w io.Writer, now time.Time) error {
	parts := &a.opts.Bundle
	snapshot := a.opts.Inventory.Snapshot()
	names := append(bundle.Names(snapshot),
		bundle.Name{Kind: bundle.Text, Text: a.opts.AdminToken}, bundle.Name{Kind: bundle.Text, Text: a.opts.WorkerToken}, bundle.Name{Kind: bundle.Text, Text: a.opts.ReadToken})
	names = append(names, parts.Names...)
	history, _, historyErr := a.opts.Mapping.History(ctx, 0, maxBundleHistory)
	for i := range history {
		if author := history[i].Author; !slices.Contains(unnamedAuthors, author) {
			names = append(names, bundle.Name{Kind: bundle.User, Text: author})
		}
	}
	b := bundling{bundle.NewArchive(w, now), a, bundle.NewRedactor(names, parts.MetricNames), snapshot, now, map[int64]int{}}
	b.Add("versions.txt", "versions of server, workers, engines and GPUs", b.r.Versions(snapshot))
	b.Add("server/settings.txt", "the server's flags and where they were given, without secrets", b.r.Settings(parts.Settings))
	if parts.Log != nil {
		b.Add("server/log.txt", "the server's last log lines", b.r.Log(parts.Log()))
	}
	if parts.Metrics != nil {
		parts.Metrics(func(page []byte) { b.metrics("server/metrics.prom", "the server's metrics", page, len(page)+1) })
	}
	b.Add("inventory.json", "clusters, workers, models, instances and GPUs", b.r.Inventory(snapshot))
	b.mapping()
	b.generations(history, historyErr)
	b.doctor(ctx)
	b.workers(ctx)
	b.pages(ctx)
	return b.Close()
}

// failed notes a part that is not there.
func (b *bundling) failed(name string, err error) { b.Omit(name, b.r.Text(err.Error())) }

func (b *bundling) json(name, what string, v any) {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		b.failed(name, err)
		return
	}
	b.Add(name, what, append(text, '\n'))
}

func (b *bundling) metrics(name, what string, page []byte, limit int) {
	text, left := b.r.Page(page, limit)
	b.Add(name, what+"; "+left.String(), text)
}

func (b *bundling) mapping() {
	current := b.api.opts.Mapping.Current()
	if current.Default {
		b.Omit("mapping.json", fmt.Sprintf("generation %d is the built-in mapping of this version", current.Number))
		return
	}
	text, err := b.r.Mapping(current.Document)
	if err != nil {
		b.failed("mapping.json", err)
		return
	}
	b.Add("mapping.json", fmt.Sprintf("the active mapping, generation %d", current.Number), text)
}

func (b *bundling) generations(history []Entry, err error) {
	const name = "generations.json"
	if err != nil {
		b.failed(name, err)
		return
	}
	list := make([]wire.Generation, len(history))
	for i := range history {
		g := &history[i]
		list[i] = wire.Generation{
			Number: g.Number, Active: g.Active, Default: g.Default, Extends: g.Extends, At: optional(g.At), RestoredFrom: g.RestoredFrom, Metrics: g.Metrics, Problem: b.r.Text(g.Problem),
		}
	}
	b.json(name, "the newest generations of the mapping, without authors and comments", list)
}

func (b *bundling) doctor(ctx context.Context) {
	const name = "doctor.json"
	d, err := b.api.Examine(ctx, doctor.Request{})
	if err != nil {
		b.failed(name, err)
		return
	}
	for i := range d.Findings {
		if f := &d.Findings[i]; f.Subject.Kind == wire.DoctorWorker {
			b.trouble[f.Subject.ID] = max(b.trouble[f.Subject.ID], slices.Index([]string{wire.FindingInfo, wire.FindingWarning, wire.FindingError}, f.Severity))
		}
	}
	b.json(name, "what the doctor found, and the ways of the samples of instances that are not well", b.r.Doctor(d))
}

// unwell reports whether an instance has a problem that it tells.
func unwell(in *fleet.Instance) bool {
	return in.State != fleet.InstanceRunning || in.StateMessage != ""
}

// each calls ask for every item, a few at a time, until the time is up, and take with the results in the order of the items.
func each[T, R any](ctx context.Context, until time.Time, items []T, ask func(context.Context, T) R, take func(T, R)) {
	ctx, cancel := context.WithDeadlineCause(ctx, until, errors.New("there was no time left for it"))
	defer cancel()
	results := make([]chan R, len(items))
	for i := range results {
		results[i] = make(chan R, 1)
	}
	places := make(chan struct{}, bundleAsked)
	var group sync.WaitGroup
	group.Go(func() {
		for i, item := range items {
			places <- struct{}{} // freed by take, so that few results are held
			group.Go(func() { results[i] <- ask(ctx, item) })
		}
	})
	for i, item := range items {
		take(item, <-results[i])
		<-places
	}
	group.Wait()
}

type workerAnswer struct {
	check *WorkerCheck
	err   error
}

func (b *bundling) workers(ctx context.Context) {
	for i := range b.snapshot.Instances {
		if in := &b.snapshot.Instances[i]; unwell(in) {
			b.trouble[in.WorkerID] = max(b.trouble[in.WorkerID], 1)
		}
	}
	connected := b.api.Connected()
	var ids []int64
	absent := 0
	for i := range b.snapshot.Workers {
		if id := b.snapshot.Workers[i].ID; slices.Contains(connected, id) {
			ids = append(ids, id)
		} else {
			absent++
		}
	}
	slices.SortStableFunc(ids, func(x, y int64) int { return cmp.Compare(b.trouble[y], b.trouble[x]) })
	if absent > 0 {
		b.Omit("workers", fmt.Sprintf("%d are not connected and cannot be asked", absent))
	}
	if left := len(ids) - maxBundleWorkers; left > 0 {
		b.Omit("workers", fmt.Sprintf("%d more are connected; %d are asked, first those with a finding or an instance that is not well", left, maxBundleWorkers))
		ids = ids[:maxBundleWorkers]
	}
	each(ctx, b.begun.Add(bundleWorkersTime), ids, func(ctx context.Context, id int64) workerAnswer {
		check, err := b.api.CheckWorker(ctx, id, true)
		return workerAnswer{check, cmp.Or(context.Cause(ctx), err)}
	}, b.worker)
}

func (b *bundling) worker(id int64, answer workerAnswer) {
	dir := fmt.Sprintf("workers/%d/", id)
	if answer.check == nil {
		b.failed(strings.TrimSuffix(dir, "/"), answer.err)
		return
	}
	c := answer.check
	middle := c.Asked.Add(c.Answered.Sub(c.Asked) / 2)
	text := fmt.Sprintf("answered in %s, its clock is %s off that of the server, give or take %s\npage: %.3f s, %d bytes, %d series\n",
		c.Answered.Sub(c.Asked).Round(time.Millisecond), c.Now.Sub(middle).Round(time.Millisecond), (c.Answered.Sub(c.Asked) / 2).Round(time.Millisecond), c.PageSeconds, c.PageBytes, c.PageSeries)
	if c.PageError != "" {
		text += "page error: " + b.r.Text(c.PageError) + "\n"
	}
	b.Add(dir+"check.txt", "what the worker says of its page and its clock", []byte(text))
	b.Add(dir+"settings.txt", "its flags and where they were given, without secrets", b.r.Settings(c.Settings))
	b.Add(dir+"log.txt", "its last log lines", b.r.Log(c.Log))
	b.metrics(dir+"metrics.prom", "its metrics about itself, its GPUs and instances", []byte(c.Own), len(c.Own)+1)
}

type pageAnswer struct {
	page *wire.InstancePage
	err  error
}

func (b *bundling) pages(ctx context.Context) {
	chosen := b.chosenInstances()
	each(ctx, b.begun.Add(bundlePagesTime), chosen, func(ctx context.Context, in *fleet.Instance) pageAnswer {
		for {
			page, err := b.api.InstancePage(ctx, in.ID)
			if cause := context.Cause(ctx); cause != nil {
				return pageAnswer{nil, cause}
			}
			if p, ok := errors.AsType[*Problem](err); !ok || p.Status != http.StatusServiceUnavailable {
				return pageAnswer{page, err}
			}
			select {
			case <-time.After(bundlePageRetry):
			case <-ctx.Done():
			}
		}
	}, b.page)
}

// chosenInstances returns those that are not well and one of each runtime and version.
func (b *bundling) chosenInstances() []*fleet.Instance {
	var chosen, well []*fleet.Instance
	seen := map[[2]string]bool{}
	for i := range b.snapshot.Instances {
		if in := &b.snapshot.Instances[i]; unwell(in) {
			chosen = append(chosen, in)
		} else if kind := [2]string{in.Runtime, in.RuntimeVersion}; !seen[kind] {
			seen[kind] = true
			well = append(well, in)
		}
	}
	// Neither takes all places: how a page looks where all is well explains the others.
	if most := max(maxBundlePages-len(well), maxBundlePages*3/4); len(chosen) > most {
		b.Omit("pages", fmt.Sprintf("%d more instances are not well", len(chosen)-most))
		chosen = chosen[:most]
	}
	if most := maxBundlePages - len(chosen); len(well) > most {
		b.Omit("pages", fmt.Sprintf("%d more runtimes and versions", len(well)-most))
		well = well[:most]
	}
	return append(chosen, well...)
}

func (b *bundling) page(in *fleet.Instance, answer pageAnswer) {
	name := fmt.Sprintf("pages/%d", in.ID)
	if answer.page == nil {
		b.failed(name, answer.err)
		return
	}
	p := answer.page
	var text bytes.Buffer
	fmt.Fprintf(&text, "instance %d on worker %d: %s %s, %s\nread at %s: %d bytes, content type %s\n", in.ID, in.WorkerID,
		cmp.Or(b.r.Label("runtime", p.Runtime), fleet.Unknown), cmp.Or(b.r.Label("version", p.RuntimeVersion), fleet.Unknown), b.r.URL(p.URL), p.FetchedAt.UTC().Format(time.RFC3339), p.Bytes, b.r.ContentType(p.ContentType))
	if p.Error != "" {
		fmt.Fprintf(&text, "error: %s\n", b.r.Text(p.Error))
	}
	if p.Coverage != nil {
		fmt.Fprintf(&text, "coverage: %d of %d metrics\n", p.Coverage.Families, p.Coverage.Of)
	}
	samples := bundle.SampleNames([]byte(p.Native))
	for i := range p.Metrics {
		b.r.NativeReport(&text, &p.Metrics[i], samples)
	}
	b.Add(name+".txt", "what became of the page of an engine", text.Bytes())
	if p.Error == "" { // else it is the beginning of something else
		b.metrics(name+".prom", "the page of an engine, its beginning", []byte(p.Native), maxBundlePage)
	}
}
