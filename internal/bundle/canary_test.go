package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// canaries are texts that must not be in a bundle, in any spelling.
var canaries = map[string]string{
	"token":    "Kx7qZ9vWm2Rt4yHs",
	"key":      "sk-proj-Bq3nXw8Lf",
	"prompt":   "zyrquon blimfarg quaxil",
	"word":     "blimfarg", // of the prompt
	"user":     "zaphodqx",
	"email":    "zaphodqx@betelgeuse.example",
	"home":     "/home/zaphodqx/private",
	"worker":   "krillmaw",
	"model":    "Vogon/Poetry-70B-zx",
	"instance": "vogsphere-0",
	"host":     "node17.megadodo.example",
	"address":  "10.77.31.9",
	"digits":   "8391750264",
}

// leaks returns the canaries that text has, also in lower case, in base64 at every offset, escaped in URLs and in JSON.
func leaks(text string) (found []string) {
	folded := strings.ToLower(text)
	for name, c := range canaries {
		spellings := []string{c, url.QueryEscape(c), url.PathEscape(c)}
		if quoted, err := json.Marshal(c); err == nil {
			spellings = append(spellings, strings.Trim(string(quoted), `"`))
		}
		for _, s := range spellings {
			if strings.Contains(folded, strings.ToLower(s)) {
				found = append(found, name+": "+s)
			}
		}
		for offset := range 3 {
			for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				whole := enc.EncodeToString([]byte(strings.Repeat("\x00", offset) + c))
				// The ends depend on what stands beside it.
				if inner := whole[4 : len(whole)-4]; len(inner) >= 8 && strings.Contains(text, inner) {
					found = append(found, name+" in base64")
				}
			}
		}
	}
	return found
}

// everywhere has a canary in every spelling that a program may give it.
func everywhere() string {
	var b strings.Builder
	for _, c := range canaries {
		fmt.Fprintf(&b, "%s %q '%s' (%s) <%s>, %s: x=%s;%s/%s %s %s http://%s@h/%s?k=%s http://h/?%s \n", c, c, c, c, c, c, c, c, c,
			url.QueryEscape(c), base64.StdEncoding.EncodeToString([]byte(c)), url.UserPassword(c, c), url.PathEscape(c), url.QueryEscape(c), c)
	}
	return b.String()
}

func canaryNames() []Name {
	return []Name{{Worker, canaries["worker"]}, {Model, canaries["model"]}, {Instance, canaries["instance"]}, {User, canaries["user"]}, {Text, canaries["token"]}}
}

func TestCanaries(t *testing.T) {
	if got := leaks(base64.StdEncoding.EncodeToString([]byte("a" + canaries["token"]))); len(got) == 0 {
		t.Fatal("a canary in base64 is not seen")
	}
	all := everywhere()
	if len(leaks(all)) < len(canaries) {
		t.Fatal("canaries are not seen")
	}
	for what, r := range map[string]*Redactor{"known": NewRedactor(canaryNames(), nil), "unknown": NewRedactor(nil, nil)} {
		outputs := map[string]string{"text": r.Text(all)}
		for name, c := range canaries {
			page := fmt.Sprintf("# HELP x %[1]s\n# %[1]s\n# TYPE x %[1]s\n# TYPE x gauge\nx{model_name=%[2]q,reason=%[2]q,le=%[4]q,version=%[2]q,name=%[2]q,metric=%[2]q,runtime=%[2]q,user=%[2]q,device=%[2]q,mountpoint=%[2]q,code=%[2]q} 1 # {trace=%[2]q} 1\n%[1]s\nx 1 %[1]s\n# TYPE blimfarg gauge\nblimfarg x %[1]s\nx{a=%[3]q} 2\n", c, c, all, "x"+c)
			text, left := r.Page([]byte(page), 1<<20)
			outputs["page "+name] = string(text)
			if left.Help != 1 || left.Comments != 3 {
				t.Errorf("%+v of %s", left, page)
			}
			for _, v := range []string{c, all, "url=http://" + c + "@h:1/?" + c + ",model=" + c + ",role=" + c + ",version=" + c + "," + c, "http://" + c, "a=" + c + ",b", "/" + c} {
				for _, flag := range []string{"--engine", "--log-level", "--x", "--" + c, c} {
					outputs["setting "+name] += string(r.Settings([]wire.Setting{{Flag: flag, Value: v, Source: c}, {Flag: flag, Value: v, Secret: true, Source: "flag"}}))
				}
			}
			for _, kind := range []string{"text", "number", "bool", "duration", "time", c} {
				for _, key := range []string{"component", "reason", "error", "url", "address", "worker", "group.error", c, "a." + c} {
					for _, v := range []string{c, all, "http://" + c, c + ":80"} {
						if name == "digits" && kind == "number" { // numbers stay
							continue
						}
						outputs["log "+name] += string(r.Log([]wire.LogRecord{{At: time.Unix(0, 0), Level: c, Message: "cannot read " + c, Attrs: []wire.LogAttr{{Key: key, Value: v, Kind: kind}}}}))
					}
				}
			}
			outputs["doctor "+name] = string(indented(r.Doctor(&wire.Doctor{
				Subject: wire.DoctorSubject{Kind: "worker", Name: c}, Summary: all, // ids, hops and states are constants of the doctor
				Findings: []wire.DoctorFinding{{Subject: wire.DoctorSubject{Kind: "metric", Name: c}, What: all, Seen: c, Do: all, Docs: c}},
				Paths:    []wire.DoctorPath{{InstanceName: c, WorkerName: c, Metric: c, Hops: []wire.DoctorHop{{Seen: all}}}},
			})))
			s := fleet.Snapshot{
				Clusters:  []fleet.Cluster{{Name: c}},
				Workers:   []fleet.Worker{{Name: c, Address: c, StateMessage: all, Version: c, UUID: c, Labels: map[string]string{c: c}}},
				Models:    []fleet.Model{{Name: c, Runtime: c, RuntimeVersion: c, Source: c, SourceKey: c, Category: c}},
				Instances: []fleet.Instance{{Name: c, StateMessage: all, URL: "http://" + c + ":80/" + c, Runtime: c, RuntimeVersion: c, Role: fleet.Role(c), Group: c}},
				GPUs:      []fleet.GPU{{ReportedGPU: fleet.ReportedGPU{Vendor: c, Name: c, Driver: c, Firmware: c, StateMessage: c}}},
			}
			outputs["inventory "+name], outputs["versions "+name] = string(r.Inventory(&s)), string(r.Versions(&s))
			document := map[string]any{
				c:                  c,
				"metric_queries":   map[string]any{c: c},
				"runtime_mapping":  map[string]any{c: map[string]any{c: map[string]any{"native_x": map[string]any{"to": "gpustack:x", "approx": c, "since": c, "match": map[string]any{"l": c, "m": []string{"!" + c}}, "add": map[string]any{"l": all}}}}},
				"gpustack_metrics": map[string]any{"gpustack:x": map[string]any{"description": c, "unit": c, "type": "gauge"}},
			}
			encoded, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			redacted, err := r.Mapping(encoded)
			if err != nil || !bytes.Contains(redacted, []byte(`"to": "gpustack:x"`)) || !bytes.Contains(redacted, []byte("native_x")) {
				t.Errorf("%v: %s", err, redacted)
			}
			outputs["mapping "+name] = string(redacted)
			var native bytes.Buffer
			r.NativeReport(&native, &wire.NativeReport{Name: c, Type: c, Why: all, Outcomes: []wire.NativeOutcome{{Family: c, Why: c}}}, SampleNames([]byte(page)))
			outputs["native "+name] = native.String()
		}
		for part, text := range outputs {
			if found := leaks(text); len(found) > 0 {
				t.Errorf("%s, %s: %q in\n%s", what, part, found, text[:min(len(text), 3000)])
			}
		}
	}
}

// FuzzRedact: what stands beside a secret does not bring it through.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"", " ", "\"", "'", "`", "\\", "http://", "@", "/", ".", ":", "=", "--", "a", "10.0.0.", "v1.", "-", "_", "%", "\n", "\x00", "ä", "error ", "1ns", "{", "!", "*", "NVIDIA ", "url=", ",", "?", "[::", "]:80", "stop", "worker-"} {
		f.Add(s, s)
		f.Add(s, "")
		f.Add("", s)
	}
	r := NewRedactor([]Name{{Worker, "gpu-1"}, {Model, "a b"}}, []string{"gpustack:x"})
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, canary := range []string{"Kx7qZ9vWm2", "kxqzvwmhtr", "8391750264", "zyrquon blimfarg"} {
			s := before + canary + after
			outputs := map[string]string{"text": r.Text(s), "url": r.URL(s), "URL": r.URL("http://" + s)}
			for _, label := range []string{"reason", "version", "model_name", "name", "device", "metric", "mountpoint", "x", s} {
				outputs["label "+label] = r.Label(label, s)
			}
			for _, flag := range []string{"--engine", "--log-level", "--x", s} {
				outputs["setting "+flag] = string(r.Settings([]wire.Setting{{Flag: flag, Value: s, Source: "flag"}}))
			}
			for _, kind := range []string{"text", "bool", "duration", "time"} {
				for _, key := range []string{"component", "error", "x", s} {
					outputs["log "+key+kind] = string(r.Log([]wire.LogRecord{{Level: "INFO", Message: s, Attrs: []wire.LogAttr{{Key: key, Value: s, Kind: kind}}}}))
				}
			}
			quoted, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			page, _ := r.Page(append(append([]byte("# HELP x "+s+"\nx{a="), quoted...), "} 1\n"...), 1<<20)
			outputs["page"] = string(page)
			document, err := r.Mapping([]byte(`{"runtime_mapping":{"v":{"*":{"n":{"to":"m","match":{"a":` + string(quoted) + `}}}}},"a":` + string(quoted) + `}`))
			if err != nil {
				t.Fatal(err)
			}
			outputs["mapping"] = string(document)
			for where, text := range outputs {
				if strings.Contains(strings.ToLower(text), strings.ToLower(canary)) {
					t.Errorf("%s: %q of %q", where, text, s)
				}
			}
		}
	})
}
