package worker

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func good(name string) fleet.ReportedInstance {
	return fleet.ReportedInstance{Name: name, Model: "qwen", URL: "http://127.0.0.1:8000", Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning}
}

// One instance that the server would refuse costs the others nothing.
func TestMisfitsAreLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fleet.ReportedInstance)
		log    []string // nil: it is mended
	}{
		"long name":       {func(in *fleet.ReportedInstance) { in.Name = strings.Repeat("n", 254) }, []string{"field=name", "254 bytes", "253", "instance there"}},
		"no name":         {func(in *fleet.ReportedInstance) { in.Name = "" }, []string{"field=name", "is empty"}},
		"control in name": {func(in *fleet.ReportedInstance) { in.Name = "a\x1bb" }, nil},
		"direction":       {func(in *fleet.ReportedInstance) { in.Name = "a\u202eb" }, nil},
		"long model":      {func(in *fleet.ReportedInstance) { in.Model = strings.Repeat("m", 513) }, []string{"field=model", "513 bytes", "512", "model there"}},
		"control":         {func(in *fleet.ReportedInstance) { in.Model = "a\nb" }, nil},
		"invisible":       {func(in *fleet.ReportedInstance) { in.Model = "qwen\u200b" }, nil},
		"no UTF-8":        {func(in *fleet.ReportedInstance) { in.Model = "a\xff" }, []string{"field=model", "UTF-8"}},
		"runtime":         {func(in *fleet.ReportedInstance) { in.Runtime = strings.Repeat("r", 65) }, []string{"field=runtime", "65 bytes", "64"}},
		"long url":        {func(in *fleet.ReportedInstance) { in.URL = "http://h/" + strings.Repeat("u", 2048) }, []string{"field=url", "2057 bytes", "2048"}},
		"bad url":         {func(in *fleet.ReportedInstance) { in.URL = "10.0.0.1:8000" }, []string{"field=url", "cannot be read", "url there"}},
		"state":           {func(in *fleet.ReportedInstance) { in.State = "dancing" }, []string{"field=state", "dancing"}},
		"the same name":   {func(in *fleet.ReportedInstance) { in.Name = "first" }, []string{"field=name", "another instance too"}},
		"long version":    {func(in *fleet.ReportedInstance) { in.RuntimeVersion = strings.Repeat("ü", 128) }, nil},
		"odd version":     {func(in *fleet.ReportedInstance) { in.RuntimeVersion = "0.1\n\xff1\u202e" }, nil},
		"version cut":     {func(in *fleet.ReportedInstance) { in.RuntimeVersion = strings.Repeat("v", 127) + " 1" }, nil},
		"long message":    {func(in *fleet.ReportedInstance) { in.StateMessage = strings.Repeat("語\x00", 5000) }, nil},
		"restarts":        {func(in *fleet.ReportedInstance) { in.RestartCount = -1 }, nil},
		"before 1970":     {func(in *fleet.ReportedInstance) { in.LastRestartAt = time.Unix(-1, 0) }, nil},
		"far":             {func(in *fleet.ReportedInstance) { in.LastRestartAt = time.Unix(1<<40, 0) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logBuffer{}
			f := fitting{logger: slog.New(slog.NewTextHandler(log, nil))}
			odd := good("odd")
			c.change(&odd)
			said := []fleet.ReportedInstance{good("first"), odd, good("last")}
			for range 3 {
				got := f.fit(said)
				if _, err := fleet.CheckReport(fleet.Report{Instances: got}); err != nil {
					t.Fatalf("the server would refuse it: %v", err)
				}
				want := 3
				if c.log != nil {
					want = 2
				}
				if len(got) != want || got[0].Name != "first" || got[len(got)-1].Name != "last" || f.leftOut() != 3-want {
					t.Errorf("%d instances and %d left out, want %d", len(got), f.leftOut(), want)
				}
			}
			text := log.String()
			if n := strings.Count(text, "level=WARN"); n != min(len(c.log), 1) {
				t.Errorf("%d warnings:\n%s", n, text)
			}
			for _, part := range c.log {
				if !strings.Contains(text, part) {
					t.Errorf("the log lacks %q: %s", part, text)
				}
			}
			// When it is well again and then not, that is said again.
			f.fit(said[:1])
			if f.leftOut() != 0 {
				t.Errorf("%d are left out of what fits", f.leftOut())
			}
			f.fit(said)
			if n := strings.Count(log.String(), "level=WARN"); n != 2*min(len(c.log), 1) {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

func TestInstancesBeyondTheServersBoundAreLeftOut(t *testing.T) {
	f := fitting{logger: slog.New(slog.DiscardHandler)}
	var many []fleet.ReportedInstance
	for n := range fleet.MaxInstances + 3 {
		many = append(many, good(fmt.Sprint("e", n)))
	}
	got := f.fit(many)
	if _, err := fleet.CheckReport(fleet.Report{Instances: got}); err != nil || len(got) != fleet.MaxInstances || f.leftOut() != 3 {
		t.Errorf("%d instances, %d left out: %v", len(got), f.leftOut(), err)
	}
}

// A worker with an engine whose model's name is not one reports the others, and says on its page that one is left out.
func TestWorkerReportsAroundAMisfit(t *testing.T) {
	server := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = server.URL, joinToken
	o.Engines = []engine.Declaration{{URL: vllm(t), Instance: "well"}, {URL: vllm(t), Instance: "odd", Runtime: "vLLM", Model: strings.Repeat("m", fleet.MaxModelName+1)}}
	w := run(t, o)
	eventually(t, "a report of the engine that is well", func() bool {
		r, _ := server.lastReport()
		return len(r.Instances) == 1 && r.Instances[0].Name == "well" && r.Instances[0].Model == "qwen"
	})
	if got := lines(w.scrape(t, "/metrics"), "stackscope_unreported_instances{"); len(got) != 1 || !strings.HasSuffix(got[0], " 1") {
		t.Errorf("the page says %v", got)
	}
	if !strings.Contains(w.log.String(), "instance=odd field=model") {
		t.Errorf("log:\n%s", w.log)
	}
}

// The bounds that the API documents are those by which both sides check.
func TestBoundsOfTheAPI(t *testing.T) {
	for field, most := range map[string]int{
		"Name": fleet.MaxName, "Model": fleet.MaxModelName, "URL": fleet.MaxURL, "Runtime": fleet.MaxKind, "RuntimeVersion": fleet.MaxVersion,
		"StateMessage": fleet.MaxStateMessage, "Source": fleet.MaxKind, "SourceKey": fleet.MaxSourceKey, "Category": fleet.MaxKind,
	} {
		f, _ := reflect.TypeFor[wire.InstanceReport]().FieldByName(field)
		if got := f.Tag.Get("maxLength"); got != fmt.Sprint(most) {
			t.Errorf("%s: documented is %s, checked is %d", field, got, most)
		}
	}
}

// A server that cannot store a report is asked again and again, and the worker stays who it is.
func TestReportThatTheServerCannotStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.status["report"] = http.StatusServiceUnavailable
		linked(t, r)
		time.Sleep(10 * time.Minute)
		if n := len(r.of("register")); n != 1 {
			t.Errorf("%d registrations", n)
		}
		if n := len(r.of("report")); n < 20 {
			t.Errorf("%d reports in ten minutes", n)
		}
		r.set(func(r *remote) { r.status["report"] = 0 })
		time.Sleep(lastPause)
		r.set(func(r *remote) {
			if len(r.reports) == 0 {
				t.Error("no report when the server can store again")
			}
		})
	})
}

// What could not be kept on disk is tried again, without a reason of its own.
func TestKeepingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		w, log, end := linked(t, newRemote(), func(o *Options) { o.DataDir = dir })
		if err := end(); err != nil {
			t.Fatal(err)
		}
		state, mapping := filepath.Join(dir, "worker.json"), filepath.Join(dir, "mapping.json")
		if data, err := os.ReadFile(state); err != nil || !strings.Contains(string(data), credential) {
			t.Errorf("the state on disk lacks what the server gave: %s, %v", data, err)
		}
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		go w.keep(ctx)
		w.keeper.joined("http://server", wire.RegisterResponse{WorkerID: 9, Credential: "another"})
		w.saves.send()
		if err := w.follower.Apply(wire.MappingEvent{Generation: 5, Default: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if n := strings.Count(log.String(), "not kept on disk"); n != 2 {
			t.Errorf("%d lines say that it is not kept, want one for each file:\n%s", n, log)
		}
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retrySaving)
		synctest.Wait()
		if data, err := os.ReadFile(state); err != nil || !strings.Contains(string(data), "another") {
			t.Errorf("state: %s, %v", data, err)
		}
		if data, err := os.ReadFile(mapping); err != nil || !strings.Contains(string(data), `"generation":5`) {
			t.Errorf("mapping: %s, %v", data, err)
		}
	})
}
