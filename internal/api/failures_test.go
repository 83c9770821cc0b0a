package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

func joinBody(uuid, name string) string {
	return fmt.Sprintf(`{"uuid":%q,"name":%q,"address":"10.0.0.1","metrics_port":1}`, uuid, name)
}

// asJoin makes a registration.
func asJoin(uuid, name string) *http.Request {
	return request("POST", "/v2/workers/register", joinBody(uuid, name), "Authorization", "Bearer "+workerToken, "Content-Type", "application/json")
}

func (h harness) families() string {
	var w exposition.Writer
	h.WriteFailures(&w)
	return string(w.Bytes())
}

func (h harness) wantLines(t *testing.T, text string, n int) {
	t.Helper()
	synctest.Wait()
	if got := strings.Count(h.log.String(), text); got != n {
		t.Errorf("%d lines of the log have %q, want %d:\n%s", got, text, n, h.log)
	}
}

func wantSamples(t *testing.T, page string, samples ...string) {
	t.Helper()
	for _, s := range samples {
		if !strings.Contains(page, s+"\n") {
			t.Errorf("lacks %s:\n%s", s, page)
		}
	}
}

// Every route that needs a token limits wrong ones. A right token, and a request without one, is never limited.
func TestWrongTokensAreBounded(t *testing.T) {
	closed := func(o *api.Options) { o.DisableAnonymousViewer, o.ReadToken = true, "read-secret" }
	report := func() *http.Request {
		return request("PUT", "/v2/workers/1/report", `{"applied_generation":0,"instances":[]}`, "Content-Type", "application/json")
	}
	for _, tt := range []struct {
		name         string
		make         func() *http.Request
		wrong, right string
		needed       string
	}{
		{"admin", func() *http.Request { return request("POST", "/v2/metrics/config", smallMapping) }, "Bearer guess-1", "Bearer " + adminToken, "admin"},
		{"admin, Basic", func() *http.Request { return request("POST", "/v2/metrics/config", smallMapping) }, basic("admin", "guess-1"), basic("admin", adminToken), "admin"},
		{"join", func() *http.Request { r := asJoin("u", "n"); r.Header.Del("Authorization"); return r }, "Bearer guess-1", "Bearer " + workerToken, "join"},
		{"report", report, "Bearer guess-1", "Bearer cred-1", "worker"},
		{"report with another's credential", report, "Bearer cred-2", "Bearer cred-1", "worker"},
		{"reading", func() *http.Request { return request("GET", "/v2/metrics/config", "") }, "Bearer guess-1", "Bearer read-secret", "admin"},
		{"page", func() *http.Request { return request("GET", "/openapi.json", "") }, "Bearer guess-1", "Bearer " + adminToken, "admin"},
		{"mount", func() *http.Request { return request("GET", "/prometheus/graph", "") }, basic("admin", "guess-1"), "Bearer read-secret", "admin"},
		{"wrong scheme", func() *http.Request { return request("GET", "/prometheus/graph", "") }, "Negotiate guess-1", "Bearer read-secret", "admin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newAPI(t, closed, func(o *api.Options) {
					o.Mounts = map[string]http.Handler{"/prometheus/": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
				})
				send := func(token, peer string, want int) http.Header {
					t.Helper()
					r := tt.make()
					r.RemoteAddr = peer
					if token != "" {
						r.Header.Set("Authorization", token)
					}
					w := h.do(r)
					if w.Code != want {
						t.Fatalf("token %q from %s: %d, want %d: %s", token, peer, w.Code, want, w.Body)
					}
					if want >= 400 {
						detail := problemOf(t, w, want).Detail
						if says := strings.Contains(detail, "wrong tokens came from this address"); says != (want == 429) || strings.Contains(detail, "guess-1") {
							t.Errorf("%d says: %s", want, detail)
						}
					}
					return w.Header()
				}
				const peer, other = "192.0.2.7:1000", "192.0.2.8:1000"
				for range 30 {
					send("", peer, 401) // is none
				}
				for range 20 {
					send(tt.wrong, peer, 401)
				}
				time.Sleep(20 * time.Second)
				for range 5 {
					header := send(tt.wrong, "192.0.2.7:2000", 429)
					if header.Get("Retry-After") != "40" || !strings.Contains(header.Get("WWW-Authenticate"), `error="invalid_token"`) {
						t.Errorf("header: %v", header)
					}
					send(tt.right, peer, 200)
				}
				send("", peer, 401)
				send(tt.wrong, other, 401)
				h.wantLines(t, "wrong tokens", 1)
				time.Sleep(40 * time.Second)
				send(tt.wrong, peer, 401)
				time.Sleep(time.Hour)
				h.wantLines(t, "wrong tokens", 2) // the second says how many more there were
				h.wantLines(t, "peer=192.0.2.7 refused=4", 1)
				h.wantLines(t, "guess-1", 0)
				wantSamples(t, h.families(), fmt.Sprintf(`stackscope_wrong_tokens_total{needed=%q,status="401"} 22`, tt.needed), fmt.Sprintf(`stackscope_wrong_tokens_total{needed=%q,status="429"} 5`, tt.needed))
			})
		})
	}
}

// After the server lost its database, every worker gets 401 and registers again, however many share an address. The credential of a worker
// that is not registered does not count as a guess.
func TestUnregisteredWorkersAreNotLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		for id := 100; id < 400; id++ {
			r := request("PUT", fmt.Sprintf("/v2/workers/%d/report", id), `{"applied_generation":0,"instances":[]}`, "Authorization", "Bearer cred")
			if w := h.do(r); w.Code != http.StatusUnauthorized {
				t.Fatalf("worker %d: %d: %s", id, w.Code, w.Body)
			}
		}
		wantSamples(t, h.families(), `stackscope_wrong_tokens_total{needed="unknown_worker",status="401"} 300`, `stackscope_wrong_tokens_total{needed="worker",status="429"} 0`)
	})
}

func TestPeersOfWrongTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		wrong := func(peer string) int {
			r := request("POST", "/v2/metrics/config", smallMapping, "Authorization", "Bearer guess")
			r.RemoteAddr = peer
			return h.do(r).Code
		}
		for _, peers := range [][]string{
			{"[2001:db8::1]:1", "[2001:db8:0:0:ffff::2]:2"}, // one network
			{"10.0.0.1:1", "[::ffff:10.0.0.1]:2"},
			{"@", ""},
		} {
			for n := range 20 {
				if got := wrong(peers[n%2]); got != 401 {
					t.Fatalf("%v: %d", peers, got)
				}
			}
			if got := wrong(peers[0]); got != 429 {
				t.Errorf("%v are not counted as one: %d", peers, got)
			}
		}
		if got := wrong("[2001:db8:0:1::1]:1"); got != 401 {
			t.Errorf("another network: %d", got)
		}
		h.wantLines(t, "peer=2001:db8::/64 ", 1)
		// More addresses than are counted separately: the others share one quota.
		limited := 0
		for n := range 6000 {
			if wrong(fmt.Sprintf("10.1.%d.%d:1", n/250, n%250)) == 429 {
				limited++
			}
		}
		if limited < 1800 || limited > 2000 {
			t.Errorf("%d of 6000 new addresses were limited", limited)
		}
		h.wantLines(t, "peer=others ", 1)
	})
}

// A route that is open to everybody does not check tokens.
func TestUncheckedTokensAreNotCounted(t *testing.T) {
	h := newAPI(t)
	for range 50 {
		if w := h.do(request("GET", "/v2/metrics/config", "", "Authorization", "Bearer of-grafana")); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	wantSamples(t, h.families(), `stackscope_wrong_tokens_total{needed="admin",status="401"} 0`)
}

func TestRefusedRegistrationsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		fail       error
		status     int
		reason     string
	}{
		{"invalid", joinBody("u", "n"), fleet.Invalid("registration", "name is odd"), 422, "invalid"},
		{"conflict", joinBody("u", "n"), fmt.Errorf("%w: name is odd", fleet.ErrNameTaken), 409, "conflict"},
		{"revoked", joinBody("u", "n"), fmt.Errorf("%w: name is odd", fleet.ErrRevoked), 403, "revoked"},
		{"schema", `{"uuid":"u"}`, nil, 422, "invalid"},
		{"no JSON", `{`, nil, 400, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newAPI(t)
				send := func(peer string, want int) api.Problem {
					t.Helper()
					r := request("POST", "/v2/workers/register", tt.body, "Authorization", "Bearer "+workerToken, "Content-Type", "application/json")
					r.RemoteAddr = peer
					w := h.do(r)
					if want == 429 && w.Header().Get("Retry-After") != "60" {
						t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
					}
					return problemOf(t, w, want)
				}
				h.inventory.fail = tt.fail
				detail := send("192.0.2.7:1", tt.status).Detail
				for range 19 {
					send("192.0.2.7:1", tt.status)
				}
				for range 3 {
					if got := send("192.0.2.7:2", 429).Detail; !strings.Contains(got, "registrations from this address were refused") || !strings.HasSuffix(got, detail) {
						t.Errorf("says: %s", got)
					}
				}
				send("192.0.2.8:1", tt.status)
				h.inventory.fail = nil
				for n := range 1000 {
					if w := h.do(asJoin(fmt.Sprint("u", n), "n")); w.Code != 200 {
						t.Fatalf("a right one: %d %s", w.Code, w.Body)
					}
				}
				h.wantLines(t, "refused registrations: one address", 1)
				wantSamples(t, h.families(), fmt.Sprintf(`stackscope_registrations_refused_total{reason=%q,status="%d"} 21`, tt.reason, tt.status),
					fmt.Sprintf(`stackscope_registrations_refused_total{reason=%q,status="429"} 3`, tt.reason), `stackscope_wrong_tokens_total{needed="join",status="401"} 0`)
			})
		})
	}
}

// That the server cannot store it is not the worker's fault.
func TestRegistrationsThatCannotBeStoredAreNotCounted(t *testing.T) {
	h := newAPI(t)
	h.inventory.fail = fleet.ErrNotStored
	for n := range 50 {
		if w := h.do(asJoin(fmt.Sprint("u", n), "n")); w.Code != 503 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

func TestWorkerThatRegistersAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		h.inventory.snapshot.Workers = []fleet.Worker{{ID: 3, UUID: "restless", Name: "gpu-3", Address: "10.0.0.3"}}
		for range 20 {
			if w := h.do(asJoin("restless", "gpu-3")); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			time.Sleep(time.Second)
		}
		h.inventory.registered = fleet.Registration{}
		for range 5 {
			w := h.do(asJoin("restless", "gpu-3"))
			if p := problemOf(t, w, 429); !strings.Contains(p.Detail, "registered more than 20 times") || w.Header().Get("Retry-After") != "40" {
				t.Errorf("Retry-After %s: %s", w.Header().Get("Retry-After"), p.Detail)
			}
			if w.Header().Get("WWW-Authenticate") != "" {
				t.Error("it says that the token is wrong")
			}
		}
		if h.inventory.registered.UUID != "" {
			t.Error("it was registered all the same")
		}
		if w := h.do(asJoin("another", "gpu-4")); w.Code != 200 {
			t.Errorf("another worker of that address: %d %s", w.Code, w.Body)
		}
		h.wantLines(t, "worker=gpu-3 worker_id=3 address=10.0.0.3", 1)
		wantSamples(t, h.families(), `stackscope_registrations_refused_total{reason="too_often",status="429"} 5`)
		time.Sleep(40 * time.Second)
		if w := h.do(asJoin("restless", "gpu-3")); w.Code != 200 {
			t.Errorf("when the minute is over: %d %s", w.Code, w.Body)
		}
	})
}

// A failure must not be dearer than a success, or guessing would be an attack in itself.
func TestFailingCostsNoMoreThanSucceeding(t *testing.T) {
	strict := newAPI(t, func(o *api.Options) { o.DisableAnonymousViewer = true })
	allocs := func(token string) float64 {
		r := request("GET", "/v2/metrics/config", "", "Authorization", token)
		return testing.AllocsPerRun(200, func() { strict.do(r) })
	}
	right, wrong := allocs("Bearer "+adminToken), allocs("Bearer guess")
	if wrong > 1.5*right {
		t.Errorf("a wrong token takes %.0f allocations, a right one %.0f", wrong, right)
	}
}
