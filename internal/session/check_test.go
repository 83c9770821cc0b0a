package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/wire"
)

func settings() []wire.Setting {
	return []wire.Setting{{Flag: "--metrics-port", Value: "10151", Source: "default"}, {Flag: "--token", Value: "hunter2", Secret: true, Source: "flag"}}
}

func recent() []wire.LogRecord {
	return []wire.LogRecord{{At: time.Unix(1, 0).UTC(), Level: "INFO", Message: "first"}, {At: time.Unix(2, 0).UTC(), Level: "WARN", Message: "second", Attrs: []wire.LogAttr{{Key: "n", Value: "1", Kind: "number"}}}}
}

// A check is answered with the worker's membership and its clock, also where there is no page. Settings and log are told on request alone.
func TestCheckIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		works := func(deadline time.Time) exporter.Check {
			if left := time.Until(deadline); left != 8*time.Second {
				t.Errorf("%s are left", left)
			}
			time.Sleep(2 * time.Second)
			return exporter.Check{Took: 2 * time.Second, Bytes: 100, Series: 3, Own: "a 1\n", OwnCut: true}
		}
		fails := func(time.Time) exporter.Check { return exporter.Check{Err: errors.New(strings.Repeat("long\n", 1000))} }
		withoutSecret := settings()
		withoutSecret[1].Value = ""
		for name, c := range map[string]struct {
			check CheckFunc
			log   bool
			want  wire.WorkerCheck
		}{
			"works":           {works, false, wire.WorkerCheck{PageSeconds: 2, PageBytes: 100, PageSeries: 3, Own: "a 1\n", OwnCut: true}},
			"with the log":    {works, true, wire.WorkerCheck{PageSeconds: 2, PageBytes: 100, PageSeries: 3, Own: "a 1\n", OwnCut: true, Settings: withoutSecret, Log: recent()}},
			"fails":           {fails, false, wire.WorkerCheck{PageError: strings.Repeat("long; ", 86)[:maxErrorBytes] + "..."}},
			"without metrics": {nil, true, wire.WorkerCheck{PageError: errNoMetrics.Error(), Settings: withoutSecret, Log: recent()}},
		} {
			_, log, end := connect(t, r, func(o *Options) { o.Check, o.Settings, o.Recent = c.check, settings, recent })
			asked := time.Now()
			r.checks <- wire.CheckEvent{ID: name, TimeoutMillis: 10_000, Log: c.log}
			time.Sleep(3 * time.Second)
			r.set(func(r *remote) {
				c.want.Now = asked.Add(time.Duration(c.want.PageSeconds) * time.Second).UTC()
				if diff := cmp.Diff(c.want, r.sentChecks[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s\n%s", name, diff, log)
				}
				if m := r.members[len(r.members)-1]; m != (Membership{7, credential}) {
					t.Errorf("%s: answered as %+v", name, m)
				}
			})
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Checks beyond the slots are skipped, and the end of the session waits for none.
func TestCheckSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		release := make(chan struct{})
		_, log, end := connect(t, r, func(o *Options) {
			o.Check = func(time.Time) exporter.Check {
				<-release
				return exporter.Check{}
			}
		})
		for i := range maxChecks + 2 {
			r.checks <- wire.CheckEvent{ID: fmt.Sprint(i), TimeoutMillis: 8000}
		}
		time.Sleep(time.Second)
		if n := strings.Count(log.String(), "check of this worker is skipped"); n != 2 {
			t.Errorf("%d were skipped, want 2:\n%s", n, log)
		}
		began := time.Now()
		if err := end(); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		close(release)
	})
}

// Whatever a worker has to tell, a server takes it: the newest records that fit, and no text longer than allowed.
func TestCheckIsBounded(t *testing.T) {
	long := strings.Repeat("ü\x01<", 5000)
	var list []wire.LogRecord
	var flags []wire.Setting
	for i := range 3 * maxRecords {
		r := wire.LogRecord{Level: long, Message: fmt.Sprint(i)}
		if i%100 == 0 {
			r.Message = long
			for range 2 * maxAttrs {
				r.Attrs = append(r.Attrs, wire.LogAttr{Key: long, Value: "x", Kind: "text"})
			}
			r.Attrs[0].Value = long
		}
		list = append(list, r)
		flags = append(flags, wire.Setting{Flag: long, Value: long})
	}
	records, settings := boundRecords(list), boundSettings(flags)
	for what, v := range map[string]struct {
		list   any
		n, max int
		most   int
	}{"log": {records, len(records), maxRecords, maxRecordsBytes}, "settings": {settings, len(settings), maxSettings, maxSettingsBytes}} {
		data, err := json.Marshal(v.list)
		if err != nil || len(data) > v.most+2 || v.n == 0 || v.n > v.max {
			t.Errorf("%s: %d of %d bytes, %v", what, v.n, len(data), err)
		}
	}
	if last := records[len(records)-1].Message; last != fmt.Sprint(3*maxRecords-1) {
		t.Errorf("the last one is %s", last)
	}
	for _, r := range records {
		if len(r.Level) > maxLevel || len(r.Message) > maxMessage || len(r.Attrs) > maxAttrs || len(r.Attrs) > 0 && (len(r.Attrs[0].Key) > maxFlag || len(r.Attrs[0].Value) > maxValue) {
			t.Fatalf("too long: %+v", r)
		}
	}
	if len(list[0].Attrs) != 2*maxAttrs || len(list[0].Attrs[0].Value) != len(long) {
		t.Error("the caller's records were changed")
	}
}
