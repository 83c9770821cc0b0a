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

// One instance that the server would refuse costs the others nothing.
func TestInstancesThatTheServerWouldRefuseAreOmitted(t *testing.T) {
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
			log := &programs.Buffer{}
			f := reportFilter{logger: slog.New(slog.NewTextHandler(log, nil))}
			odd := good("odd")
			c.change(&odd)
			said := []fleet.ReportedInstance{good("first"), odd, good("last")}
			for range 3 {
				got := f.accepted(said)
				if _, err := fleet.CheckReport(fleet.Report{Instances: got}); err != nil {
					t.Fatalf("the server would refuse it: %v", err)
				}
				want := 3
				if c.log != nil {
					want = 2
				}
				if len(got) != want || got[0].Name != "first" || got[len(got)-1].Name != "last" || f.unreported() != 3-want {
					t.Errorf("%d instances and %d left out, want %d", len(got), f.unreported(), want)
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
			f.accepted(said[:1])
			if f.unreported() != 0 {
				t.Errorf("%d are left out of what fits", f.unreported())
			}
			f.accepted(said)
			if n := strings.Count(log.String(), "level=WARN"); n != 2*min(len(c.log), 1) {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

func TestInstancesBeyondTheServersBoundAreLeftOut(t *testing.T) {
	f := reportFilter{logger: slog.New(slog.DiscardHandler)}
	var many []fleet.ReportedInstance
	for n := range fleet.MaxInstances + 3 {
		many = append(many, good(fmt.Sprint("e", n)))
	}
	got := f.accepted(many)
	if _, err := fleet.CheckReport(fleet.Report{Instances: got}); err != nil || len(got) != fleet.MaxInstances || f.unreported() != 3 {
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
