package session

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// One instance that the server would refuse costs neither the others nor itself: it is reported with what breaks a rule replaced, and says so.
func TestInstancesThatTheServerWouldRefuseAreMended(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for name, c := range map[string]struct {
		change func(*fleet.ReportedInstance)
		say    []string // parts of the message and of the log; nil: it needs no word
		left   bool     // it is left out
	}{
		"long name":       {func(in *fleet.ReportedInstance) { in.Name = long[:254] }, []string{"name is 254 bytes", "253", "instance there"}, false},
		"no name":         {func(in *fleet.ReportedInstance) { in.Name = "" }, []string{"field=name", "is empty"}, true},
		"control in name": {func(in *fleet.ReportedInstance) { in.Name = "a\x1bb" }, []string{"U+001B"}, false},
		"direction":       {func(in *fleet.ReportedInstance) { in.Name = "a\u202eb" }, []string{"U+202E"}, false},
		"long model":      {func(in *fleet.ReportedInstance) { in.Model = long[:513] }, []string{"model is 513 bytes", "512", "model there"}, false},
		"control":         {func(in *fleet.ReportedInstance) { in.Model = "a\nb" }, []string{"U+000A"}, false},
		"invisible":       {func(in *fleet.ReportedInstance) { in.Model = "qwen\u200b" }, []string{"U+200B"}, false},
		"no UTF-8":        {func(in *fleet.ReportedInstance) { in.Model = "a\xff" }, []string{"model is", "UTF-8"}, false},
		"runtime":         {func(in *fleet.ReportedInstance) { in.Runtime = long[:65] }, []string{"runtime is 65 bytes", "64"}, false},
		"long url":        {func(in *fleet.ReportedInstance) { in.URL = "http://h/" + long[:2048] }, []string{"url is 2057 bytes", "2048"}, false},
		"bad url":         {func(in *fleet.ReportedInstance) { in.URL = "10.0.0.1:8000" }, []string{"url cannot be read", "url there"}, false},
		"state":           {func(in *fleet.ReportedInstance) { in.State = "dancing" }, []string{"field=state", "dancing"}, true},
		"the same name":   {func(in *fleet.ReportedInstance) { in.Name = "first" }, []string{"name first is that of another instance too"}, false},
		"much at once": {func(in *fleet.ReportedInstance) {
			in.Source, in.SourceKey, in.Category, in.Group, in.Connector, in.Upstreams = long, long, long, long, long, strings.Repeat(long, 6)
		}, []string{"source is 3000 bytes", "upstreams is 18000 bytes"}, false},
		"no model":     {func(in *fleet.ReportedInstance) { in.Model, in.Runtime = "", "" }, nil, false},
		"long version": {func(in *fleet.ReportedInstance) { in.RuntimeVersion = strings.Repeat("ü", 128) }, nil, false},
		"odd version":  {func(in *fleet.ReportedInstance) { in.RuntimeVersion = "0.1\n\xff1\u202e" }, nil, false},
		"version cut":  {func(in *fleet.ReportedInstance) { in.RuntimeVersion = strings.Repeat("v", 127) + " 1" }, nil, false},
		"long message": {func(in *fleet.ReportedInstance) { in.StateMessage = strings.Repeat("語\x00", 5000) }, nil, false},
		"restarts":     {func(in *fleet.ReportedInstance) { in.RestartCount = -1 }, nil, false},
		"before 1970":  {func(in *fleet.ReportedInstance) { in.LastRestartAt, in.Since = time.Unix(-1, 0), time.Unix(-1, 0) }, nil, false},
		"far": {func(in *fleet.ReportedInstance) {
			in.LastRestartAt, in.Since = time.Unix(1<<40, 0), time.Unix(1<<40, 0)
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			log := &programs.Buffer{}
			f := reportFilter{logger: slog.New(slog.NewTextHandler(log, nil))}
			odd := good("odd")
			c.change(&odd)
			said := []fleet.ReportedInstance{good("first"), odd, good("last")}
			want, text := 3, ""
			if c.left {
				want = 2
			}
			for range 3 {
				got := f.accepted(said)
				if _, err := fleet.CheckReport(fleet.Report{Instances: reportedOf(got)}); err != nil {
					t.Fatalf("the server would refuse it: %v", err)
				}
				if len(got) != want || got[0].Name != "first" || got[len(got)-1].Name != "last" || f.unreported() != 3-want {
					t.Fatalf("%d instances and %d left out, want %d", len(got), f.unreported(), want)
				}
				if text = log.String(); !c.left {
					if in := got[1]; in.ownName != odd.Name || in.ownModel != odd.Model {
						t.Errorf("it is known as %q, %q", in.ownName, in.ownModel)
					}
					text = got[1].StateMessage
				}
			}
			warnings := min(len(c.say), 1)
			if n := strings.Count(log.String(), "level=WARN"); n != warnings {
				t.Errorf("%d warnings:\n%s", n, log.String())
			}
			for _, part := range c.say {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not said: %s", part, text)
				}
			}
			// When it is well again and then not, that is said again.
			f.accepted(said[:1])
			if f.unreported() != 0 {
				t.Errorf("%d are left out of what fits", f.unreported())
			}
			f.accepted(said)
			if n := strings.Count(log.String(), "level=WARN"); n != 2*warnings {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

func reportedOf(accepted []acceptedInstance) (out []fleet.ReportedInstance) {
	for _, in := range accepted {
		out = append(out, in.ReportedInstance)
	}
	return out
}

func TestInstancesBeyondTheServersBoundAreLeftOut(t *testing.T) {
	f := reportFilter{logger: slog.New(slog.DiscardHandler)}
	var many []fleet.ReportedInstance
	for n := range fleet.MaxInstances + 3 {
		many = append(many, good(fmt.Sprint("e", n)))
	}
	got := f.accepted(many)
	if _, err := fleet.CheckReport(fleet.Report{Instances: reportedOf(got)}); err != nil || len(got) != fleet.MaxInstances || f.unreported() != 3 {
		t.Errorf("%d instances, %d left out: %v", len(got), f.unreported(), err)
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

// The server refuses a report whose messages are longer than it says, and all engines with it.
func TestMessagesOfAReportAreShort(t *testing.T) {
	field, _ := reflect.TypeFor[wire.InstanceReport]().FieldByName("StateMessage")
	most, err := strconv.Atoi(field.Tag.Get("maxLength"))
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"x", "ü", "語", "🙂", "\xff"} {
		for length := most - 8; length <= most+8; length++ {
			long := strings.Repeat("x", length%len(piece)) + strings.Repeat(piece, length/len(piece))
			got := normalizeMessage(long)
			if len(got) > most || !utf8.ValidString(got) {
				t.Errorf("%d bytes of %q become %d: %q", length, piece, len(got), got[len(got)-8:])
			}
			if utf8.ValidString(long) && length <= most && got != long {
				t.Errorf("%d bytes of %q are cut to %d", length, piece, len(got))
			}
			if utf8.ValidString(long) && len(got) < min(length, most-8) {
				t.Errorf("%d bytes of %q are cut to %d", length, piece, len(got))
			}
		}
	}
}
