package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDeclaration(t *testing.T) {
	for s, want := range map[string]Declaration{
		"url=http://127.0.0.1:8000,model=qwen,instance=qwen-0,runtime=vLLM,version=0.11.0": {
			URL: "http://127.0.0.1:8000", Model: "qwen", Instance: "qwen-0", Runtime: "vLLM", Version: "0.11.0", Path: "/metrics",
		},
		"http://127.0.0.1:8000":                         {URL: "http://127.0.0.1:8000", Path: "/metrics"},
		"https://h:1/,runtime=sglang":                   {URL: "https://h:1", Runtime: "SGLang", Path: "/metrics"},
		" url = http://h:1/metrics , model = a/b ":      {URL: "http://h:1", Model: "a/b", Path: "/metrics"},
		"url=http://h:1/metrics/":                       {URL: "http://h:1", Path: "/metrics"},
		"url=http://h:1/v2/engine":                      {URL: "http://h:1/v2/engine", Path: "/metrics"},
		"url=http://h:8000,path=/v1/metrics":            {URL: "http://h:8000", Path: "/v1/metrics"},
		"url=http://h/x/metrics,path=/metrics":          {URL: "http://h/x/metrics", Path: "/metrics"},
		"url=http://u:p@[::1]:8000,runtime=LMDeploy":    {URL: "http://u:p@[::1]:8000", Runtime: "LMDeploy", Path: "/metrics"},
		`url=http://h:1,model=a\,b\\c\d,runtime=MINDIE`: {URL: "http://h:1", Model: `a,b\c\d`, Runtime: "MindIE", Path: "/metrics"},
	} {
		got, err := ParseDeclaration(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", s, diff)
		}
	}
}

func TestParseDeclarationFaults(t *testing.T) {
	for s, want := range map[string]string{
		"":                            "it is empty: give key=value",
		"url=http://h:1,modell=x":     `unknown key "modell": the keys are url, model, instance, runtime, version, path`,
		"url=http://h:1,x":            "part 2 is not key=value: the keys are",
		"url=http://h:1,":             "part 2 is not key=value: the keys are",
		"model=x":                     `key "url" is missing`,
		"url=":                        `key "url" has no value`,
		"url=http://h:1,url=http://h": `key "url" is given twice: give it once`,
		"url=127.0.0.1:8000":          `give http://HOST:PORT`,
		"url=localhost:8000":          `give http://HOST:PORT`,
		"url=ftp://h:8000":            `url "ftp://h:8000" does not begin with http:// or https://: give http://HOST:PORT`,
		"url=http://:8000":            "has no host",
		"url=http://h:port":           "is not valid: give http://HOST:PORT",
		"url=http://h:1?x=y":          "omit ? or # and what follows",
		"url=http://h:1,path=metrics": `path "metrics" is not valid: it must begin with /`,
		"url=http://h:1,path=/m?x":    "neither ? nor #",
		"url=http://h:1,model=a\nb":   "control character",
		"url=http://h:1,version=" + strings.Repeat("1", 200): "has 200 bytes: at most 128 are allowed",
	} {
		_, err := ParseDeclaration(s)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--engine: ") || !strings.Contains(err.Error(), "; example: url=http://127.0.0.1:8000,") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %s", s, err, want)
		}
	}
	for _, s := range []string{"url=ftp://ops:hunter2@h:1", "url=http://ops:hunter2@h:port", "url=http://ops:hunter2@h:1?x"} {
		if _, err := ParseDeclaration(s); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestCheckDeclarationsNamesInstances(t *testing.T) {
	got, err := CheckDeclarations([]Declaration{
		{URL: "http://127.0.0.1:8000", Model: "qwen"},
		{URL: "http://localhost:8001"},
		{URL: "http://10.0.0.7:8000", Model: "qwen"},
		{URL: "https://gpu-7", Model: "qwen"},
		{URL: "http://[::1]:8000", Model: "qwen"},
		{URL: "http://0.0.0.0:8002", Instance: "mine"},
	}, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range got {
		names = append(names, d.Instance)
	}
	want := []string{"qwen-node-1-8000", "node-1-8001", "qwen-10.0.0.7-8000", "qwen-gpu-7-443", "qwen-node-1-8000-2", "mine"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCheckDeclarationsRefusesWhatStandsThereTwice(t *testing.T) {
	for want, declared := range map[string][]Declaration{
		`engines 1 and 2 have the same instance name "a"`:                  {{URL: "http://h:1", Instance: "a"}, {URL: "http://h:2", Instance: "a"}},
		"engines 1 and 3 have the same metrics page http://h:80/metrics":   {{URL: "http://h"}, {URL: "http://g"}, {URL: "http://x:y@H:80/metrics"}},
		`engine 2: key "url" is missing; example: url=http://127.0.0.1:80`: {{URL: "http://h"}, {Model: "x"}},
	} {
		if _, err := CheckDeclarations(declared, "w"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "x:y") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func FuzzParseDeclaration(f *testing.F) {
	f.Add(example)
	f.Add(`url=http://u:p@h:1/a/,model=\,\\,path=/x`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDeclaration(s)
		if err != nil {
			return
		}
		if _, err := d.target(""); err != nil {
			t.Errorf("%q: accepted, but %v", s, err)
		}
		again, err := CheckDeclarations([]Declaration{d}, "w")
		if err != nil {
			t.Fatalf("%q: accepted, but %v", s, err)
		}
		d.Instance = again[0].Instance
		if diff := cmp.Diff(d, again[0]); diff != "" {
			t.Errorf("%q: not stable\n%s", s, diff)
		}
	})
}

func TestDeclaredRuntimeHasItsPath(t *testing.T) {
	for s, want := range map[string][2]string{
		"url=http://h:1,runtime=trtllm-serve":                     {"http://h:1", "/prometheus/metrics"},
		"url=http://h:1/prometheus/metrics/,runtime=TRTLLM-SERVE": {"http://h:1", "/prometheus/metrics"},
		"url=http://h:1/x/metrics,runtime=trtllm-serve":           {"http://h:1/x", "/metrics"},
		"url=http://h:1/v1/metrics,runtime=NIM":                   {"http://h:1", "/v1/metrics"},
		"url=http://h:1,runtime=NIM,path=/metrics":                {"http://h:1", "/metrics"},
		"url=http://h:1,runtime=vLLM":                             {"http://h:1", "/metrics"},
	} {
		d, err := ParseDeclaration(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]string{d.URL, d.Path}; got != want {
			t.Errorf("%s: got %q, want %q", s, got, want)
		}
	}
}
