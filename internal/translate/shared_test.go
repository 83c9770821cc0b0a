package translate_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stackscope/stackscope/internal/translate"
)

var shownUser = regexp.MustCompile(`user="([^"]*)"`)

// Results of one engine share Users and a SeriesLimiter, and are used in several goroutines. Whoever comes first decides about a
// name; the others must follow. The race detector runs this test, too.
func TestSharedState_IsSafeForConcurrentUse(t *testing.T) {
	const (
		goroutines = 8
		pages      = 10
		names      = 20
		userLimit  = 5
	)
	plan := userPlan(t)
	users := translate.NewUsers(userLimit, nil)
	limiter := translate.NewSeriesLimiter(1000, 1000)
	page := func(g, n int) []byte {
		var b bytes.Buffer
		for i := range names {
			fmt.Fprintf(&b, "g_tokens{user=\"user-%d\"} %d\n", (g*7+n*3+i)%names, n)
		}
		return b.Bytes()
	}
	results := make([]translate.Result, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r, raw := &results[g], translate.Raw{Limiter: limiter}
			r.Users, r.Limiter = users, limiter
			for n := range pages {
				r.Translate(page(g, n), translate.Text, plan, nil)
				raw.Collect(page(g, n), translate.Text, nil)
				users.Clone().Counts()
				limiter.Usage()
				limiter.SetLimit(1000 + n)
			}
			r.Translate(page(0, 0), translate.Text, plan, nil)
		})
	}
	wg.Wait()
	kept, folded := users.Counts()
	if kept != userLimit || folded != names-userLimit {
		t.Errorf("%d users kept and %d folded, want %d and %d", kept, folded, userLimit, names-userLimit)
	}
	want := unified(plan, &results[0])
	for g := range results {
		if got := unified(plan, &results[g]); got != want {
			t.Errorf("result %d decided otherwise:\n%s\nand the first one:\n%s", g, got, want)
		}
	}
	var shown []string
	for _, m := range shownUser.FindAllStringSubmatch(want, -1) {
		shown = append(shown, m[1])
	}
	slices.Sort(shown)
	if len(slices.Compact(shown)) != userLimit+1 || !strings.Contains(want, `user="other"`) {
		t.Errorf("users %v, want %d and other", shown, userLimit)
	}
	// Each of the results has the kept users and other in the unified metric, the Raws all names in the native one.
	if used := limiter.Usage().Used; used != userLimit+1+names {
		t.Errorf("%d new series, want %d", used, userLimit+1+names)
	}
}
