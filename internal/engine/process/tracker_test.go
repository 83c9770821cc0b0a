package process

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		a, b ID
		want Relation
	}{
		"nothing is known":             {ID{}, ID{}, Unknown},
		"one is not known":             {ID{7, noon}, ID{}, Unknown},
		"nothing in common":            {ID{PID: 7}, ID{Started: noon}, Unknown},
		"same id":                      {ID{PID: 7}, ID{7, noon}, Same},
		"same id, the clock was set":   {ID{7, noon}, ID{7, at(3600)}, Same},
		"another id, at the same time": {ID{7, noon}, ID{8, noon}, Other},
		"start, a little off":          {ID{Started: noon}, ID{Started: noon.Add(StartTolerance)}, Same},
		"start, further off":           {ID{7, noon}, ID{Started: noon.Add(-StartTolerance - 1)}, Other},
	} {
		if got := c.a.Compare(c.b); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
		if got := c.b.Compare(c.a); got != c.want {
			t.Errorf("%s, swapped: got %d, want %d", name, got, c.want)
		}
	}
	if !(ID{7, noon}).Identical(ID{7, noon.Local()}) || (ID{7, noon}).Identical(ID{7, at(1)}) || (ID{}).Identical(ID{}) {
		t.Error("identical are the same known id and start time alone")
	}
}

// A step is a status, the news of an end, a refused connection or a page, at a second.
type step func(j *Tracker) Decision

func status(second float64, id ID) step {
	return func(j *Tracker) Decision { return j.Status(at(second), id) }
}

func end(id ID) step { return func(j *Tracker) Decision { return j.End(id) } }

func refused(j *Tracker) Decision { j.Refused(); return Decision{} }

func page(second float64, p Page) step {
	return func(j *Tracker) Decision { return j.Page(at(second), p) }
}

func unix(second float64) float64 { return float64(at(second).UnixMilli()) / 1e3 }

func TestJudge(t *testing.T) {
	old, fresh := ID{7, at(0)}, ID{8, at(60)}
	oldPage, freshPage := Page{"vLLM", unix(0), 50}, Page{"vLLM", unix(60), 2}
	for name, c := range map[string]struct {
		steps []step
		want  []Decision
	}{
		"nobody has found it": {
			[]step{status(1, ID{}), page(2, oldPage), status(3, ID{}), page(4, oldPage)},
			[]Decision{{}, {Outcome: FirstSeen}, {}, {Outcome: SameProcess}},
		},
		"it goes on": {
			[]step{status(1, old), page(2, oldPage), status(3, old), page(4, oldPage)},
			[]Decision{{Outcome: FirstSeen}, {Outcome: FirstSeen}, {Outcome: SameProcess}, {Outcome: SameProcess}},
		},
		"a new process, then its page": {
			[]step{status(1, old), page(2, oldPage), status(61, fresh), page(62, freshPage), status(63, fresh)},
			[]Decision{{Outcome: FirstSeen}, {Outcome: FirstSeen}, {NewProcess, at(60), "another process", false}, {Outcome: FirstSeen}, {Outcome: SameProcess}},
		},
		"the page of a new process, then it": {
			[]step{status(1, old), page(2, oldPage), page(62, freshPage), status(63, fresh)},
			[]Decision{{Outcome: FirstSeen}, {Outcome: FirstSeen}, {NewProcess, at(60), "another start time", false}, {NewProcess, at(60), "another process", true}},
		},
		"it ended, another came": {
			[]step{status(1, old), end(old), end(old), status(70, ID{PID: 8})},
			[]Decision{{Outcome: FirstSeen}, {Outcome: Ended}, {}, {NewProcess, at(70), "another process", false}},
		},
		"another one's end": {
			[]step{status(1, fresh), end(old), status(2, fresh)},
			[]Decision{{Outcome: FirstSeen}, {}, {Outcome: SameProcess}},
		},
		"the news of its end is late": {
			[]step{status(1, old), page(2, oldPage), page(62, freshPage), end(old), status(63, fresh)},
			[]Decision{{Outcome: FirstSeen}, {Outcome: FirstSeen}, {NewProcess, at(60), "another start time", false}, {}, {Outcome: FirstSeen}},
		},
		"it did not end": {
			[]step{status(1, old), page(2, Page{RestartCounters: 5}), end(old), status(3, old), page(4, Page{RestartCounters: 5})},
			[]Decision{{Outcome: FirstSeen}, {Outcome: FirstSeen}, {Outcome: Ended}, {Outcome: Returned}, {Outcome: SameProcess}},
		},
		"nobody has found it, and it was down": {
			[]step{page(1, Page{RestartCounters: 5}), refused, page(3, Page{RestartCounters: 9}), page(4, Page{RestartCounters: 9})},
			[]Decision{{Outcome: FirstSeen}, {}, {NewProcess, at(3), "it was down", false}, {Outcome: SameProcess}},
		},
		"it was down for its page alone, which has a start time": {
			[]step{page(1, oldPage), refused, page(3, Page{"", unix(1), 0})},
			[]Decision{{Outcome: FirstSeen}, {}, {Outcome: SameProcess}},
		},
		"its counters fell": {
			[]step{page(1, Page{RestartCounters: 5}), page(2, Page{RestartCounters: 5 * (1 - 1e-12)}), page(3, Page{RestartCounters: 4})},
			[]Decision{{Outcome: FirstSeen}, {Outcome: SameProcess}, {NewProcess, at(3), "its counters fell", false}},
		},
		"another engine took its place": {
			[]step{page(1, oldPage), page(2, Page{"SGLang", unix(0), 50})},
			[]Decision{{Outcome: FirstSeen}, {NewProcess, at(0), "another runtime", false}},
		},
		"more is learned of it": {
			[]step{status(1, ID{PID: 7}), status(2, ID{Started: noon}), status(3, ID{Started: at(60)})},
			[]Decision{{Outcome: FirstSeen}, {Outcome: SameProcess}, {NewProcess, at(60), "another process", false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var j Tracker
			for i, s := range c.steps {
				got, want := s(&j), c.want[i]
				if got.Outcome != want.Outcome || got.Known != want.Known || got.Reason != want.Reason || !got.Started.Equal(want.Started) {
					t.Errorf("step %d: got %+v, want %+v", i+1, got, want)
				}
			}
		})
	}
}

// A status without a start time is of the restart that a page showed if it comes soon after.
func TestStatusAfterAPage(t *testing.T) {
	for _, c := range []struct {
		id    ID
		after time.Duration
		known bool
	}{
		{ID{PID: 8}, SameRestartWindow - 1, true},
		{ID{PID: 8}, SameRestartWindow, false},
		{ID{8, at(61).Add(StartTolerance)}, time.Hour, true},
		{ID{8, at(61).Add(StartTolerance + 1)}, time.Hour, false},
	} {
		var j Tracker
		j.Status(at(0), ID{7, at(0)})
		j.Page(at(1), Page{Start: unix(0)})
		j.Page(at(61), Page{Start: unix(60)})
		got := j.Status(at(61).Add(c.after), c.id)
		if got.Outcome != NewProcess || got.Known != c.known || j.Answered() != c.known {
			t.Errorf("%+v after %s: got %+v, answered %t", c.id, c.after, got, j.Answered())
		}
	}
}

func TestStates(t *testing.T) {
	var j Tracker
	want := func(when string, seen, ended, answered bool) {
		t.Helper()
		if j.Seen() != seen || j.HasEnded() != ended || j.Answered() != answered {
			t.Errorf("%s: seen %t, ended %t, answered %t", when, j.Seen(), j.HasEnded(), j.Answered())
		}
	}
	want("nothing", false, false, false)
	j.Status(at(1), ID{PID: 7})
	want("a status", true, false, false)
	j.Page(at(2), Page{})
	want("a page", true, false, true)
	j.End(ID{PID: 7})
	want("its end", true, true, true)
	j.Status(at(3), ID{PID: 8})
	want("another process", true, false, false)
}
