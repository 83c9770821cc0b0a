package runtimes

import (
	"fmt"
	"strings"
	"testing"
)

func TestTopLevelString(t *testing.T) {
	for body, want := range map[string]string{
		`{"version":"1"}`: "1",
		`{"a":{"version":"2"},"b":[{"version":"3"}],"version":"4"}`: "4",
		`{"version":5}`:        "",
		`{"version":null}`:     "",
		`{"version":{"a":1}}`:  "",
		`{"a":1}`:              "",
		`["version","1"]`:      "",
		`"version"`:            "",
		`{"a":`:                "",
		``:                     "",
		`{"a":[[[]]],"version`: "",
	} {
		got, err := topLevelString(strings.NewReader(body), "version")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v", body, got, err)
		}
	}
}

func FuzzTopLevelString(f *testing.F) {
	f.Add(`{"a":{"version":"2"},"version":"4"}`)
	f.Fuzz(func(_ *testing.T, body string) { _, _ = topLevelString(strings.NewReader(body), "version") })
}

func TestReadAbout(t *testing.T) {
	a, err := readAbout(strings.NewReader(teiInfo), "version")
	if err != nil || a.texts["version"] != "1.9.3" || len(a.texts) != 1 || !a.members["model_type"] || a.members["embedding"] {
		t.Errorf("got %+v, %v", a, err)
	}
	many := &strings.Builder{}
	for i := range maxMembers + 1 {
		fmt.Fprintf(many, `,"m%d":1`, i)
	}
	for _, body := range []string{"", "[]", `"a"`, `{"a":`, `{"a":1`, `{"version":}`, "{" + many.String()[1:] + "}"} {
		if _, err := readAbout(strings.NewReader(body), "version"); err == nil {
			t.Errorf("%.40s: no error", body)
		}
	}
}

func FuzzReadAbout(f *testing.F) {
	for _, s := range []string{tgiInfo, teiInfo, mindieInfo, `{"a":[{}],"version":{"b":1}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a, err := readAbout(strings.NewReader(body), "version")
		if len(a.members) > maxMembers+1 || len(a.texts) > 1 {
			t.Errorf("%d members, %d texts, %v", len(a.members), len(a.texts), err)
		}
		_ = a.runtime()
	})
}

const (
	tgiInfo    = `{"model_id":"org/chat","model_sha":null,"model_pipeline_tag":"text-generation","validation_workers":2,"router":"text-generation-router","version":"3.3.7","docker_label":null}`
	teiInfo    = `{"model_id":"/data/gte","model_sha":null,"model_dtype":"float16","served_model_name":"gte-base","model_type":{"embedding":{"pooling":"cls"}},"tokenization_workers":4,"version":"1.9.3"}`
	mindieInfo = `{"docker_label":null,"validation_workers":null,"version":"3.0.0","models":[{"model_id":"m","model_pipeline_tag":"text-generation"}]}`
)
