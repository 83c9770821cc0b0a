package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func TestWorkersThatAreKeptOut(t *testing.T) {
	h := newAPI(t)
	asAdmin := func(method, path string) *http.Request {
		return request(method, path, "", "Authorization", "Bearer "+adminToken)
	}
	if w := h.do(asAdmin("GET", "/v2/revoked-workers")); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"items":[]}` {
		t.Errorf("none: %d %s", w.Code, w.Body)
	}
	at := time.Date(2026, 11, 30, 1, 2, 3, 4e6, time.UTC)
	h.inventory.revoked = []fleet.RevokedWorker{
		{ID: 3, UUID: "secret-uuid", Name: "<a>", Cluster: "lab", Address: "10.0.0.3", RevokedAt: at},
		{ID: 7, UUID: "secret-uuid-too", Name: "b", Cluster: "default", Address: "10.0.0.7", RevokedAt: at},
	}
	want := []wire.RevokedWorker{
		{ID: 3, Name: "<a>", ClusterName: "lab", Address: "10.0.0.3", RevokedAt: at},
		{ID: 7, Name: "b", ClusterName: "default", Address: "10.0.0.7", RevokedAt: at},
	}
	for query, want := range map[string]wire.List[wire.RevokedWorker]{
		"":                    {Items: want},
		"?page=2&perPage=1":   {Items: want[1:], Pagination: &wire.Pagination{Page: 2, PerPage: 1, Total: 2, TotalPage: 2}},
		"?page=-1&perPage=10": {Items: want},
	} {
		w := h.do(asAdmin("GET", "/v2/revoked-workers"+query))
		var list wire.List[wire.RevokedWorker]
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %v, %v: %s", query, err, w.Header(), w.Body)
		}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", query, diff)
		}
		if strings.Contains(w.Body.String(), "uuid") {
			t.Errorf("an identity by which a worker is known is shown: %s", w.Body)
		}
	}
	problemOf(t, h.do(asAdmin("GET", "/v2/revoked-workers?page=0")), 422)
	for method, want := range map[string]string{"GET": "this needs the admin token", "DELETE": "changing this needs the admin token"} {
		path := "/v2/revoked-workers"
		if method == "DELETE" {
			path += "/3"
		}
		if p := problemOf(t, h.do(request(method, path, "")), 401); !strings.HasPrefix(p.Detail, want) {
			t.Errorf("%s: %s", method, p.Detail)
		}
	}

	if w := h.do(asAdmin("DELETE", "/v2/revoked-workers/3")); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	problemOf(t, h.do(asAdmin("DELETE", "/v2/revoked-workers/3")), 404)
	problemOf(t, h.do(asAdmin("DELETE", "/v2/revoked-workers/0")), 422)
	if len(h.inventory.revoked) != 1 {
		t.Errorf("revoked: %v", h.inventory.revoked)
	}
	for _, r := range []*http.Request{
		request("GET", "/v2/revoked-workers", ""), request("DELETE", "/v2/revoked-workers/7", ""),
		request("GET", "/v2/revoked-workers", "", "Authorization", "Bearer "+workerToken),
		request("DELETE", "/v2/revoked-workers/7", "", "Authorization", "Bearer "+workerToken),
		request("DELETE", "/v2/revoked-workers/7", "", "Authorization", "Bearer cred-1"),
	} {
		problemOf(t, h.do(r), 401)
	}
}

// A removal that would revoke too many isn't done, and the answer says what to do.
func TestRemovalWhenTooManyAreKeptOut(t *testing.T) {
	h := newAPI(t)
	h.inventory.fail = fmt.Errorf("%w: let some in", fleet.ErrRevokedFull)
	if p := problemOf(t, h.do(request("DELETE", "/v2/workers/1", "", "Authorization", "Bearer "+adminToken)), 409); !strings.Contains(p.Detail, "let some in") {
		t.Error(p.Detail)
	}
}
