package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	adminToken  = "admin-secret"
	workerToken = "join-secret"
	serverUID   = 4200
)

var serverAddr = netip.MustParseAddrPort("127.0.0.1:80")

// fakeMapping is a mapping in memory.
type fakeMapping struct {
	mu   sync.Mutex
	gen  api.Generation
	gens []api.Generation // all but number 0
	subs map[chan struct{}]bool
	fail error
}

func newFakeMapping() *fakeMapping {
	m := &fakeMapping{subs: map[chan struct{}]bool{}}
	m.gen = api.Generation{Default: true, Document: m.Builtin(), Effective: m.Builtin()}
	return m
}

func (m *fakeMapping) Builtin() []byte {
	doc, err := mapping.Default().MarshalJSON()
	if err != nil {
		panic(err)
	}
	return doc
}

func (m *fakeMapping) Current() api.Generation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gen
}

func (m *fakeMapping) Check(doc *mapping.Document) ([]byte, error) { return doc.MarshalJSON() }

func (m *fakeMapping) Publish(_ context.Context, doc *mapping.Document, r api.ChangeRequest) (api.Change, error) {
	data, err := doc.MarshalJSON()
	if err != nil {
		return api.Change{}, err
	}
	return m.change(data, false, r)
}

func (m *fakeMapping) Reset(_ context.Context, r api.ChangeRequest) (api.Change, error) {
	return m.change(m.Builtin(), true, r)
}

func (m *fakeMapping) change(doc []byte, isDefault bool, r api.ChangeRequest) (api.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.fail != nil:
		return api.Change{}, m.fail
	case r.IfGeneration != api.AnyGeneration && r.IfGeneration != m.gen.Number:
		return api.Change{}, api.ErrGeneration
	case bytes.Equal(doc, m.gen.Document):
		return api.Change{Generation: m.gen.Number, Before: m.gen.Number, Workers: len(m.subs)}, nil
	}
	decoded, err := mapping.Decode(doc)
	if err != nil {
		return api.Change{}, err
	}
	effective := doc
	if decoded.Extends() != "" {
		if effective, err = decoded.Effective().MarshalJSON(); err != nil {
			return api.Change{}, err
		}
	}
	before := m.gen.Number
	m.gen = api.Generation{Number: before + 1, Default: isDefault, Document: doc, Effective: effective, At: time.Unix(1_800_000_000, 0).UTC(), Note: r.Note}
	m.gens = append(m.gens, m.gen)
	for ch := range m.subs {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
	return api.Change{Generation: m.gen.Number, Before: before, Changed: true, Workers: len(m.subs)}, nil
}

func (m *fakeMapping) History(ctx context.Context, skip, limit int) (list []api.Entry, total int, err error) {
	for number := m.Current().Number; number >= 0; number-- {
		e, err := m.Generation(ctx, number)
		if err != nil {
			return nil, 0, err
		}
		e.Document, e.Effective = nil, nil
		if total++; total > skip && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, total, nil
}

func (m *fakeMapping) Generation(_ context.Context, number int64) (api.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.fail != nil:
		return api.Entry{}, m.fail
	case number > int64(len(m.gens)):
		return api.Entry{}, api.ErrNoGeneration
	}
	e := api.Entry{Generation: api.Generation{Default: true, Document: m.Builtin()}, Active: number == m.gen.Number}
	if number > 0 {
		e.Generation = m.gens[number-1]
	}
	if doc, err := mapping.Decode(e.Document); err != nil {
		e.Problem = err.Error()
	} else if e.Extends = doc.Extends(); true {
		e.Metrics = 1
	}
	return e, nil
}

func (m *fakeMapping) Subscribe() (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ch := make(chan struct{}, 1)
	m.subs[ch] = true
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.subs, ch)
	}
}

func (m *fakeMapping) subscribers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.subs)
}

// fakeInventory knows worker 1 with the credential "cred-1", worker 2 with "cred-2", and likewise those of its snapshot.
type fakeInventory struct {
	mu         sync.Mutex
	registered fleet.Registration
	reported   fleet.Report
	removed    map[int64]bool
	fail       error
	revoked    []fleet.RevokedWorker
	snapshot   fleet.Snapshot
	subs       map[chan struct{}]bool
}

func (i *fakeInventory) Changed() (<-chan struct{}, func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.subs == nil {
		i.subs = map[chan struct{}]bool{}
	}
	ch := make(chan struct{}, 1)
	i.subs[ch] = true
	return ch, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.subs, ch)
	}
}

// change replaces the snapshot by one of the given time and tells the subscribers.
func (i *fakeInventory) change(at time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.snapshot.At = at
	for ch := range i.subs {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (i *fakeInventory) Register(_ context.Context, r fleet.Registration) (fleet.Joined, error) {
	i.registered = r
	return fleet.Joined{Worker: fleet.Worker{ID: 1, ClusterID: 1, Name: r.Name}, ClusterName: "default", Credential: "cred-1"}, i.fail
}

func (i *fakeInventory) Report(_ context.Context, id int64, r fleet.Report) ([]fleet.ReportedIDs, error) {
	if id != 1 && id != 2 {
		return nil, fleet.ErrNoWorker
	}
	i.reported = r
	var ids []fleet.ReportedIDs
	for n, in := range r.Instances {
		ids = append(ids, fleet.ReportedIDs{Name: in.Name, InstanceID: int64(n) + 10, ModelID: int64(n) + 20})
	}
	return ids, i.fail
}

func (i *fakeInventory) Authenticate(id int64, credential string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	known := id == 1 || id == 2 || slices.ContainsFunc(i.snapshot.Workers, func(w fleet.Worker) bool { return w.ID == id })
	return !i.removed[id] && known && credential == fmt.Sprint("cred-", id)
}

func (i *fakeInventory) Registered(id int64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.removed[id] && (id == 1 || id == 2)
}

func (i *fakeInventory) RemoveWorker(_ context.Context, id int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if id != 1 && id != 2 {
		return fleet.ErrNoWorker
	}
	if i.removed == nil {
		i.removed = map[int64]bool{}
	}
	i.removed[id] = true
	return i.fail
}

func (i *fakeInventory) Revoked() []fleet.RevokedWorker { return i.revoked }

func (i *fakeInventory) Allow(_ context.Context, id int64) error {
	n := slices.IndexFunc(i.revoked, func(w fleet.RevokedWorker) bool { return w.ID == id })
	switch {
	case i.fail != nil:
		return i.fail
	case n < 0:
		return fleet.ErrNoWorker
	}
	i.revoked = slices.Delete(i.revoked, n, n+1)
	return nil
}

func (i *fakeInventory) Snapshot() *fleet.Snapshot {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.snapshot
	return &s
}

type harness struct {
	*api.API
	mapping   *fakeMapping
	inventory *fakeInventory
	log       *bytes.Buffer
}

func newAPI(t *testing.T, change ...func(*api.Options)) harness {
	t.Helper()
	h := harness{mapping: newFakeMapping(), inventory: &fakeInventory{}, log: &bytes.Buffer{}}
	o := api.Options{
		Mapping: h.mapping, Inventory: h.inventory, AdminToken: adminToken, WorkerToken: workerToken,
		AdminTokenPath: "/data/admin-token", WorkerTokenPath: "/data/worker-token",
		UID: serverUID, OwnerUID: func(netip.AddrPort, netip.AddrPort) (uint32, error) { return serverUID, nil },
		Logger: slog.New(slog.NewTextHandler(io.MultiWriter(h.log, t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if h.API, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	return h
}

// request is made from another machine unless the test changes that.
func request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://gpu-head"+path, strings.NewReader(body))
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.TCPAddrFromAddrPort(serverAddr)))
	r.RemoteAddr = "192.0.2.7:1234"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func asAdmin(r *http.Request) *http.Request {
	r.Header.Set("Authorization", "Bearer "+adminToken)
	return r
}

func (h harness) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problemOf checks that the answer is a problem document with the status and returns it.
func problemOf(t *testing.T, w *httptest.ResponseRecorder, status int) api.Problem {
	t.Helper()
	var p api.Problem
	if w.Code != status || w.Header().Get("Content-Type") != "application/problem+json" || json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Status != status {
		t.Fatalf("answer %d %s, want a problem with status %d: %s", w.Code, w.Header().Get("Content-Type"), status, w.Body)
	}
	return p
}

func TestNewChecksItsOptions(t *testing.T) {
	for name, o := range map[string]api.Options{
		"no parts":  {AdminToken: "a", WorkerToken: "w"},
		"no tokens": {Mapping: newFakeMapping(), Inventory: &fakeInventory{}},
	} {
		if _, err := api.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestProbes(t *testing.T) {
	var notReady error
	h := newAPI(t, func(o *api.Options) {
		o.Ready = func() error { return notReady }
		o.DisableAnonymousViewer = true
	})
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := h.do(request("GET", path, "")); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `"ok"` {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	notReady = errors.New("the store is being opened")
	if p := problemOf(t, h.do(request("GET", "/readyz", "")), 503); !strings.Contains(p.Detail, "the store is being opened") {
		t.Errorf("readyz: %s", p.Detail)
	}
	if w := h.do(request("GET", "/healthz", "")); w.Code != 200 {
		t.Errorf("healthz while not ready: %d", w.Code)
	}
	var v map[string]string
	if w := h.do(request("GET", "/version", "")); json.Unmarshal(w.Body.Bytes(), &v) != nil || v["version"] == "" || v["git_commit"] == "" || len(v) != 2 {
		t.Errorf("version: %s", w.Body)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	h := newAPI(t)
	problemOf(t, h.do(request("GET", "/v2/nothing", "")), 404)
	problemOf(t, h.do(request("GET", "/favicon.ico", "")), 404)
	w := h.do(request("PATCH", "/v2/metrics/config", ""))
	p := problemOf(t, w, 405)
	if allow := w.Header().Get("Allow"); allow != "DELETE, GET, HEAD, POST" || !strings.Contains(p.Detail, allow) {
		t.Errorf("Allow: %q, %s", allow, p.Detail)
	}
	if w := h.do(request("HEAD", "/healthz", "")); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestMounts(t *testing.T) {
	h := newAPI(t, func(o *api.Options) {
		o.Mounts = map[string]http.Handler{"/prometheus/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "prom "+r.URL.Path)
		})}
	})
	if w := h.do(request("GET", "/prometheus/query?x=1", "")); w.Body.String() != "prom /prometheus/query" {
		t.Errorf("mount: %d %s", w.Code, w.Body)
	}
	if w := h.do(request("GET", "/prometheus?x=1", "")); w.Code/100 != 3 || w.Header().Get("Location") != "/prometheus/?x=1" {
		t.Errorf("without slash: %d, Location %q", w.Code, w.Header().Get("Location"))
	}
}

func TestOpenAPIListsEveryRoute(t *testing.T) {
	h := newAPI(t)
	w := h.do(request("GET", "/openapi.json", ""))
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]struct {
				Content map[string]any
			}
			RequestBody struct{ Content map[string]any }
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatalf("%v: %.200s", err, w.Body)
	}
	got := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			var who strings.Builder
			for _, s := range op.Security {
				for name := range s {
					who.WriteString(name + " ")
				}
			}
			got[strings.ToUpper(method)+" "+path] = strings.TrimSpace(who.String())
			if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
				t.Errorf("%s %s: no problem is documented", method, path)
			}
		}
	}
	want := map[string]string{
		"GET /v2/metrics/config":               "",
		"POST /v2/backup":                      "adminToken adminBasic",
		"POST /v2/metrics/config":              "adminToken adminBasic",
		"DELETE /v2/metrics/config":            "adminToken adminBasic",
		"GET /v2/metrics/default-config":       "",
		"POST /v2/metrics/default-config":      "",
		"GET /v2/metrics/config/schema":        "",
		"POST /v2/metrics/preview":             "",
		"POST /v2/workers/register":            "workerToken",
		"POST /v2/workers/{id}/dry-runs/{run}": "workerCredential",
		"POST /v2/workers/{id}/checks/{run}":   "workerCredential",
		"POST /v2/workers/{id}/pages/{run}":    "workerCredential",
		"GET /v2/model-instances/{id}/page":    "",
		"PUT /v2/workers/{id}/report":          "workerCredential",
		"GET /v2/workers/{id}/watch":           "workerCredential",
		"DELETE /v2/workers/{id}":              "adminToken adminBasic",
		"GET /v2/revoked-workers":              "adminToken adminBasic",
		"DELETE /v2/revoked-workers/{id}":      "adminToken adminBasic",
		"GET /v2/clusters":                     "",
		"GET /v2/workers":                      "",
		"GET /v2/models":                       "",
		"GET /v2/model-instances":              "",
		"GET /v2/gpu-devices":                  "",
		"GET /v2/doctor":                       "",
		"GET /v2/doctor/bundle":                "adminToken adminBasic",
		"GET /v2/clusters/{id}/dashboard":      "", "GET /v2/workers/{id}/dashboard": "",
		"GET /v2/metrics/config/generations":                       "",
		"GET /v2/metrics/config/generations/{generation}":          "",
		"GET /v2/metrics/config/generations/{generation}/diff":     "",
		"POST /v2/metrics/config/generations/{generation}/restore": "adminToken adminBasic",
		"GET /v2/models/{id}/dashboard":                            "", "GET /v2/model-instances/{id}/dashboard": "",
		"GET /v2/benchmarks/{id}/dashboard":     "",
		"GET /v2/cache-services/{id}/dashboard": "",
		"GET /v2/watch":                         "",
		"GET /healthz":                          "",
		"GET /readyz":                           "",
		"GET /version":                          "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	post := doc.Paths["/v2/metrics/config"]["post"]
	if len(post.RequestBody.Content) != 2 || post.Responses["422"].Content["application/problem+json"] == nil {
		t.Errorf("POST is documented as %+v", post)
	}
	for _, path := range []string{"/v2/workers/{id}/watch", "/v2/watch"} {
		if doc.Paths[path]["get"].Responses["200"].Content["text/event-stream"] == nil {
			t.Errorf("the stream %s is not documented", path)
		}
	}
	if doc.Components.Schemas["ErrorModel"] != nil || doc.Components.Schemas["Problem"] == nil {
		t.Errorf("schemas: %v", doc.Components.Schemas)
	}
}

func TestRegisterAndReport(t *testing.T) {
	h := newAPI(t)
	w := h.do(request("POST", "/v2/workers/register",
		`{"uuid":"u","name":"n","address":"::1","metrics_port":10151,"labels":{"rack":"7"},"from_a_newer_worker":{"x":[1]}}`,
		"Authorization", "bearer "+workerToken))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var joined wire.RegisterResponse
	if err := json.Unmarshal(w.Body.Bytes(), &joined); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wire.RegisterResponse{WorkerID: 1, WorkerName: "n", ClusterID: 1, ClusterName: "default", Credential: "cred-1", ReportIntervalSeconds: 10}, joined); diff != "" {
		t.Error(diff)
	}
	h.inventory.registered.Elsewhere = ""
	if diff := cmp.Diff(fleet.Registration{UUID: "u", Name: "n", Address: "::1", MetricsPort: 10151, Labels: map[string]string{"rack": "7"}}, h.inventory.registered); diff != "" {
		t.Error(diff)
	}
	w = h.do(request("PUT", "/v2/workers/1/report",
		`{"applied_generation":4,"instances":[{"name":"a","model":"m","state":"running","role":"router","group":"g","upstreams":"h:1","restart_count":2,"last_restart_at":1700000000},{"name":"b","model":"m","state":"error","restart_count":0}]}`,
		"Authorization", "Bearer cred-1"))
	if want := `{"instances":[{"name":"a","instance_id":10,"model_id":20},{"name":"b","instance_id":11,"model_id":21}]}`; w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	in := h.inventory.reported.Instances
	if h.inventory.reported.AppliedGeneration != 4 || in[0].LastRestartAt.Unix() != 1700000000 || !in[1].LastRestartAt.IsZero() || in[0].Role != fleet.RoleRouter || in[0].Group != "g" || in[0].Upstreams != "h:1" {
		t.Errorf("reported %+v", h.inventory.reported)
	}
}

func TestFaultyRequestsAreExplained(t *testing.T) {
	h := newAPI(t)
	w := h.do(request("POST", "/v2/workers/register", `{"uuid":"","name":5,"metrics_port":70000}`, "Authorization", "Bearer "+workerToken))
	p := problemOf(t, w, 422)
	pointers := map[string]bool{}
	for _, f := range p.Errors {
		pointers[f.Pointer] = f.Detail != ""
	}
	if want := map[string]bool{"/uuid": true, "/name": true, "/metrics_port": true, "": true}; !cmp.Equal(want, pointers) {
		t.Errorf("faults: %+v", p.Errors)
	}
	w = h.do(request("PUT", "/v2/workers/1/report", `{"applied_generation":0,"instances":[{"name":"","model":"m","state":"running","restart_count":0}]}`, "Authorization", "Bearer cred-1"))
	if p := problemOf(t, w, 422); len(p.Errors) != 1 || p.Errors[0].Pointer != "/instances/0/name" {
		t.Errorf("faults: %+v", p.Errors)
	}
	problemOf(t, h.do(request("POST", "/v2/workers/register", `{"uuid":`, "Authorization", "Bearer "+workerToken)), 400)
	problemOf(t, h.do(request("GET", "/v2/workers/1/watch?generation=x", "", "Authorization", "Bearer cred-1")), 422)

	for _, tt := range []struct {
		err    error
		status int
	}{{fleet.ErrRevoked, 403}, {fleet.ErrNameTaken, 409}, {fleet.ErrNoWorker, 404}, {fleet.ErrInvalid, 422}, {errors.New("secret detail"), 500}} {
		h.inventory.fail = tt.err
		p := problemOf(t, h.do(request("POST", "/v2/workers/register", `{"uuid":"u","name":"n","address":"a","metrics_port":0}`, "Authorization", "Bearer "+workerToken)), tt.status)
		if strings.Contains(p.Detail, "secret") {
			t.Errorf("a worker is told %q", p.Detail)
		}
	}
	if !strings.Contains(h.log.String(), "secret detail") {
		t.Errorf("log: %s", h.log)
	}
}

func TestInventoryReads(t *testing.T) {
	h := newAPI(t)
	for _, path := range []string{"/v2/clusters", "/v2/workers", "/v2/models", "/v2/model-instances"} {
		if w := h.do(request("GET", path, "")); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"items":[]}` {
			t.Errorf("%s of an empty inventory: %d %s", path, w.Code, w.Body)
		}
	}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	h.inventory.snapshot = fleet.Snapshot{
		Clusters: []fleet.Cluster{{ID: 1, Name: "default", Provider: "Docker", State: fleet.ClusterReady}},
		Workers:  []fleet.Worker{{ID: 2, ClusterID: 1, UUID: "machine-secret", Name: "w", Address: "10.0.0.1", MetricsPort: 10151, ProxyMode: fleet.ProxyDirect, State: fleet.WorkerReady, AppliedGeneration: 3, RegisteredAt: at}},
		Models: []fleet.Model{{ID: 3, ClusterID: 1, Name: "qwen", Runtime: "vLLM", DesiredInstances: 1}, {ID: 5, ClusterID: 1, Name: "pd", Source: "huggingface", SourceKey: "org/pd", DesiredInstances: 3, Roles: fleet.RoleCounts{
			Prefill: fleet.RoleCount{Desired: 2, Ready: 1}, Router: fleet.RoleCount{Desired: 1},
		}}},
		Instances: []fleet.Instance{
			{ID: 4, ModelID: 3, WorkerID: 2, Name: "qwen-0", State: fleet.InstanceRunning, LastRestartAt: at},
			{ID: 6, ModelID: 5, WorkerID: 2, Name: "p", State: fleet.InstanceRunning, Role: fleet.RolePrefill, Group: "pd"},
		},
	}
	for path, want := range map[string]string{
		"/v2/clusters": `{"items":[{"id":1,"name":"default","provider":"Docker","state":"ready"}]}`,
		"/v2/workers":  `{"items":[{"id":2,"cluster_id":1,"name":"w","address":"10.0.0.1","metrics_port":10151,"proxy_mode":"direct","state":"ready","labels":{},"version":"","applied_generation":3,"registered_at":"2026-11-23T10:00:00Z"}]}`,
		"/v2/models": `{"items":[{"id":3,"cluster_id":1,"name":"qwen","runtime":"vLLM","runtime_version":"","source":"","source_key":"","category":"","desired_instances":1},` +
			`{"id":5,"cluster_id":1,"name":"pd","runtime":"","runtime_version":"","source":"huggingface","source_key":"org/pd","category":"","desired_instances":3,` +
			`"roles":[{"role":"prefill","desired_instances":2,"ready_instances":1},{"role":"router","desired_instances":1,"ready_instances":0}]}]}`,
		"/v2/model-instances": `{"items":[{"id":4,"model_id":3,"worker_id":2,"name":"qwen-0","state":"running","state_message":"","url":"","runtime":"","runtime_version":"","restart_count":0,"last_restart_at":"2026-11-23T10:00:00Z"},` +
			`{"id":6,"model_id":5,"worker_id":2,"name":"p","state":"running","state_message":"","url":"","runtime":"","runtime_version":"","role":"prefill","group":"pd","restart_count":0}]}`,
	} {
		if diff := cmp.Diff(want, strings.TrimSpace(h.do(request("GET", path, "")).Body.String())); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}
