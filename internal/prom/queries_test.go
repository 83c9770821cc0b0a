package prom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/prom/budget"
	"github.com/stackscope/stackscope/internal/prom/guard"
)

// idle is a log of running queries that takes all.
type idle struct{ io.Closer }

func (idle) GetMaxConcurrent() int                       { return 100 }
func (idle) Insert(context.Context, string) (int, error) { return 0, nil }
func (idle) Delete(int)                                  {}

const testMemory = 2 << 30

// newTestBudget returns the budget of a process with 2 GiB.
func newTestBudget(o Options) *queryBudget {
	o.Dir = "/"
	if err := o.complete(); err != nil {
		panic(err)
	}
	return newQueryBudget(newSizes(memory.Bound{Bytes: testMemory, Source: "a test"}, o), idle{}, testEngine(o.QueryTimeout))
}

func testEngine(timeout time.Duration) promql.EngineOpts {
	return promql.EngineOpts{
		Timeout: timeout, LookbackDelta: queryLookback, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return scrapeInterval.Milliseconds() }, Parser: guard.NewParser(),
	}
}

// testStart is when the series of newTestSeries begin.
var testStart = time.UnixMilli(1_700_000_000_000)

const testStep = 10 * time.Second

// newTestSeries returns a storage of some series m with labels like ours, each with some points.
func newTestSeries(t *testing.T, series, points int) *tsdb.DB {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	app := db.Appender(t.Context())
	refs := make([]storage.SeriesRef, series)
	for p := range points {
		for i := range refs {
			l := labels.FromStrings("__name__", "m", "cluster_name", "default", "instance", fmt.Sprintf("10.1.2.%d:8080", i%50),
				"job", "gpustack-worker-discovery", "model_instance_name", fmt.Sprintf("qwen-%d-abcdef", i),
				"model_name", "Qwen/Qwen2.5-72B-Instruct", "worker_name", fmt.Sprintf("worker-%d", i%50), "le", fmt.Sprint(i%20))
			var err error
			at := testStart.Add(time.Duration(p) * testStep).UnixMilli()
			if refs[i], err = app.Append(refs[i], l, at, float64((p+1)*(i+7))/7); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return db
}

// ask runs an instant query, or with a number of steps a range query, and returns its result, which is closed.
func ask(t *testing.T, b *queryBudget, db storage.SampleAndChunkQueryable, expr string, steps int) *promql.Result {
	t.Helper()
	var (
		q   promql.Query
		err error
	)
	if steps == 0 {
		q, err = b.users.NewInstantQuery(t.Context(), metered{db}, nil, expr, testStart.Add(2*testStep))
	} else {
		q, err = b.users.NewRangeQuery(t.Context(), metered{db}, nil, expr, testStart, testStart.Add(time.Duration(steps-1)*testStep), testStep)
	}
	if err != nil {
		return &promql.Result{Err: err}
	}
	defer q.Close()
	return q.Exec(t.Context())
}

// holding fails the test when the budget still holds something.
func holding(t *testing.T, b *queryBudget) {
	t.Helper()
	for _, class := range b.users.classes {
		if s := class.State(); s.Taken != 0 || s.Waiting != 0 {
			t.Errorf("class %s still holds %+v", class.Class().Name, s)
		}
	}
	if n := b.answers.Held(); n != 0 {
		t.Errorf("%d bytes of answers are still held", n)
	}
}

func TestMemoryIsSharedOut(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int64{64 << 20, 512 << 20, 2 << 30, 64 << 30} {
		for _, concurrency := range []int{1, 20, 5000} {
			s := newSizes(memory.Bound{Bytes: bytes, Source: "a test"}, Options{QueryConcurrency: concurrency, QueryMaxSamples: 50_000_000})
			all := s.answers()
			for _, class := range append(s.classes(), s.rules(), s.listings()) {
				all += class.Bytes * int64(class.Slots)
				if class.Bytes > bytes/8 || class.Slots < 1 || s.samples(class) > 50_000_000 {
					t.Errorf("%d bytes, %d at once: class %+v: one query may take at most %d", bytes, concurrency, class, bytes/8)
				}
			}
			if all > bytes/4 {
				t.Errorf("%d bytes, %d at once: all classes take %d, more than a quarter", bytes, concurrency, all)
			}
		}
	}
	if s := newSizes(memory.Bound{}, Options{QueryConcurrency: 20, QueryMaxSamples: 1000}); s.total != assumedMemory/4 || s.maxSamplesPerQuery() != 1000 {
		t.Errorf("nothing known of the memory: %+v, at most %d samples", s, s.maxSamplesPerQuery())
	}
}

// A query moves up to the class that it fits into, and what is too large for all says what bounds it.
func TestQueriesMoveUp(t *testing.T) {
	t.Parallel()
	db := newTestSeries(t, 100, 360)
	b := newTestBudget(Options{})
	if r := ask(t, b, db, "sum(m)", 0); r.Err != nil || r.String() == "" {
		t.Errorf("a small query: %v", r)
	}
	if n := reading(t, b.restarts); n != 0 {
		t.Errorf("a small query was begun %v times again", n)
	}
	if r := ask(t, b, db, "m * 2", 360); r.Err != nil || r.Value.(promql.Matrix).TotalSamples() != 36_000 {
		t.Errorf("a query for 36,000 samples: %v", r.Err)
	}
	if n := reading(t, b.restarts); n != 1 {
		t.Errorf("a medium query was begun %v times again, want once", n)
	}
	if r := ask(t, b, db, "m * 2", 360); r.Err != nil || reading(t, b.restarts) != 1 {
		t.Errorf("the same query does not begin where it ended: %v restarts, %v", reading(t, b.restarts), r.Err)
	}
	if r := ask(t, b, db, "m * 2", 3); r.Err != nil || b.users.classCache.lookup("m * 2", 3) != 0 {
		t.Errorf("the same for less time begins in class %d: %v", b.users.classCache.lookup("m * 2", 3), r.Err)
	}
	r := ask(t, b, db, "max_over_time(vector(1)[1000s:1ms])", 0)
	if _, ok := errors.AsType[promql.ErrTooManySamples](r.Err); !ok {
		t.Fatalf("a million steps: %v", r.Err)
	}
	for _, says := range []string{"256 MiB", "all queries together 512 MiB, a quarter of a test", "--builtin-prometheus-query-max-samples is bounded by it", "select fewer series"} {
		if !strings.Contains(r.Err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, r.Err)
		}
	}
	few := newTestBudget(Options{QueryMaxSamples: 100})
	if r := ask(t, few, db, "m", 10); r.Err == nil || !strings.Contains(r.Err.Error(), "--builtin-prometheus-query-max-samples allows no more samples") {
		t.Errorf("beyond the flag: %v", r.Err)
	}
	holding(t, b)
	holding(t, few)
}

func TestRememberedQueriesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newClassCache()
		r.store("a", 1, 2)
		if r.lookup("a", 1) != 2 || r.lookup("a", 2) != 0 || r.lookup("b", 1) != 0 {
			t.Error("another class than that which was remembered")
		}
		time.Sleep(classCacheTTL + time.Second)
		if r.lookup("a", 1) != 0 {
			t.Error("a query is remembered for longer than ten minutes")
		}
		for i := range 3 * classCacheSize {
			r.store("a", int64(i), 1)
		}
		if n := len(r.classes); n > classCacheSize {
			t.Errorf("%d queries are remembered, at most %d may be", n, classCacheSize)
		}
	})
}

// What the engine does not count is bounded from the text or at the storage.
func TestWhatTheEngineDoesNotCount(t *testing.T) {
	t.Parallel()
	db := newTestSeries(t, 1000, 3)
	b := newTestBudget(Options{})
	nested := "vector(1)"
	for range 8 {
		nested = `label_replace(` + nested + `, "a", "${1}${1}${1}${1}xx", "a", "(.*)")`
	}
	for expr, says := range map[string]string{
		`vector(1)[100y:1ms]`:         "steps, which alone",
		`(1 + vector(1))[10000d:10s]`: "steps, which alone",
		nested:                        "into the labels of a series",
		`label_join(m, "a", "` + strings.Repeat("x", 20_000) + `", "b")`:                                             "into the labels of a series",
		`label_replace(m, "a", "` + strings.Repeat("x", 16_000) + `", "", "") or label_replace(m, "a", "b", "", "")`: "selected series",
		strings.Repeat("m or ", 60) + "m": "selected series",
	} {
		if r := ask(t, b, db, expr, 0); r.Err == nil || !strings.Contains(r.Err.Error(), says) {
			t.Errorf("%.60s: %.300v, want an error that says %q", expr, r.Err, says)
		}
	}
	// The engine makes room for 5,000 points in each series that has one.
	if r := ask(t, b, db, `abs(m)`, 11_000); r.Err != nil && !strings.Contains(r.Err.Error(), "selected series") {
		t.Errorf("few points in many steps: %v", r.Err)
	}
	if r := ask(t, b, db, `count_values("v", vector(time()))`, 11_000); r.Err == nil {
		t.Error("11,000 values, each with room for 5,000 points, pass")
	}
	for _, expr := range []string{
		`max_over_time(m[1d:1m] @ 1700000000)`, `count_values("v", m)`,
		`label_replace(label_replace(m, "a", "$1-$2", "instance", "(.*):(.*)"), "b", "$1", "a", "(.*)")`, `label_join(m, "x", ",", "instance", "le", "job")`,
	} {
		if r := ask(t, b, db, expr, 0); r.Err != nil {
			t.Errorf("%s: %v", expr, r.Err)
		}
	}
	holding(t, b)
}

// full returns a budget of which all slots of a class are taken.
func full(t *testing.T, class int) (*queryBudget, func()) {
	t.Helper()
	b := newTestBudget(Options{})
	pool := b.users.classes[class].Pool
	var slots []*budget.Slot
	for range pool.Class().Slots {
		slot, err := pool.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, slot)
	}
	return b, func() {
		for _, slot := range slots {
			slot.Release()
		}
	}
}

func TestQueriesWaitAndAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, free := full(t, 0)
		begin := time.Now()
		r := ask(t, b, &tsdb.DB{}, "1", 0)
		if _, ok := errors.AsType[promql.ErrQueryTimeout](r.Err); !ok || time.Since(begin) != defaultQueryTimeout || !strings.Contains(r.Err.Error(), "(small) are in use and none became free in time: retry later") {
			t.Errorf("after %v: %v", time.Since(begin), r.Err)
		}
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			q, err := b.users.NewInstantQuery(ctx, &tsdb.DB{}, nil, "1", testStart)
			if err != nil {
				t.Error(err)
			}
			defer q.Close()
			gone <- q.Exec(ctx).Err
		}()
		synctest.Wait()
		leave()
		if _, ok := errors.AsType[promql.ErrQueryCanceled](<-gone); !ok {
			t.Error("a client that left is not said to have been cancelled")
		}
		// Rules do not wait for users.
		q, err := b.rules.NewInstantQuery(t.Context(), noSamples{}, nil, "1", testStart)
		if err != nil {
			t.Fatal(err)
		}
		if r := q.Exec(t.Context()); r.Err != nil {
			t.Errorf("a rule, while users fill all: %v", r.Err)
		}
		q.Close()
		free()
		if r := ask(t, b, noSamples{}, "1", 0); r.Err != nil {
			t.Errorf("when there is room: %v", r.Err)
		}
		holding(t, b)
	})
}

// noSamples is an empty storage.
type noSamples struct {
	storage.SampleAndChunkQueryable
}

func (noSamples) Querier(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil }

// A query that takes long makes room for small ones; a client that leaves ends its query.
func TestSlowQueriesLeaveTheirClass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBudget(Options{})
		slow := &slowQueries{NoopQuerier: storage.NoopQuerier()}
		begin := time.Now()
		r := ask(t, b, slow, "up", 0)
		want := []time.Duration{classTimeouts[0], classTimeouts[1], defaultQueryTimeout - classTimeouts[0] - classTimeouts[1]}
		if _, ok := errors.AsType[promql.ErrQueryTimeout](r.Err); !ok || time.Since(begin) != defaultQueryTimeout || len(slow.took) != len(want) {
			t.Fatalf("after %v: %v: %v", time.Since(begin), slow.took, r.Err)
		}
		for i, took := range slow.took {
			if took != want[i] {
				t.Errorf("attempt %d took %v, want %v", i, took, want[i])
			}
		}
		if want := "query timed out in expression evaluation: --builtin-prometheus-query-timeout allows 2m0s; select fewer series"; !strings.Contains(r.Err.Error(), want) {
			t.Errorf("got %v, want %s", r.Err, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // as the API does with the parameter timeout
		defer cancel()
		q, err := b.users.NewInstantQuery(ctx, slow, nil, "down", testStart)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		short := q.Exec(ctx).Err
		if _, ok := errors.AsType[promql.ErrQueryTimeout](short); !ok || !strings.Contains(short.Error(), "the request's timeout was 3s; raise it, or select fewer series") {
			t.Errorf("a request with a timeout of its own: %v", short)
		}
		holding(t, b)
	})
}

// slowQueries is a storage that answers when nobody waits any more.
type slowQueries struct {
	storage.SampleAndChunkQueryable
	NoopQuerier storage.Querier
	took        []time.Duration
}

func (s *slowQueries) Querier(int64, int64) (storage.Querier, error) {
	return slowQuerier{s.NoopQuerier, s}, nil
}

type slowQuerier struct {
	storage.Querier
	owner *slowQueries
}

func (q slowQuerier) Select(ctx context.Context, _ bool, _ *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	begin := time.Now()
	<-ctx.Done()
	q.owner.took = append(q.owner.took, time.Since(begin))
	return storage.EmptySeriesSet()
}

// A small answer that is read slowly keeps nobody from asking; a large one keeps its place.
func TestAnswersThatAreRead(t *testing.T) {
	t.Parallel()
	db := newTestSeries(t, 100, 360)
	b := newTestBudget(Options{})
	run := func(expr string) promql.Query {
		q, err := b.users.NewRangeQuery(t.Context(), metered{db}, nil, expr, testStart, testStart.Add(time.Hour), testStep)
		if err != nil {
			t.Fatal(err)
		}
		if r := q.Exec(t.Context()); r.Err != nil {
			t.Fatal(r.Err)
		}
		return q
	}
	small, medium := run("sum(m)"), run("m")
	held := b.answers.Held()
	if held == 0 {
		t.Error("answers that are being read hold nothing")
	}
	for _, class := range b.users.classes {
		if n := class.State().Taken; n != 0 {
			t.Errorf("small answers that are being read hold %d slots of class %s", n, class.Class().Name)
		}
	}
	b.answers.Hold(b.sizes.answers() - held)
	another := run("m")
	if n := b.users.classes[1].State().Taken; n != 1 {
		t.Errorf("an answer for which there is no other room holds %d slots, want its own", n)
	}
	for _, q := range []promql.Query{small, medium, another} {
		q.Close()
		q.Close()
	}
	if n := b.users.classes[1].State().Taken; n != 0 || b.answers.Held() != b.sizes.answers()-held {
		t.Errorf("when all have been read, %d slots and %d bytes are held", n, b.answers.Held())
	}
}
