package translate_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

const userSecret = "a secret of workers"

// hashed is what stands for a name under userSecret.
func hashed(name string) string {
	h := hmac.New(sha256.New, []byte(userSecret))
	h.Write([]byte(name))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

var userLabel = regexp.MustCompile(`[{,](?:exported_)*user="([^"]*)"`)

// shownUsers returns the values of labels for users, each once.
func shownUsers(page string) []string {
	seen := map[string]bool{}
	for _, m := range userLabel.FindAllStringSubmatch(page, -1) {
		seen[m[1]] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// namesPage has a counter, a renamed one, a histogram and a summary of each name.
func namesPage(value int, names ...string) []byte {
	var b bytes.Buffer
	for _, line := range []string{
		"g_tokens{user=%q} %d\n", "g_requests{who=%q} %d\n", "g_time_bucket{user=%q,le=\"+Inf\"} %d\n", "g_time_count{user=%q} %d\n", "g_span_count{user=%q} %d\n",
	} {
		for _, name := range names {
			fmt.Fprintf(&b, line, name, value)
		}
	}
	return b.Bytes()
}

// Whatever happens between two pages: names stay hashed, who is named and who is not stays decided, and the limit holds.
func TestUsers_StayDecided(t *testing.T) {
	const domain = "@example.com"
	names := []string{"ann" + domain, "bob" + domain, "cy" + domain, "dan" + domain}
	source := translate.NewSource(instanceLabels("1"))
	plan := userPlan(t)
	other := compileText(t, strings.ReplaceAll(userMapping, "gpustack:gateway_", "gpustack:other_")).Plan("Gate", "")
	var blocks, natives, broken bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&blocks, "g_tokens{team=\"%d\",user=%q} 1\n", i, names[i%len(names)])
		fmt.Fprintf(&natives, "g_native_%d 1\n", i)
	}
	for _, value := range []string{"x", "1 2 3", "-nan(ind)"} {
		fmt.Fprintf(&broken, "g_tokens{user=%q} %s\n", names[0], value)
	}
	page := func(text []byte) func(*translate.Result) {
		return func(r *translate.Result) { r.Translate(text, translate.Text, plan, source) }
	}
	for what, between := range map[string]func(r *translate.Result){
		"nothing":                        func(*translate.Result) {},
		"memory is given back":           func(r *translate.Result) { r.Trim() },
		"memory is given back twice":     func(r *translate.Result) { r.Trim(); r.Trim() },
		"another Result":                 func(r *translate.Result) { *r = translate.Result{Users: r.Users} },
		"another mapping for a page":     func(r *translate.Result) { r.Translate(namesPage(1, names...), translate.Text, other, source) },
		"another instance for a page":    func(r *translate.Result) { r.Translate(namesPage(1, names...), translate.Text, plan, nil) },
		"another format for a page":      func(r *translate.Result) { r.Translate(namesPage(1, names...), translate.OpenMetrics, plan, source) },
		"an empty page":                  page(nil),
		"a page with broken lines":       page(broken.Bytes()),
		"more label blocks than memory":  page(blocks.Bytes()),
		"more names than are remembered": page(natives.Bytes()),
		"a page over the limit": func(r *translate.Result) {
			r.MaxSamples = 1
			r.Translate(namesPage(1, names...), translate.Text, plan, source)
			r.MaxSamples = 0
		},
	} {
		t.Run(what, func(t *testing.T) {
			users := translate.NewUsers(3, []byte(userSecret))
			r := translate.Result{Users: users, Memory: budget.NewPool(0)}
			want := []string{hashed(names[0]), hashed(names[1]), hashed(names[2]), translate.OtherUsers}
			slices.Sort(want)
			value := 0
			look := func(names ...string) {
				t.Helper()
				value++
				r.Translate(namesPage(value, names...), translate.Text, plan, source)
				shown := unified(plan, &r)
				if diff := cmp.Diff(want, shownUsers(shown)); diff != "" || strings.Contains(shown, domain) {
					t.Fatalf("page %d: users (-want +got):\n%s\n%s", value, diff, shown)
				}
				if n := strings.Count(shown, "\n"); n != 5*4 {
					t.Errorf("page %d: %d series, want 20:\n%s", value, n, shown)
				}
			}
			for range 5 { // with a page template in the end
				look(names...)
			}
			between(&r)
			for range 5 {
				look("eve"+domain, names[3], names[2], names[1], names[0])
			}
			if kept, folded := users.Counts(); kept != 3 || folded != 2 {
				t.Errorf("%d users are kept and %d folded, want 3 and 2", kept, folded)
			}
		})
	}
}

// Each page is shown as the Users say that the Result has then.
func TestUsers_AreExchanged(t *testing.T) {
	plan, source, text := userPlan(t), translate.NewSource(nil), []byte("g_tokens{user=\"ann\"} 1\n")
	var r translate.Result
	for _, c := range []struct {
		users *translate.Users
		want  string
	}{
		{nil, "ann"},
		{translate.NewUsers(10, []byte(userSecret)), hashed("ann")},
		{translate.NewUsers(0, []byte(userSecret)), translate.OtherUsers},
		{translate.NewUsers(10, nil), "ann"},
		{translate.NewUsers(10, []byte(userSecret)), hashed("ann")},
	} {
		r.Users = c.users
		for range 5 {
			r.Translate(text, translate.Text, plan, source)
			if got := shownUsers(unified(plan, &r)); !cmp.Equal(got, []string{c.want}) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		}
	}
}

// A clone hashes names that only it has seen.
func TestUsers_CloneKeepsTheSecret(t *testing.T) {
	plan, users := userPlan(t), translate.NewUsers(2, []byte(userSecret))
	r := translate.Result{Users: users}
	r.Translate([]byte("g_tokens{user=\"ann\"} 1\n"), translate.Text, plan, nil)
	clone := users.Clone()
	tried := translate.Result{Users: clone}
	tried.Translate([]byte("g_tokens{user=\"bob\"} 1\ng_tokens{user=\"ann\"} 2\ng_tokens{user=\"cy\"} 3\n"), translate.Text, plan, nil)
	want := fmt.Sprintf("gpustack:gateway_tokens_total{user=%q} 1\ngpustack:gateway_tokens_total{user=%q} 2\ngpustack:gateway_tokens_total{user=\"other\"} 3\n", hashed("bob"), hashed("ann"))
	if diff := cmp.Diff(want, unified(plan, &tried)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if kept, folded := users.Counts(); kept != 1 || folded != 0 {
		t.Errorf("the original keeps %d users and folds %d, want 1 and 0", kept, folded)
	}
	if kept, folded := clone.Counts(); kept != 2 || folded != 1 {
		t.Errorf("the clone keeps %d users and folds %d, want 2 and 1", kept, folded)
	}
}

// A native label user that is renamed because the mapping sets label user names a user, too.
func TestUsers_Displaced(t *testing.T) {
	plan := userPlan(t)
	text := []byte("g_requests{who=\"ann\",user=\"bob\",exported_user=\"cy\"} 1\ng_requests{who=\"ann\",user=\"dan\"} 2\n")
	for _, c := range []struct {
		limit int
		key   []byte
		want  []string
	}{
		{10, nil, []string{"ann", "bob", "cy", "dan"}},
		{10, []byte(userSecret), []string{hashed("ann"), hashed("bob"), hashed("cy"), hashed("dan")}},
		{0, nil, []string{translate.OtherUsers}},
	} {
		r := translate.Result{Users: translate.NewUsers(c.limit, c.key)}
		r.Translate(text, translate.Text, plan, nil)
		slices.Sort(c.want)
		if diff := cmp.Diff(c.want, shownUsers(unified(plan, &r))); diff != "" {
			t.Errorf("limit %d, key %q (-want +got):\n%s\n%s", c.limit, c.key, diff, unified(plan, &r))
		}
	}
}

// What is said about a broken line goes to a log, where hashed names must not be.
func TestUsers_AreNotInErrors(t *testing.T) {
	plan := userPlan(t)
	for _, line := range []string{
		`g_tokens{user="ann"} x`, `g_tokens{user="ann"} 1 2 3`, `g_tokens{user="ann",user="ann"} 1`, `g_tokens{user="ann} 1`, `g_tokens{user="ann"`,
		`g_tokens {user="ann"} x`, "g_tokens{user=\"ann\xff\"} 1", `g_requests{who="ann"} x`, `g_time_count{user="ann"} -1`, `{user="ann"} 1`, `g_tokens{user="ann"} 1 # {ann="ann"`,
	} {
		for _, key := range [][]byte{nil, []byte(userSecret)} {
			r := translate.Result{Users: translate.NewUsers(10, key)}
			stats := r.Translate([]byte("# x\n"+line+"\n"), translate.Text, plan, nil)
			name := line[:exposition.MetricNameLen([]byte(line))]
			if stats.ParseErrors != 1 || !strings.HasPrefix(stats.FirstError, "line 2: ") || !strings.Contains(stats.FirstError, name) {
				t.Errorf("%s: %+v", line, stats)
			}
			if secret := key != nil; strings.Contains(stats.FirstError, "ann") == secret {
				t.Errorf("%s: with key %q the error is %s", line, key, stats.FirstError)
			}
		}
	}
}

// Both sets of names are bounded, and beyond the bound all counts are still added up.
func TestUsers_AreBounded(t *testing.T) {
	const most = 128 << 10 // of the names that are known to be folded
	plan := userPlan(t)
	for _, c := range []struct{ names, limit, kept, folded int }{
		{1 + most, 1, 1, most},
		{2 + most, 1, 1, most},
		{translate.MaxUsers + 10, 10 * translate.MaxUsers, translate.MaxUsers, 10},
	} {
		var page bytes.Buffer
		for i := range c.names {
			fmt.Fprintf(&page, "g_tokens{user=\"%d\"} 1\n", i)
		}
		users := translate.NewUsers(c.limit, nil)
		r := translate.Result{Users: users}
		stats := r.Translate(page.Bytes(), translate.Text, plan, nil)
		if stats.Samples != c.kept+1 || stats.OverMemory+stats.OverLimit > 0 {
			t.Errorf("%d names: %+v", c.names, stats)
		}
		if other := fmt.Sprintf("gpustack:gateway_tokens_total{user=\"other\"} %d\n", c.names-c.kept); !strings.Contains(unified(plan, &r), other) {
			t.Errorf("%d names: no line %s", c.names, other)
		}
		if kept, folded := users.Counts(); kept != c.kept || folded != c.folded {
			t.Errorf("of %d names %d are kept and %d folded, want %d and %d", c.names, kept, folded, c.kept, c.folded)
		}
	}
}
