package exporter

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/mapping"
)

// userPage is a page of LiteLLM with so many users.
func userPage(users, value int) string {
	var b strings.Builder
	for _, family := range []string{"litellm_input_tokens_metric_total", "litellm_output_tokens_metric_total"} {
		for u := range users {
			fmt.Fprintf(&b, "%s{api_key_alias=\"key-%d\",end_user=\"None\",hashed_api_key=\"%016x\",requested_model=\"qwen\",team=\"None\",user=\"user-%05d\",user_email=\"user-%05d@example.com\"} %d\n", family, u, u, u, u, value+u)
		}
	}
	b.WriteString("litellm_in_flight_requests 3\n")
	return b.String()
}

// Ten thousand users of a gateway have as many series as the limit says, and no counter falls from page to page.
func TestManyUsersOfAGateway(t *testing.T) {
	const many, limit = 10_000, 100
	for _, key := range [][]byte{nil, []byte("a secret of workers")} {
		gateway := &fakeEngine{instance: Instance{Name: "proxy", Runtime: "LiteLLM", Gateway: true}}
		compiled, err := mapping.Compile(mapping.Default())
		if err != nil {
			t.Fatal(err)
		}
		e, err := New(Options{
			Engines: func() []Engine { return []Engine{gateway, newEngine("a")} }, Mapping: &fakeMapping{compiled, 1},
			Identity: func() Identity { return Identity{} }, UserLimit: limit, UserKey: key,
		})
		if err != nil {
			t.Fatal(err)
		}
		h := e.Handler()
		last := map[string]float64{}
		for n := range 4 {
			gateway.set(userPage(many, n), nil)
			page := get(t, h, "/metrics", timeoutHeader, "30")
			sums, seen := map[string]float64{}, map[string]float64{}
			for line := range strings.Lines(page) {
				name, _, ok := strings.Cut(line, "{")
				if !ok || !strings.HasPrefix(name, "gpustack:gateway_") || !strings.Contains(line, `user="`) {
					continue
				}
				at := strings.LastIndexByte(line, ' ')
				v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
				if err != nil {
					t.Fatal(err)
				}
				sums[name] += v
				seen[line[:at]] = v
				if v < last[line[:at]] {
					t.Errorf("page %d: %s fell from %v to %v", n, line[:at], last[line[:at]], v)
				}
				if strings.Contains(line, "@example.com") || strings.Contains(line, "key-") || key != nil && strings.Contains(line, "user-") {
					t.Fatalf("a name is shown: %s", line)
				}
			}
			if len(seen) != 2*(limit+1) || n > 0 && len(last) != len(seen) {
				t.Errorf("page %d: %d series of users", n, len(seen))
			}
			last = seen
			for _, name := range []string{"gpustack:gateway_prompt_tokens_total", "gpustack:gateway_generation_tokens_total"} {
				if want := float64(many*(many-1)/2 + n*many); sums[name] != want {
					t.Errorf("page %d: %s adds up to %v, want %v", n, name, sums[name], want)
				}
			}
			own := `{model_instance_name="proxy",runtime="LiteLLM"} `
			for family, want := range map[string]int{"gateway_users": limit, "gateway_users_folded_total": many - limit, "runtime_series": 2*(limit+1) + 1} {
				if line := fmt.Sprintf("\ngpustack:%s%s%d\n", family, own, want); !strings.Contains(page, line) {
					t.Errorf("no line %s", line)
				}
			}
			if strings.Count(page, "gateway_users{") != 1 {
				t.Error("an engine has users")
			}
		}
		hidden := "# Left out, since users' names are hashed: the gateway proxy\n"
		for path, mapped := range map[string]bool{"/metrics/raw": true, "/metrics/raw/?cluster_labels=target": true, "/metrics/raw?unmapped=1": false} {
			gateway.set(userPage(many, 5)+"litellm_new_family{user=\"user-00001\"} 1\n", nil)
			raw := get(t, h, path, timeoutHeader, "30")
			if strings.Contains(raw, hidden) != (key != nil) || strings.Contains(raw, "litellm_new_family{") != (key == nil) || strings.Contains(raw, "user-00") != (key == nil) {
				t.Errorf("%s: with key %q the native families are\n%.300s", path, key, raw)
			}
			if strings.Contains(raw, "vllm:num_requests_running{") != mapped {
				t.Errorf("%s: the engine's families are\n%.300s", path, raw)
			}
		}
	}
}

const (
	twoFamilies = `{"gpustack_metrics":{"in":{"type":"counter","description":"I."},"out":{"type":"counter","description":"O."}},
		"runtime_mapping":{"Gate":{"*":{"g_in":"in","g_out":{"to":"out","rename":{"who":"user"}}}}}}`
	oneFamily = `{"gpustack_metrics":{"in":{"type":"counter","description":"I."}},"runtime_mapping":{"Gate":{"*":{"g_in":"in"}}}}`
)

// newGateway returns an exporter with a gateway that has a mapping of its own, and its log.
func newGateway(t *testing.T, text string, o Options, others ...Engine) (*Exporter, *fakeEngine, *strings.Builder) {
	t.Helper()
	gateway := &fakeEngine{instance: Instance{Name: "proxy", Runtime: "Gate", Gateway: true}}
	log := &strings.Builder{}
	o.Engines = func() []Engine { return append([]Engine{gateway}, others...) }
	o.Mapping, o.Identity, o.Logger = compiledMapping(t, text), func() Identity { return Identity{} }, slog.New(slog.NewTextHandler(log, nil))
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e, gateway, log
}

func compiledMapping(t *testing.T, text string) *fakeMapping {
	t.Helper()
	doc, err := mapping.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeMapping{compiled, 1}
}

// usersOf returns the values of label user of a family, in order.
func usersOf(lines []string) []string {
	var names []string
	for _, line := range lines {
		if _, rest, ok := strings.Cut(line, `user="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			names = append(names, name)
		}
	}
	return names
}

// Users of a gateway whose memory went to another engine are hashed as before, and nobody else is named.
func TestUsersOutliveTheMemoryOfTheirPage(t *testing.T) {
	var many strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&many, "g_in{team=\"%05d\",user=\"user-%d\"} 1\n", i, i%10)
	}
	var large strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&large, "g_in{number=\"%05d\"} 1\n", i)
	}
	other := &fakeEngine{instance: Instance{Name: "other", Runtime: "Gate"}, err: errors.New("down")}
	e, gateway, _ := newGateway(t, oneFamily, Options{UserLimit: 3, UserKey: []byte("a secret of workers"), Memory: budget.NewPool(grantedFor(t, compiledMapping(t, oneFamily), "Gate", large.String()))}, other)
	h := e.Handler()
	gateway.set(many.String(), nil)
	first := usersOf(series(get(t, h, "/metrics"), `in_total{model_instance_name="proxy"`))
	slices.Sort(first)
	first = slices.Compact(first)
	if len(first) != 4 || !slices.Contains(first, "other") || strings.Contains(fmt.Sprint(first), "user-") {
		t.Fatalf("users %q", first)
	}
	gateway.set("", errors.New("down"))
	other.set(large.String(), nil)
	if got := series(get(t, h, "/metrics"), "in_total{"); len(got) != 30_000 {
		t.Fatalf("the other engine's page has %d series", len(got))
	}
	for range 5 {
		gateway.set("g_in{user=\"new\"} 1\n"+many.String(), nil)
		other.set("", errors.New("down"))
		again := usersOf(series(get(t, h, "/metrics"), `in_total{model_instance_name="proxy"`))
		slices.Sort(again)
		if diff := cmp.Diff(first, slices.Compact(again)); diff != "" {
			t.Errorf("users (-before +after):\n%s", diff)
		}
	}
}

// A dry run names users as the page would, and decides about nobody.
func TestDryRunDecidesAboutNoUser(t *testing.T) {
	for _, key := range [][]byte{nil, []byte("a secret of workers")} {
		e, gateway, _ := newGateway(t, oneFamily, Options{UserLimit: 2, UserKey: key})
		h := e.Handler()
		count := func(kept, folded int) {
			t.Helper()
			page := get(t, h, "/metrics")
			want := []string{fmt.Sprintf(`gpustack:gateway_users{model_instance_name="proxy",runtime="Gate"} %d`, kept), fmt.Sprintf(`gpustack:gateway_users_folded_total{model_instance_name="proxy",runtime="Gate"} %d`, folded)}
			if diff := cmp.Diff(want, series(page, "gpustack:gateway_users")); diff != "" {
				t.Errorf("with key %q (-want +got):\n%s", key, diff)
			}
		}
		gateway.set("g_in{user=\"ann@x\"} 1\ng_out{who=\"xi@x\"} 1\ng_out{who=\"yu@x\"} 2\ng_out{who=\"zoe@x\"} 3\n", nil)
		count(1, 0)
		for range 2 {
			results, _, err := e.DryRun(t.Context(), compiledMapping(t, twoFamilies).compiled, time.Now().Add(time.Minute))
			if err != nil || results[0].Err != nil {
				t.Fatalf("%+v, %v", results, err)
			}
			var lines []string
			for _, s := range results[0].Difference.Series {
				lines = append(lines, s.Series)
			}
			// One more user fits the limit; the other two are folded.
			shown := usersOf(lines)
			if len(shown) != 2 || !slices.Contains(shown, "other") || strings.Contains(fmt.Sprint(lines), "xi@x") != (key == nil) || strings.Contains(fmt.Sprint(lines), "yu@x") {
				t.Errorf("with key %q a dry run shows %q", key, lines)
			}
			count(1, 0)
		}
		gateway.set("g_in{user=\"ann@x\"} 1\ng_in{user=\"bob@x\"} 2\n", nil)
		count(2, 0)
		gateway.set("g_in{user=\"ann@x\"} 1\ng_in{user=\"bob@x\"} 2\ng_in{user=\"cy@x\"} 2\n", nil)
		count(2, 1)
	}
}

// What the log shows of a line that cannot be read holds no name where names are hashed.
func TestLogNamesNobody(t *testing.T) {
	for _, key := range [][]byte{nil, []byte("a secret of workers")} {
		e, gateway, log := newGateway(t, twoFamilies, Options{UserLimit: 2, UserKey: key})
		gateway.set("g_in{user=\"ann@x\"} 1\ng_out{who=\"bob@x\"} x\n", nil)
		get(t, e.Handler(), "/metrics")
		if _, _, err := e.DryRun(t.Context(), compiledMapping(t, oneFamily).compiled, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if text := log.String(); !strings.Contains(text, "line 2") || !strings.Contains(text, "g_out") || strings.Contains(text, "@x") != (key == nil) {
			t.Errorf("with key %q the log is\n%s", key, text)
		}
	}
}
