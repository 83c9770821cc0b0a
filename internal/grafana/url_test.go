package grafana

import (
	"strings"
	"testing"
)

func TestNormalizeURL(t *testing.T) {
	const (
		assumed = "has no scheme"
		inside  = "has no dot in it"
	)
	for in, tc := range map[string]struct {
		want  string
		notes []string // a part of each
	}{
		"":                                      {},
		" \t\n":                                 {},
		"http://grafana.example.com":            {want: "http://grafana.example.com"},
		"  https://grafana.example.com:3000/  ": {want: "https://grafana.example.com:3000"},
		"https://obs.example.com/a/grafana///":  {want: "https://obs.example.com/a/grafana"},
		"https://obs.example.com/a%2Fb/":        {want: "https://obs.example.com/a%2Fb"},
		"HTTPS://Obs.example.com/G":             {want: "https://Obs.example.com/G"},
		"grafana.example.com":                   {want: "http://grafana.example.com", notes: []string{assumed}},
		"grafana.example.com:3000/grafana/":     {want: "http://grafana.example.com:3000/grafana", notes: []string{assumed}},
		"//grafana.example.com":                 {want: "http://grafana.example.com", notes: []string{assumed}},
		"localhost:3000":                        {want: "http://localhost:3000", notes: []string{assumed}},
		"http://LOCALHOST:3000":                 {want: "http://LOCALHOST:3000"},
		"http://127.0.0.1:3000":                 {want: "http://127.0.0.1:3000"},
		"http://[::1]:3000":                     {want: "http://[::1]:3000"},
		"http://[2001:db8::5]/g":                {want: "http://[2001:db8::5]/g"},
		"http://grafana:3000":                   {want: "http://grafana:3000", notes: []string{inside}},
		"grafana:3000":                          {want: "http://grafana:3000", notes: []string{assumed, inside}},
		"http://gra_fana.example.com":           {want: "http://gra_fana.example.com"},
		"http://büro.example.com":               {want: "http://b%C3%BCro.example.com"},
		"http://0.0.0.0:3000":                   {want: "http://0.0.0.0:3000", notes: []string{"what servers listen on"}},
	} {
		u, notes, err := NormalizeURL(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		got := ""
		if u != nil {
			got = u.String()
		}
		if got != tc.want || len(notes) != len(tc.notes) {
			t.Errorf("%q: got %q with %q, want %q with %q", in, got, notes, tc.want, tc.notes)
			continue
		}
		for i, part := range tc.notes {
			if !strings.Contains(notes[i], part) {
				t.Errorf("%q: note %q, want %q in it", in, notes[i], part)
			}
		}
	}
}

func TestNormalizeURLSaysWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"http://grafana.example.com :3000":         "space or a control character",
		"http://a.example.com http://b.example":    "space or a control character",
		"http://gra fana/":                         "space or a control character",
		"http://grafana.example.com/\x00":          "space or a control character",
		"http://grafana.example.com/a\u00a0b":      "space or a control character",
		"http://admin:s3cret@grafana.example.com":  "take out what is before the @",
		"admin:s3cret@grafana.example.com":         "take out what is before the @",
		"http://s3cret@grafana.example.com":        "take out what is before the @",
		"http://admin:s3cret@grafana:bad":          "invalid port",
		"http://grafana.example.com/?orgId=1":      "query or a fragment",
		"http://grafana.example.com/?":             "query or a fragment",
		"http://grafana.example.com/#/d/x":         "query or a fragment",
		"http://grafana.example.com#":              "query or a fragment",
		"ftp://grafana.example.com":                `scheme "ftp": use http:// or https://`,
		"file:///usr/share/grafana":                `scheme "file"`,
		"://grafana.example.com":                   `scheme ""`,
		"http://":                                  "no host",
		"http:///grafana":                          "no host",
		"http://:3000":                             "no host",
		":3000":                                    "no host",
		"/grafana":                                 "no host",
		"https:grafana.example.com":                "invalid port",
		"http://grafana.example.com:":              "no port after the colon",
		"http://grafana.example.com:0":             "port 0: ports are 1 to 65535",
		"http://grafana.example.com:65536":         "port 65536",
		"http://grafana.example.com:99999999999":   "port 99999999999",
		"http://grafana.example.com:30x0":          "invalid port",
		"http://<GRAFANA_HOST>:3000":               `"<GRAFANA_HOST>" is no host name`,
		"http://${GRAFANA_HOST}:3000":              `invalid character "{" in host name`,
		"http://[::1":                              "missing ']'",
		"http://grafana.example.com/%zz":           "invalid URL escape",
		"http://" + strings.Repeat("a", 3000) + "": "longer than 2048 bytes",
	} {
		u, notes, err := NormalizeURL(in)
		if err == nil || u != nil || notes != nil {
			t.Errorf("%q: got %v, %q, %v", in, u, notes, err)
			continue
		}
		if text := err.Error(); !strings.Contains(text, want) || strings.Contains(text, "s3cret") || strings.Contains(text, "\n") || len(text) > 500 {
			t.Errorf("%q: %q, want %q in it", in, text, want)
		}
	}
}
