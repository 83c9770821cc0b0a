package translate_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

const userMapping = `{"gpustack_metrics":{
	"gpustack:gateway_requests":{"type":"counter","description":"R."},
	"gpustack:gateway_tokens":{"type":"counter","description":"T."},
	"gpustack:gateway_time":{"type":"histogram","description":"H."},
	"gpustack:gateway_span":{"type":"summary","description":"S."}},
	"runtime_mapping":{"Gate":{"*":{
		"g_requests":{"to":"gpustack:gateway_requests","rename":{"who":"user"}},
		"g_tokens":"gpustack:gateway_tokens",
		"g_time":"gpustack:gateway_time",
		"g_span":"gpustack:gateway_span"}}}}`

func userPlan(tb testing.TB) *mapping.Plan {
	tb.Helper()
	doc, err := mapping.Decode([]byte(userMapping))
	if err != nil {
		tb.Fatal(err)
	}
	m, err := mapping.Compile(doc)
	if err != nil {
		tb.Fatal(err)
	}
	return m.Plan("Gate", "")
}

func unified(plan *mapping.Plan, r *translate.Result) string {
	var w exposition.Writer
	translate.Merge(&w, plan.Families(), r)
	var lines []string
	for line := range strings.Lines(string(w.Bytes())) {
		if line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestUsers_Fold(t *testing.T) {
	plan := userPlan(t)
	page := func(n int) []byte {
		return fmt.Appendf(nil, `g_requests{who="ann"} %[1]d
g_requests{who="bob"} %[1]d
g_requests{who="cy"} %[1]d.5
g_requests{who="other"} 100
g_requests{who="d\"e\\f"} 7
g_requests{who=""} 1
g_requests 2
g_tokens{user="bob"} 10
g_tokens{user="cy"} 20
g_time_bucket{user="bob",le="1"} 1
g_time_bucket{user="bob",le="+Inf"} 2
g_time_count{user="bob"} 2
g_time_sum{user="bob"} 3
g_time_bucket{user="cy",le="1"} 10
g_time_bucket{user="cy",le="+Inf"} 20
g_time_count{user="cy"} 20
g_time_sum{user="cy"} 30
g_time_bucket{user="ann",le="1"} 4
g_time_bucket{user="ann",le="+Inf"} 5
g_time_count{user="ann"} 5
g_time_sum{user="ann"} 6
g_span{user="ann",quantile="0.5"} 1
g_span{user="bob",quantile="0.5"} 2
g_span_count{user="bob"} 2
g_span_count{user="cy"} 3
`, n)
	}
	want := func(n int) string {
		return fmt.Sprintf(`gpustack:gateway_requests_total{user="ann"} %d
gpustack:gateway_requests_total 1
gpustack:gateway_requests_total{user="other"} %s
gpustack:gateway_tokens_total{user="other"} 30
gpustack:gateway_time_bucket{user="ann",le="1"} 4
gpustack:gateway_time_bucket{user="ann",le="+Inf"} 5
gpustack:gateway_time_count{user="ann"} 5
gpustack:gateway_time_sum{user="ann"} 6
gpustack:gateway_time_bucket{user="other",le="1"} 11
gpustack:gateway_time_bucket{user="other",le="+Inf"} 22
gpustack:gateway_time_count{user="other"} 22
gpustack:gateway_time_sum{user="other"} 33
gpustack:gateway_span{user="ann",quantile="0.5"} 1
gpustack:gateway_span_count{user="other"} 5
`, n, fmt.Sprint(float64(2*n)+107.5))
	}
	users := translate.NewUsers(1, nil)
	r := translate.Result{Users: users}
	for n := range 8 { // with a page template from the fourth on
		stats := r.Translate(page(n), translate.Text, plan, translate.NewSource(nil))
		if diff := cmp.Diff(want(n), unified(plan, &r)); diff != "" {
			t.Fatalf("page %d (-want +got):\n%s", n, diff)
		}
		if stats.Samples != 14 || stats.ParseErrors+stats.InvalidHistograms > 0 || stats.Duplicates != 1 {
			t.Errorf("page %d: %+v", n, stats)
		}
	}
	if kept, folded := users.Counts(); kept != 1 || folded != 3 {
		t.Errorf("%d users kept, %d folded", kept, folded)
	}
	// What was decided stays, for other Results too, also when the page's order changes.
	other := translate.Result{Users: users.Clone()}
	other.Translate([]byte("g_tokens{user=\"new\"} 1\ng_tokens{user=\"ann\"} 2\n"), translate.Text, plan, nil)
	if diff := cmp.Diff("gpustack:gateway_tokens_total{user=\"ann\"} 2\ngpustack:gateway_tokens_total{user=\"other\"} 1\n", unified(plan, &other)); diff != "" {
		t.Errorf("another Result (-want +got):\n%s", diff)
	}
	if _, folded := users.Counts(); folded != 3 {
		t.Error("a clone told the original")
	}
}

func TestUsers_Limits(t *testing.T) {
	plan := userPlan(t)
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		limit int
		key   []byte
		want  string
	}{
		{0, nil, `gpustack:gateway_tokens_total{user="other"} 7` + "\n"},
		{100, nil, `gpustack:gateway_tokens_total{user="a"} 1` + "\n" + `gpustack:gateway_tokens_total{user="other"} 6` + "\n"},
		// HMAC-SHA-256 of "a" and of "other" with the key "key".
		{100, []byte("key"), `gpustack:gateway_tokens_total{user="780c3db4ce3de5b9"} 1` + "\n" + `gpustack:gateway_tokens_total{user="a11107395894afe9"} 2` + "\n" + `gpustack:gateway_tokens_total{user="other"} 4` + "\n"},
	} {
		r := translate.Result{Users: translate.NewUsers(c.limit, c.key)}
		r.Translate([]byte("g_tokens{user=\"a\"} 1\ng_tokens{user=\"other\"} 2\ng_tokens{user=\""+long+"\"} 4\n"), translate.Text, plan, nil)
		if diff := cmp.Diff(c.want, unified(plan, &r)); diff != "" {
			t.Errorf("limit %d, key %q (-want +got):\n%s", c.limit, c.key, diff)
		}
	}
}

// usersPage has four counters of each of so many users, with labels as gateways have them.
func usersPage(users, value int) []byte {
	var b bytes.Buffer
	for _, family := range []string{"g_tokens", "g_requests"} {
		label := map[string]string{"g_tokens": "user", "g_requests": "who"}[family]
		for u := range users {
			fmt.Fprintf(&b, "%s{api_key_alias=\"None\",end_user=\"None\",model=\"hosted_vllm/qwen\",team=\"t\",%s=\"user-%05d\"} %d\n", family, label, u, value+u)
		}
	}
	return b.Bytes()
}

// Ten thousand users stay within the limit, and once they are known cost no memory for each page.
func TestUsers_Many(t *testing.T) {
	plan, source := userPlan(t), translate.NewSource(instanceLabels("1"))
	const many, limit = 10_000, 1000
	users := translate.NewUsers(limit, nil)
	r := translate.Result{Users: users}
	last := 0.0
	for n := range 6 {
		stats := r.Translate(usersPage(many, n), translate.Text, plan, source)
		if stats.Samples != 2*(limit+1) || stats.Duplicates+stats.OverLimit+stats.OverMemory+stats.ParseErrors > 0 {
			t.Fatalf("page %d: %+v", n, stats)
		}
		var sum, other float64
		for line := range strings.Lines(unified(plan, &r)) {
			if !strings.HasPrefix(line, "gpustack:gateway_tokens_total{") {
				continue
			}
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
				t.Fatal(err)
			}
			sum += v
			if strings.Contains(line, `user="other"`) {
				other = v
			}
		}
		if want := float64(many*(many-1)/2 + n*many); sum != want || other <= last {
			t.Errorf("page %d: %v in all, want %v; other is %v, was %v", n, sum, want, other, last)
		}
		last = other
	}
	if kept, folded := users.Counts(); kept != limit || folded != many-limit {
		t.Errorf("%d users kept, %d folded", kept, folded)
	}
	page := usersPage(many, 7)
	if n := testing.AllocsPerRun(5, func() { r.Translate(page, translate.Text, plan, source) }); n > 0 {
		t.Errorf("%v allocations a page", n)
	}
	if got := r.Granted(); got > 8<<20 {
		t.Errorf("%d bytes were granted", got)
	}
}

func BenchmarkManyUsers(b *testing.B) {
	plan, source := userPlan(b), translate.NewSource(instanceLabels("1"))
	for _, limit := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("limit ", limit), func(b *testing.B) {
			r := translate.Result{Users: translate.NewUsers(limit, nil)}
			pages := [][]byte{usersPage(10_000, 1), usersPage(10_000, 2)}
			b.SetBytes(int64(len(pages[0])))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Translate(pages[i%2], translate.Text, plan, source)
			}
		})
	}
}
