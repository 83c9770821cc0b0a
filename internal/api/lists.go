package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of the inventory's lists.
const (
	// maxListHold bounds the lists in memory, except for the newest one, and maxListReaders their readers.
	maxListHold    = 96 << 20
	maxListReaders = 512
	// Pages of a list.
	defaultPerPage = 100
	maxPerPage     = 100
	allPages       = -1
)

func (a *API) registerLists(h huma.API, tag string) {
	registerList(a, h, "list-clusters", "/v2/clusters", tag, "Clusters", func(s *fleet.Snapshot) []fleet.Cluster { return s.Clusters }, wireCluster)
	registerList(a, h, "list-workers", "/v2/workers", tag, "Workers", func(s *fleet.Snapshot) []fleet.Worker { return s.Workers }, wireWorker)
	registerList(a, h, "list-models", "/v2/models", tag, "Models", func(s *fleet.Snapshot) []fleet.Model { return s.Models }, wireModel)
	registerList(a, h, "list-model-instances", "/v2/model-instances", tag, "Model instances", func(s *fleet.Snapshot) []fleet.Instance { return s.Instances }, wireInstance)
	registerList(a, h, "list-gpu-devices", "/v2/gpu-devices", tag, "GPUs", func(s *fleet.Snapshot) []fleet.GPU { return s.GPUs }, wireGPU)
}

// registerList adds a list of the inventory. The whole list is encoded once for each snapshot and shared by all clients.
func registerList[F, T any](a *API, h huma.API, id, path, tag, summary string, of func(*fleet.Snapshot) []F, convert func(*F) T) {
	whole := answer.NewSource(answer.SourceOptions[*fleet.Snapshot]{
		Store: a.answers, ContentType: "application/json", Current: a.opts.Inventory.Snapshot, Tag: snapshotTag,
		Make: func(s *fleet.Snapshot, w io.Writer) error { return writeList(w, of(s), convert, nil) },
	})
	register(a, h, route{
		id: id, method: "GET", path: path, access: viewer, tag: tag, summary: summary,
		description: "Everything, unless page or perPage is given.",
		errors:      []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, func(_ context.Context, in *pageQuery) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			if !in.paged {
				whole.ServeHTTP(w, r)
				return
			}
			items := of(a.opts.Inventory.Snapshot())
			page, at := in.slice(len(items))
			w.Header().Set("Content-Type", "application/json")
			if err := writeList(w, items[at.from:at.to], convert, &page); err != nil {
				a.logger.Debug("answer not delivered", "error", err)
			}
		}}, nil
	})
	h.OpenAPI().Paths[path].Get.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		"application/json": {Schema: h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.List[T]](), true, "")},
	}}
}

// snapshotTag is the ETag of the lists of a snapshot.
func snapshotTag(s *fleet.Snapshot) string {
	if s.At.IsZero() {
		return ""
	}
	return strconv.Quote(strconv.FormatInt(s.At.UnixNano(), 36))
}

// writeList writes a wire.List item by item, so that it is not in memory twice.
func writeList[F, T any](w io.Writer, from []F, convert func(*F) T, page *wire.Pagination) error {
	b := bufio.NewWriterSize(w, 16<<10)
	enc := json.NewEncoder(cutNewline{b})
	enc.SetEscapeHTML(false)
	_, _ = b.WriteString(`{"items":[`) // Flush returns an error of this write, too
	for i := range from {
		if i > 0 {
			_ = b.WriteByte(',')
		}
		if err := enc.Encode(convert(&from[i])); err != nil {
			return err
		}
	}
	_ = b.WriteByte(']')
	if page != nil {
		_, _ = b.WriteString(`,"pagination":`)
		if err := enc.Encode(page); err != nil {
			return err
		}
	}
	_, _ = b.WriteString("}\n")
	return b.Flush()
}

// cutNewline drops the newline that json.Encoder adds to a value.
type cutNewline struct{ w io.Writer }

func (c cutNewline) Write(p []byte) (int, error) {
	n, err := c.w.Write(p[:len(p)-1])
	if err == nil {
		n++
	}
	return n, err
}

// pageQuery has the query parameters for a part of a list.
type pageQuery struct {
	Page    string `query:"page" doc:"Number of a page, from 1; -1 for everything, which is what there is without it"`
	PerPage string `query:"perPage" doc:"Items of a page, 1 to 100; 100 by default"`

	paged         bool
	page, perPage int
}

// Resolve reads the parameters.
func (q *pageQuery) Resolve(huma.Context) []error {
	q.page, q.perPage = 1, defaultPerPage
	var errs []error
	if q.Page != "" {
		n, err := strconv.Atoi(q.Page)
		if err != nil || n != allPages && n < 1 {
			errs = append(errs, &huma.ErrorDetail{Location: "query.page", Message: fmt.Sprintf("found %.40q, allowed are 1 and above, and %d for everything", q.Page, allPages)})
		}
		q.page = n
	}
	if q.PerPage != "" {
		n, err := strconv.Atoi(q.PerPage)
		if err != nil || n < 1 || n > maxPerPage {
			errs = append(errs, &huma.ErrorDetail{Location: "query.perPage", Message: fmt.Sprintf("found %.40q, allowed are 1 to %d", q.PerPage, maxPerPage)})
		}
		q.perPage = n
	}
	q.paged = (q.Page != "" || q.PerPage != "") && q.page != allPages
	return errs
}

type itemRange struct{ from, to int }

// slice returns the requested page of a list with total items. A page beyond the last one is empty.
func (q *pageQuery) slice(total int) (wire.Pagination, itemRange) {
	pages := (total + q.perPage - 1) / q.perPage
	at := itemRange{total, total}
	if q.page <= pages {
		at.from = (q.page - 1) * q.perPage
		at.to = min(at.from+q.perPage, total)
	}
	return wire.Pagination{Page: q.page, PerPage: q.perPage, Total: total, TotalPage: pages}, at
}

func wireCluster(c *fleet.Cluster) wire.Cluster {
	return wire.Cluster{ID: c.ID, Name: c.Name, Provider: c.Provider, State: c.State}
}

func wireWorker(w *fleet.Worker) wire.Worker {
	return wire.Worker{
		ID: w.ID, ClusterID: w.ClusterID, Name: w.Name, Address: w.Address, MetricsPort: w.MetricsPort, MetricsScheme: w.MetricsScheme, ProxyMode: w.ProxyMode,
		State: w.State, StateMessage: w.StateMessage, Since: optional(w.Since), Labels: orEmpty(w.Labels), Version: w.Version, VersionSkew: w.VersionSkew, AppliedGeneration: w.AppliedGeneration,
		RegisteredAt: w.RegisteredAt, LastReportAt: optional(w.LastReportAt),
	}
}

func wireModel(m *fleet.Model) wire.Model {
	out := wire.Model{
		ID: m.ID, ClusterID: m.ClusterID, Name: m.Name, Runtime: m.Runtime, RuntimeVersion: m.RuntimeVersion,
		Source: m.Source, SourceKey: m.SourceKey, Category: m.Category, DesiredInstances: m.DesiredInstances,
	}
	for _, role := range fleet.Roles() {
		if n := m.Roles.Of(role); n.Desired > 0 {
			out.Roles = append(out.Roles, wire.ModelRole{Role: role, DesiredInstances: n.Desired, ReadyInstances: n.Ready})
		}
	}
	return out
}

func wireInstance(i *fleet.Instance) wire.ModelInstance {
	return wire.ModelInstance{
		ID: i.ID, ModelID: i.ModelID, WorkerID: i.WorkerID, Name: i.Name, State: i.State, StateMessage: i.StateMessage, Since: optional(i.Since), URL: i.URL,
		Runtime: i.Runtime, RuntimeVersion: i.RuntimeVersion, Role: i.Role, Group: i.Group, RestartCount: i.RestartCount, LastRestartAt: optional(i.LastRestartAt),
	}
}
