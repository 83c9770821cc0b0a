package worker

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// refusedToken is what a server adds to a 429 whose cause is a token that is wrong.
var refusedToken = http.Header{"Www-Authenticate": {`Bearer realm="stackscope", error="invalid_token"`}, "Retry-After": {"60"}}

// After a server lost its database most of a fleet behind one address is refused with 429 and not with 401. What is refused is the
// credential, so a worker registers again at once. A 429 of another cause says nothing about its credential.
func TestWorkerOfManyThatAreForgotten(t *testing.T) {
	for _, what := range []string{"report", "watch"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote()
			r.status[what], r.header = http.StatusTooManyRequests, refusedToken
			linked(t, r)
			time.Sleep(10 * time.Second)
			if n := len(r.of("register")); n < 10 {
				t.Errorf("%s: %d registrations within 10 s", what, n)
			}
			r.set(func(r *remote) { r.header = http.Header{"Retry-After": {"60"}} })
			time.Sleep(time.Second)
			r.of("register")
			time.Sleep(time.Hour)
			if n := len(r.of("register")); n != 0 {
				t.Errorf("%s: %d registrations when the server is only busy", what, n)
			}
		})
	}
}

// A join token that never was right ends a worker, also where others of its address sent wrong ones before.
func TestWrongJoinTokenOfOneOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.status["register"], r.header = http.StatusTooManyRequests, refusedToken
		_, _, end := linked(t, r)
		time.Sleep(time.Hour)
		if n := len(r.of("register")); n != 1 {
			t.Errorf("%d tries", n)
		}
		if err := end(); statusOf(err) != http.StatusTooManyRequests {
			t.Errorf("ended with %v", err)
		}
	})
}

// A server that has had too many requests says how long it wants to be left in peace. No server keeps a worker away for hours.
func TestWorkerWaitsForAsLongAsTheServerSays(t *testing.T) {
	for _, what := range []string{"register", "report", "watch"} {
		for says, want := range map[string]time.Duration{"1": time.Second, "40": 40 * time.Second, "86400": lastSlowPause} {
			t.Run(fmt.Sprint(what, " ", says), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRemote()
					r.status[what], r.header = http.StatusTooManyRequests, http.Header{"Retry-After": {says}}
					linked(t, r)
					time.Sleep(30 * time.Minute)
					times := r.of(what)
					if len(times) < 5 {
						t.Fatalf("%d tries", len(times))
					}
					for i := range times[1:] {
						if got := times[i+1].Sub(times[i]); got < want || got > want+want/2+time.Second {
							t.Errorf("pause %d is %s, want %s or up to a half more", i, got, want)
						}
					}
				})
			})
		}
	}
}

// That many of an address are refused is no other reason for which this one is, and no news.
func TestWorkerThatIsRefusedAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.header = http.Header{"Retry-After": {"60"}}
		r.status["register"] = http.StatusForbidden
		_, log, _ := linked(t, r)
		for range 20 {
			time.Sleep(5 * time.Minute)
			r.set(func(r *remote) { r.status["register"] = http.StatusTooManyRequests })
			time.Sleep(5 * time.Minute)
			r.set(func(r *remote) { r.status["register"] = http.StatusForbidden })
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log)
		}
		r.set(func(r *remote) { delete(r.status, "register") })
		time.Sleep(5 * time.Minute)
		if n := len(r.of("report")); n == 0 {
			t.Error("it isn't in again")
		}
	})
}
