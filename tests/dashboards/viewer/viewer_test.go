package viewer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFill(t *testing.T) {
	values := Values{
		"one":  {Chosen: []string{`a.b\c`}},
		"some": {Chosen: []string{"a.b", "c+"}, several: true},
		"solo": {Chosen: []string{"a.b"}, several: true},
		"all":  {Chosen: []string{"a", "b"}, several: true, All: true, allValue: ".*"},
		"each": {Chosen: []string{"a", "b"}, several: true, All: true},
	}
	for in, want := range map[string]string{
		`x{l="$one"}`:        `x{l="a.b\\c"}`,
		`x{l=~"$some"}`:      `x{l=~"(a\\.b|c\\+)"}`,
		`x{l=~"${solo}"}`:    `x{l=~"a\\.b"}`,
		`x{l=~"[[all]]"}`:    `x{l=~".*"}`,
		`x{l=~"$each"}`:      `x{l=~"(a|b)"}`,
		`${some:regex}`:      `(a\.b|c\+)`,
		`${some:pipe}`:       `a.b|c+`,
		`${some:csv}`:        `a.b,c+`,
		`$nothing ${no:raw}`: `$nothing ${no:raw}`,
	} {
		if got := Fill(in, values); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		length, interval time.Duration
		width            int
		step             time.Duration
		rate             string
	}{
		{time.Hour, 0, 24, 5 * time.Second, "20s"},
		{time.Hour, 0, 12, 5 * time.Second, "20s"},
		{time.Hour, 0, 4, 10 * time.Second, "20s"},
		{time.Hour, 30 * time.Second, 12, 30 * time.Second, "35s"},
		{24 * time.Hour, 0, 12, 2 * time.Minute, "2m5s"},
		{7 * 24 * time.Hour, 0, 24, 5 * time.Minute, "5m5s"},
	} {
		v := View{Now: time.Unix(1e9+3, 0), Range: c.length, Aligned: true}
		p := Panel{Width: c.width, Interval: c.interval}
		r := v.Request(p, Target{Expr: "$__rate_interval"}, Values{})
		if r.Step != c.step || r.Expr != c.rate {
			t.Errorf("%s over %d columns: step %s, rate interval %s, want %s, %s", c.length, c.width, r.Step, r.Expr, c.step, c.rate)
		}
		if r.End.Sub(r.Start) != c.length || r.End.UnixNano()%int64(r.Step) != 0 {
			t.Errorf("%s over %d columns: from %s to %s", c.length, c.width, r.Start, r.End)
		}
		if got := v.Request(p, Target{Instant: true}, Values{}); got.End != v.Now {
			t.Errorf("an instant query is asked for %s, want %s", got.End, v.Now)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`{
		"uid": "u", "title": "T", "time": {"from": "now-6h"},
		"templating": {"list": [
			{"name": "c", "type": "query", "query": {"query": "label_values(x{a=\"1\", b=\"2\"}, c)"}, "multi": true, "includeAll": true, "allValue": ".*"},
			{"name": "k", "type": "custom", "query": "a,b", "options": [{"value": "a"}, {"value": "b"}]}
		]},
		"panels": [
			{"id": 1, "type": "text", "title": "nothing to ask"},
			{"id": 2, "type": "row", "title": "Open", "panels": []},
			{"id": 3, "type": "timeseries", "title": "A", "gridPos": {"w": 12}, "interval": "1m", "targets": [
				{"refId": "A", "expr": "up", "legendFormat": "{{job}}", "format": "time_series"}, {"refId": "B", "expr": "down", "hide": true}]},
			{"id": 4, "type": "row", "title": "Folded", "collapsed": true, "panels": [
				{"id": 5, "type": "table", "title": "B", "gridPos": {"w": 24}, "targets": [{"refId": "A", "expr": "up", "format": "table", "instant": true}],
				 "fieldConfig": {"defaults": {"noValue": "none"}, "overrides": [{"matcher": {"id": "byName", "options": "job"},
				 	"properties": [{"id": "links", "value": [{"url": "/d/x"}]}]}]},
				 "transformations": [{"id": "merge"}, {"id": "filterFieldsByName", "options": {"include": {"names": ["job", "Value"]}}}]}]}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Dashboard{
		UID: "u", Title: "T", From: 6 * time.Hour,
		Variables: []Variable{
			{Name: "c", Type: "query", Query: `label_values(x{a="1", b="2"}, c)`, Multi: true, All: true, AllValue: ".*"},
			{Name: "k", Type: "custom", Options: []string{"a", "b"}},
		},
		Panels: []Panel{
			{ID: 3, Type: "timeseries", Title: "A", Row: "Open", Width: 12, Interval: time.Minute, Targets: []Target{{RefID: "A", Expr: "up", Legend: "{{job}}", Format: "time_series"}}},
			{
				ID: 5, Type: "table", Title: "B", Row: "Folded", Width: 24, Collapsed: true, NoValue: "none",
				Targets: []Target{{RefID: "A", Expr: "up", Format: "table", Instant: true}},
				Columns: []string{"job", "Value"}, Overridden: []string{"job"}, Links: []string{"/d/x"},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v := got.Variables[0]; v.Match() != `x{a="1", b="2"}` || v.Of() != "c" {
		t.Errorf("%s lists %s of %s", v.Query, v.Of(), v.Match())
	}
}
