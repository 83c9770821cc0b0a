//go:build linux

package attack

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// outcome is what a client knows about a change that it asked for.
type outcome int

const (
	outcomeDone    outcome = iota // it was acknowledged
	outcomeRefused                // it was answered with 5xx
	outcomeUnknown                // there was no answer
)

type tally struct {
	mu sync.Mutex
	by map[string][3]int
}

func (c *tally) add(what string, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string][3]int{}
	}
	n := c.by[what]
	n[o]++
	c.by[what] = n
}

func (c *tally) of(what string, o outcome) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[what][o]
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for what, n := range c.by {
		parts = append(parts, fmt.Sprintf("%s: %d acknowledged, %d refused, %d without an answer", what, n[0], n[1], n[2]))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func outcomeOf(status int, err error) outcome {
	switch {
	case err != nil:
		return outcomeUnknown
	case status >= 500:
		return outcomeRefused
	}
	return outcomeDone
}

// knownWorker is a worker and what is known of it.
type knownWorker struct {
	name string
	rnd  *rand.Rand

	is     joined // zero: it isn't there, or its credential isn't known
	lastID int64  // of which what follows is known
	// may be those of a registration, or a removal, without an answer.
	mayBeNew, mayBeGone bool
	restarts            int   // said last
	acknowledged        int   // restarts that were acknowledged last
	tried               []int // restarts that were said since, and may be there
	wrong               string

	alive  bool // it reported since it joined
	joined bool // it joined this server, which has not started again since
	// out is the id under which it may be revoked, because it was removed; outSure: it is.
	out     int64
	outSure bool
}

// extraOf says which reports have a second instance.
func extraOf(restarts int) string {
	if restarts%3 == 0 {
		return ""
	}
	return fmt.Sprint("x", restarts)
}

// live registers, reports and is removed until there is no server any more.
func (w *knownWorker) live(s *server, counts *tally, killed <-chan struct{}) {
	for w.wrong == "" {
		select {
		case <-killed:
			return
		default:
		}
		var unknown bool
		switch n := w.rnd.IntN(20); {
		case w.is == joined{} || n == 0:
			unknown = w.register(s, counts)
		case n == 1:
			unknown = w.remove(s, counts)
		default:
			unknown = w.say(s, counts)
		}
		if unknown {
			return
		}
	}
}

func (w *knownWorker) register(s *server, counts *tally) (unknown bool) {
	status, answer, err := s.send(http.MethodPost, "/v2/workers/register", s.joinToken, map[string]any{
		"uuid": "uuid-" + w.name, "name": w.name, "address": "127.0.0.1", "metrics_port": 1,
	})
	o := outcomeOf(status, err)
	counts.add("register", o)
	switch {
	case o == outcomeUnknown:
		w.mayBeNew = true
	case status == http.StatusTooManyRequests && strings.Contains(string(answer), "times within a minute"):
		return true // a fast machine registers it more often than a server allows; the next one has not counted
	case w.out != 0 && (status == http.StatusForbidden || status == http.StatusTooManyRequests) && strings.Contains(string(answer), "was removed by an operator"):
		return w.allow(s, counts)
	case o == outcomeDone:
		if w.outSure {
			w.wrong = fmt.Sprintf("worker %d was removed and registers again: %d %s", w.out, status, answer)
			return true
		}
		w.out = 0
		if status != http.StatusOK || json.Unmarshal(answer, &w.is) != nil {
			w.wrong = fmt.Sprintf("registering: %d %s", status, answer)
			return true
		}
		w.hasID(w.is.ID)
		w.joined = true
	}
	return o == outcomeUnknown
}

// hasID notes under which id the worker is there; 0 is none.
func (w *knownWorker) hasID(id int64) {
	if id != w.lastID {
		w.lastID, w.acknowledged, w.tried, w.alive = id, 0, nil, false
	}
}

// allow lets the worker in again.
func (w *knownWorker) allow(s *server, counts *tally) (unknown bool) {
	status, answer, err := s.send(http.MethodDelete, fmt.Sprint("/v2/revoked-workers/", w.out), s.adminToken, nil)
	o := outcomeOf(status, err)
	counts.add("allow", o)
	switch {
	case o == outcomeUnknown:
		w.outSure = false
	case o == outcomeDone && status != http.StatusNoContent:
		w.wrong = fmt.Sprintf("letting worker %d in: %d %s", w.out, status, answer)
		return true
	case o == outcomeDone:
		w.out, w.outSure = 0, false
	}
	return o == outcomeUnknown
}

func (w *knownWorker) remove(s *server, counts *tally) (unknown bool) {
	status, answer, err := s.send(http.MethodDelete, fmt.Sprint("/v2/workers/", w.is.ID), s.adminToken, nil)
	o := outcomeOf(status, err)
	counts.add("remove", o)
	switch o {
	case outcomeUnknown:
		w.mayBeGone = true
		w.out, w.outSure = w.is.ID, false
	case outcomeDone:
		if status != http.StatusNoContent {
			w.wrong = fmt.Sprintf("removing worker %d: %d %s", w.is.ID, status, answer)
			return true
		}
		w.out, w.outSure = w.is.ID, w.alive || w.joined
		w.is = joined{}
		w.hasID(0)
	}
	return o == outcomeUnknown
}

func (w *knownWorker) say(s *server, counts *tally) (unknown bool) {
	if w.rnd.IntN(3) > 0 || w.restarts == 0 { // else it says the same again, as workers do
		w.restarts++
	}
	status, answer, err := s.report(w.is, reportOf(w.restarts, extraOf(w.restarts)))
	o := outcomeOf(status, err)
	counts.add("report", o)
	switch {
	case o != outcomeDone:
		w.tried = append(w.tried, w.restarts)
	case status != http.StatusOK:
		w.wrong = fmt.Sprintf("reporting as worker %d: %d %s", w.is.ID, status, answer)
		return true
	default:
		w.acknowledged, w.tried, w.alive = w.restarts, nil, true
	}
	return o == outcomeUnknown
}

type listed[T any] struct{ Items []T }

func list[T any](t *testing.T, s *server, path string) []T {
	t.Helper()
	body, err := programs.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	var l listed[T]
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		t.Fatal(err)
	}
	return l.Items
}

// checkOut compares whether the worker is revoked with what is known; found is the id under which it is there.
func (w *knownWorker) checkOut(t *testing.T, s *server, found int64) {
	t.Helper()
	status, answer, err := s.send(http.MethodGet, "/v2/revoked-workers", s.adminToken, nil)
	var kept listed[struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}]
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &kept) != nil {
		t.Fatalf("the revoked ones: %d %s %v", status, answer, err)
	}
	var out int64
	for _, item := range kept.Items {
		if item.Name == w.name {
			out = item.ID
		}
	}
	switch {
	case out != 0 && found != 0:
		t.Errorf("worker %s is there as %d, and revoked as %d", w.name, found, out)
	case out != 0 && out != w.out:
		t.Errorf("worker %s is revoked as %d, and nobody removed that one", w.name, out)
	case out == 0 && w.outSure:
		t.Errorf("worker %s is not revoked, and its removal as %d was acknowledged", w.name, w.out)
	case out == 0 && found == 0 && w.is.ID != 0 && w.alive:
		t.Errorf("worker %s was removed as %d and is not revoked", w.name, w.is.ID)
	}
	w.out, w.outSure = out, out != 0
	w.joined = false
}

// check compares a server that was started anew with what is known, and takes what it has for known.
func (w *knownWorker) check(t *testing.T, s *server) {
	t.Helper()
	if w.wrong != "" {
		t.Errorf("worker %s: %s", w.name, w.wrong)
	}
	type workerItem struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	var found int64
	for _, item := range list[workerItem](t, s, "/v2/workers") {
		if item.Name == w.name {
			found = item.ID
		}
	}
	switch {
	case found == 0 && w.is.ID != 0 && !w.mayBeGone:
		t.Errorf("worker %s is gone, which was acknowledged as %d", w.name, w.is.ID)
	case found != 0 && w.is.ID == 0 && !w.mayBeNew:
		t.Errorf("worker %s is back as %d; its removal was acknowledged or its registration was refused", w.name, found)
	case found != 0 && w.is.ID != 0 && found != w.is.ID:
		t.Errorf("worker %s is %d, and was acknowledged as %d", w.name, found, w.is.ID)
	}
	w.checkOut(t, s, found)
	if w.is.ID != 0 && found == w.is.ID {
		w.checkInstances(t, s)
		// The credential, by which the server is asked for the mapping: a report would change what there is.
		status := s.watchStatus(t, w.is)
		replaced := w.mayBeNew && status == http.StatusUnauthorized
		if status != http.StatusOK && !replaced {
			t.Errorf("the credential that worker %s was given last is answered with %d", w.name, status)
		}
		if status == http.StatusOK {
			w.mayBeNew, w.mayBeGone = false, false
			return
		}
	}
	w.hasID(found)
	w.is, w.mayBeGone = joined{}, false // it registers again, under the id that it has
	w.mayBeNew = found != 0
}

func (w *knownWorker) checkInstances(t *testing.T, s *server) {
	t.Helper()
	type instanceItem struct {
		Worker   int64  `json:"worker_id"`
		Name     string `json:"name"`
		Restarts int    `json:"restart_count"`
	}
	var names []string
	restarts := 0
	for _, in := range list[instanceItem](t, s, "/v2/model-instances") {
		if in.Worker != w.is.ID {
			continue
		}
		names = append(names, in.Name)
		if in.Name == "e" {
			restarts = in.Restarts
		}
	}
	slices.Sort(names)
	if len(w.tried) == 0 || restarts == w.acknowledged {
		want := []string{"e"}
		if x := extraOf(w.acknowledged); x != "" {
			want = append(want, x)
		}
		if w.acknowledged == 0 {
			want = nil
		}
		if len(w.tried) == 0 && (restarts != w.acknowledged || !slices.Equal(names, want)) {
			t.Errorf("worker %s has the instances %v, restarted %d times; acknowledged were %v, %d times", w.name, names, restarts, want, w.acknowledged)
		}
		return
	}
	if !slices.Contains(w.tried, restarts) {
		t.Errorf("worker %s has restarted %d times; acknowledged was %d, and said since were %v", w.name, restarts, w.acknowledged, w.tried)
	}
	for _, name := range names {
		n, _ := strconv.Atoi(strings.TrimPrefix(name, "x"))
		if name != "e" && n != w.acknowledged && !slices.Contains(w.tried, n) {
			t.Errorf("worker %s has the instance %s, which it never said since %d", w.name, name, w.acknowledged)
		}
	}
}

// watchStatus opens the stream of the mapping as a worker, and closes it.
func (s *server) watchStatus(t *testing.T, w joined) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/v2/workers/%d/watch?generation=-1", s.url, w.ID), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.Credential)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// knownMapping is the metrics mapping and what is known of it.
type knownMapping struct {
	rnd *rand.Rand

	posted       int
	acknowledged int   // the number in the one that was acknowledged last
	generation   int64 // and its generation
	unanswered   []int // numbers of those that had no answer since
}

func (m *knownMapping) live(s *server, counts *tally, killed <-chan struct{}) {
	for {
		select {
		case <-killed:
			return
		default:
		}
		m.posted++
		status, answer, err := s.send(http.MethodPost, "/v2/metrics/config", s.adminToken, mappingNamed(fmt.Sprintf("n%d_", m.posted)))
		o := outcomeOf(status, err)
		counts.add("post", o)
		switch o {
		case outcomeUnknown:
			m.unanswered = append(m.unanswered, m.posted)
			return
		case outcomeDone:
			var done struct {
				Generation int64 `json:"generation"`
			}
			if json.Unmarshal(answer, &done) == nil && status == http.StatusOK {
				m.acknowledged, m.generation, m.unanswered = m.posted, done.Generation, nil
			}
		}
		time.Sleep(time.Duration(m.rnd.IntN(20)) * time.Millisecond)
	}
}

func (m *knownMapping) check(t *testing.T, s *server) {
	t.Helper()
	if m.acknowledged == 0 && len(m.unanswered) == 0 {
		return
	}
	resp, err := http.Get(s.url + "/v2/metrics/config")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Metrics map[string]any `json:"gpustack_metrics"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	generation, _ := strconv.ParseInt(strings.Trim(resp.Header.Get("ETag"), `"`), 10, 64)
	in := 0
	for name := range doc.Metrics {
		in, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "gpustack:n"), "_"))
	}
	if in == 0 && m.acknowledged == 0 {
		return
	}
	same := in == m.acknowledged && generation == m.generation
	if !same && !slices.Contains(m.unanswered, in) || generation < m.generation {
		t.Errorf("mapping %d is in force as generation %d; acknowledged was %d as %d, and without an answer were %v",
			in, generation, m.acknowledged, m.generation, m.unanswered)
	}
	m.acknowledged, m.generation, m.unanswered = cmp.Or(in, m.acknowledged), generation, nil
}
