package gpu

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// missingOf returns why each GPU is missing, by its UUID.
func missingOf(t *testing.T, s *Set) map[string]string {
	t.Helper()
	list, ok := s.Statuses()
	if !ok {
		t.Error("not all backends were read")
	}
	out := map[string]string{}
	for _, g := range list {
		out[g.UUID] = g.Missing
	}
	return out
}

func TestStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, other := newStub("nvidia", "a", "b", "c"), newStub("amd")
		state := filepath.Join(t.TempDir(), "cards.json")
		unread, err := New(Options{Backends: []Backend{b, other}, Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if list, ok := unread.Statuses(); ok || len(list) > 0 {
			t.Errorf("before the first reading: %v", list)
		}
		s, stop := start(t, Options{Backends: []Backend{b, other}, StatePath: state})
		check := func(step string, want map[string]string) {
			t.Helper()
			got := missingOf(t, s)
			for uuid, part := range want {
				if reason, ok := got[uuid]; !ok || !strings.Contains(reason, part) || part == "" && reason != "" {
					t.Errorf("%s: %s is missing because %q, want %q", step, uuid, reason, part)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %v", step, got)
			}
		}
		check("all there", map[string]string{"a": "", "b": "", "c": ""})
		list, _ := s.Statuses()
		if g := list[1]; g.Vendor != "nvidia" || g.Index != "1" || g.Chip != "0" || g.PCI != "0000:62:00.0" || g.Action != ActionNone {
			t.Errorf("%+v", g)
		}
		lost := b.device(2, "c")
		lost.Lost = true
		b.gives([]Device{b.device(0, "a"), lost}, nil)
		time.Sleep(1500 * time.Millisecond)
		since := "since " + time.Now().Truncate(time.Second).UTC().Format(time.RFC3339)
		check("lost", map[string]string{"a": "", "b": "not among the GPUs that the driver lists " + since, "c": "cannot reach it"})
		if list, _ := s.Statuses(); list[2].UUID != "b" || list[2].Action != ActionReboot || list[2].Reason == "" {
			t.Errorf("%+v", list)
		}
		before := missingOf(t, s)
		time.Sleep(3 * time.Second)
		if again := missingOf(t, s); again["b"] != before["b"] || again["c"] != before["c"] {
			t.Errorf("the reasons changed from %v to %v", before, again)
		}
		b.have("a", "b", "c")
		time.Sleep(time.Second)
		check("back", map[string]string{"a": "", "b": "", "c": ""})
		b.answers(func(ctx context.Context) (Reading, error) {
			<-ctx.Done()
			return Reading{}, ErrHangs
		})
		time.Sleep(12 * time.Second)
		check("hanging", map[string]string{"a": "the driver does not answer since", "b": "the driver does not answer", "c": "the driver does not answer"})
		b.gives(nil, errors.New("no permission"))
		time.Sleep(30 * time.Second)
		check("failing", map[string]string{"a": "no permission", "b": "no permission", "c": "no permission"})
		stop()

		b.gives(nil, ErrAbsent) // as after a restart of the worker without the driver
		s, stop = start(t, Options{Backends: []Backend{b, other}, StatePath: state})
		check("expected from before", map[string]string{"a": "not among", "b": "not among", "c": "not among"})
		stop()
	})
}
