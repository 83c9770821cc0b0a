package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// manyWorkers is an inventory of workers with the ids 1 to n.
type manyWorkers struct {
	*fakeInventory
	shared atomic.Pointer[fleet.Snapshot]
}

func newManyWorkers(n int) *manyWorkers {
	m := &manyWorkers{fakeInventory: new(fakeInventory)}
	s := &fleet.Snapshot{At: time.Unix(1, 0)}
	for i := range n {
		s.Workers = append(s.Workers, fleet.Worker{ID: int64(i + 1), Name: fmt.Sprint("<w", i+1, ">"), Labels: map[string]string{"b": "&", "a": "\u2028"}})
	}
	m.shared.Store(s)
	return m
}

func (m *manyWorkers) Snapshot() *fleet.Snapshot { return m.shared.Load() }

func TestListIsOneEncoding(t *testing.T) {
	m := newManyWorkers(3)
	h := newAPI(t, func(o *api.Options) { o.Inventory = m })
	w := h.do(request("GET", "/v2/workers", ""))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("ETag") == "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	var list wire.List[wire.Worker]
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Items) != 3 {
		t.Fatalf("%d items, %v", len(list.Items), err)
	}
	var whole strings.Builder // as one value, it is encoded alike
	enc := json.NewEncoder(&whole)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole.String(), w.Body.String()); diff != "" {
		t.Error(diff)
	}
	if again := h.do(request("GET", "/v2/workers", "", "If-None-Match", w.Header().Get("ETag"))); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("unchanged: %d %s", again.Code, again.Body)
	}
	next := *m.shared.Load()
	next.At, next.Workers = next.At.Add(time.Nanosecond), next.Workers[:1]
	m.shared.Store(&next)
	again := h.do(request("GET", "/v2/workers", "", "If-None-Match", w.Header().Get("ETag")))
	if err := json.Unmarshal(again.Body.Bytes(), &list); err != nil || again.Code != 200 || len(list.Items) != 1 {
		t.Errorf("after a change: %d, %d items, %v", again.Code, len(list.Items), err)
	}
}

func TestListsHavePages(t *testing.T) {
	m := newManyWorkers(250)
	h := newAPI(t, func(o *api.Options) { o.Inventory = m })
	for query, want := range map[string]struct {
		first, items int64
		pagination   *wire.Pagination
	}{
		"":                                     {1, 250, nil},
		"page=-1":                              {1, 250, nil},
		"page=-1&perPage=10":                   {1, 250, nil},
		"page=1":                               {1, 100, &wire.Pagination{Page: 1, PerPage: 100, Total: 250, TotalPage: 3}},
		"page=3":                               {201, 50, &wire.Pagination{Page: 3, PerPage: 100, Total: 250, TotalPage: 3}},
		"page=4":                               {0, 0, &wire.Pagination{Page: 4, PerPage: 100, Total: 250, TotalPage: 3}},
		"perPage=7":                            {1, 7, &wire.Pagination{Page: 1, PerPage: 7, Total: 250, TotalPage: 36}},
		"page=2&perPage=7":                     {8, 7, &wire.Pagination{Page: 2, PerPage: 7, Total: 250, TotalPage: 36}},
		"page=9223372036854775807&perPage=100": {0, 0, &wire.Pagination{Page: 9223372036854775807, PerPage: 100, Total: 250, TotalPage: 3}},
	} {
		w := h.do(request("GET", "/v2/workers?"+query, ""))
		var list wire.List[wire.Worker]
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 || list.Items == nil {
			t.Errorf("%s: %d %v %.200s", query, w.Code, err, w.Body)
			continue
		}
		if diff := cmp.Diff(want.pagination, list.Pagination); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
		if int64(len(list.Items)) != want.items || want.items > 0 && list.Items[0].ID != want.first {
			t.Errorf("%s: %d items, want %d from %d", query, len(list.Items), want.items, want.first)
		}
	}
	for _, query := range []string{"page=0", "page=-2", "page=x", "page=1.5", "perPage=0", "perPage=101", "perPage=-1", "page=1&perPage=x", "page=99999999999999999999"} {
		p := problemOf(t, h.do(request("GET", "/v2/workers?"+query, "")), http.StatusUnprocessableEntity)
		if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Detail, "allowed are 1") {
			t.Errorf("%s: %+v", query, p)
		}
	}
	for _, path := range []string{"/v2/clusters", "/v2/models", "/v2/model-instances"} {
		if w := h.do(request("GET", path+"?page=1&perPage=5", "")); strings.TrimSpace(w.Body.String()) != `{"items":[],"pagination":{"page":1,"perPage":5,"total":0,"totalPage":0}}` {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
