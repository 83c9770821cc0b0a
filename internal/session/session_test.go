package session

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A server that is away is tried again soon; one that answers and refuses is left in peace, as somebody must change something.
func TestPausesBetweenAttempts(t *testing.T) {
	for _, what := range []string{"register", "report", "watch"} {
		for status, slow := range map[int]bool{
			-1: false, 500: false, 502: false, 503: false, 504: false, 400: true, 403: true, 409: true, 413: true, 422: true, 429: true,
		} {
			t.Run(fmt.Sprint(what, " ", status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRemote()
					r.status[what] = status
					_, log, _ := connect(t, r)
					time.Sleep(30 * time.Minute)
					pause, last := minPause, maxPause
					if slow {
						pause, last = minRefusedPause, maxRefusedPause
					}
					switch status {
					case http.StatusForbidden:
						last = maxPause
					case http.StatusConflict:
						last = minRefusedPause // another worker has the place, for a while perhaps
					}
					times := r.of(what)
					if least := int(30 * time.Minute / last); len(times) < least {
						t.Errorf("%d tries, want at least %d", len(times), least)
					}
					for i := range times[1:] {
						if got := times[i+1].Sub(times[i]); got < pause/2 || got > pause {
							t.Errorf("pause %d is %s, want %s to %s", i, got, pause/2, pause)
						}
						pause = min(2*pause, last)
					}
					if n := len(r.of("register")); what != "register" && n != 1 {
						t.Errorf("%d registrations", n)
					}
					// When it works again, the next failure begins with the shortest pause.
					r.set(func(r *remote) { r.status[what], r.stream = 0, time.Minute })
					time.Sleep(5 * time.Minute)
					r.set(func(r *remote) { r.status[what], r.interval = -1, 60 })
					if what == "register" {
						r.set(func(r *remote) { r.status["report"] = http.StatusNotFound })
					}
					r.of(what)
					time.Sleep(3 * time.Minute)
					shortest := minPause
					if what == "watch" {
						shortest *= 2 // the end of a stream is a failure, too
					}
					if times := r.of(what); len(times) < 3 || times[1].Sub(times[0]) > shortest || times[2].Sub(times[1]) > 2*shortest {
						t.Errorf("after it worked: tried at %v", times)
					}
					if n := strings.Count(log.String(), "level=WARN"); n > 4 {
						t.Errorf("%d warnings:\n%s", n, log)
					}
				})
			})
		}
	}
}

// A server that forgets the worker again and again is not flooded with registrations.
func TestServerThatForgetsAtOnce(t *testing.T) {
	for _, what := range []string{"report", "watch"} {
		for _, status := range []int{http.StatusUnauthorized, http.StatusNotFound} {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote()
				r.status[what] = status
				connect(t, r)
				time.Sleep(time.Minute)
				times := r.of("register")
				if n := len(times); n < 10 || n > int(time.Minute/minPause)+1 {
					t.Errorf("%s %d: %d registrations in a minute", what, status, n)
				}
				r.set(func(r *remote) { r.status[what] = 0 })
				time.Sleep(time.Minute)
				if n := len(r.of("register")); n > 1 {
					t.Errorf("%s %d: %d registrations when it remembers", what, status, n)
				}
			})
		}
	}
}

// A token that is wrong ends a worker that has just begun. One that ran goes on with what it knows and joins again when the
// token is right again.
func TestTokenThatIsWrongLater(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote()
			r.status["register"] = http.StatusUnauthorized
			_, _, end := connect(t, r)
			time.Sleep(time.Hour)
			if n := len(r.of("register")); n != 1 {
				t.Errorf("%d tries with a token that never was right", n)
			}
			if err := end(); statusOf(err) != http.StatusUnauthorized {
				t.Errorf("ended with %v", err)
			}

			r = newRemote()
			_, _, end = connect(t, r)
			time.Sleep(time.Second)
			r.set(func(r *remote) { r.status["report"], r.status["register"] = http.StatusNotFound, status })
			time.Sleep(time.Hour)
			if n := len(r.of("register")); n < 30 {
				t.Errorf("%d: %d tries after the token changed", status, n)
			}
			r.set(func(r *remote) { r.status["report"], r.status["register"] = 0, 0 })
			time.Sleep(maxRefusedPause)
			r.of("report")
			time.Sleep(2 * time.Minute)
			if n := len(r.of("report")); n < 2 {
				t.Errorf("%d: %d reports when the token is right again", status, n)
			}
			if err := end(); err != nil {
				t.Errorf("%d: ended with %v", status, err)
			}
		})
	}
}

// After a server lost its database most of a fleet behind one address is refused with 429 and not with 401. What is refused is the
// credential, so a worker registers again at once. A 429 of another cause says nothing about its credential.
func TestWorkerOfManyThatAreForgotten(t *testing.T) {
	for _, what := range []string{"report", "watch"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote()
			r.status[what], r.tokenRefused, r.retryAfter = http.StatusTooManyRequests, true, time.Minute
			connect(t, r)
			time.Sleep(10 * time.Second)
			if n := len(r.of("register")); n < 10 {
				t.Errorf("%s: %d registrations within 10 s", what, n)
			}
			r.set(func(r *remote) { r.tokenRefused = false })
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
		r.status["register"], r.tokenRefused, r.retryAfter = http.StatusTooManyRequests, true, time.Minute
		_, _, end := connect(t, r)
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
		for says, want := range map[time.Duration]time.Duration{time.Second: time.Second, 40 * time.Second: 40 * time.Second, 24 * time.Hour: maxRefusedPause} {
			t.Run(fmt.Sprint(what, " ", says), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRemote()
					r.status[what], r.retryAfter = http.StatusTooManyRequests, says
					connect(t, r)
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
		r.retryAfter = time.Minute
		r.status["register"] = http.StatusForbidden
		_, log, _ := connect(t, r)
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

// A worker that an operator removed goes on exporting, says so once, also when it starts in that state, and is in again soon after
// it may be.
func TestWorkerThatIsKeptOut(t *testing.T) {
	for _, starts := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote()
			if starts {
				r.status["register"] = http.StatusForbidden
			}
			_, log, end := connect(t, r)
			if !starts {
				time.Sleep(time.Second)
				r.set(func(r *remote) {
					r.status["report"], r.status["register"] = http.StatusUnauthorized, http.StatusForbidden
				})
			}
			time.Sleep(24 * time.Hour)
			if n := strings.Count(log.String(), "server refuses this worker until an operator allows it again"); n != 1 {
				t.Errorf("starts out: %t: said %d times:\n%s", starts, n, log)
			}
			if n := strings.Count(log.String(), "level=WARN"); n > 2 {
				t.Errorf("starts out: %t: %d warnings:\n%s", starts, n, log)
			}
			if n := len(r.of("register")); n < int(24*time.Hour/maxPause) || n > int(24*time.Hour/(maxPause/2))+2 {
				t.Errorf("starts out: %t: asked %d times in a day", starts, n)
			}
			r.set(func(r *remote) { r.status["report"], r.status["register"] = 0, 0 })
			time.Sleep(maxPause)
			if n := len(r.of("report")); n == 0 || !strings.Contains(log.String(), "server answers again") {
				t.Errorf("starts out: %t: %d reports after it was let in:\n%s", starts, n, log)
			}
			if err := end(); err != nil {
				t.Errorf("starts out: %t: ended with %v", starts, err)
			}
		})
	}
}
