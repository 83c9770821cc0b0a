package webconfig

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
)

func from(address string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = address + ":1"
	return r
}

// Whoever guesses passwords doesn't keep those out who know theirs.
func TestTrialsAreBounded(t *testing.T) {
	var ts trials
	good, settled := credential{1}, 0
	settle, ok := ts.begin(from("10.0.0.1"), 1, good)
	if !ok {
		t.Fatal("the first one is refused")
	}
	if _, ok := ts.begin(from("10.0.0.1"), 1, credential{2}); ok {
		t.Error("an address has two at once")
	}
	settle(true)
	settle(false) // as the request ends
	for i := range 20 {
		if _, ok := ts.begin(from("10.0.1."+strconv.Itoa(i)), 1, credential{3, byte(i)}); ok {
			settled++
		}
	}
	if settled != maxTrials {
		t.Errorf("%d at once, want %d", settled, maxTrials)
	}
	if _, ok := ts.begin(from("10.0.0.1"), 1, good); !ok {
		t.Error("a credential that was right is refused")
	}
	if _, ok := ts.begin(from("10.0.0.1"), 2, good); ok {
		t.Error("a credential of the file before counts as right")
	}
}

// Two requests with the same credential, as a scrape and service discovery make, are one trial.
func TestSameCredentialWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, right := range []bool{true, false} {
			var ts trials
			settle, _ := ts.begin(from("10.0.0.1"), 1, credential{1})
			got := make(chan bool)
			go func() {
				settle, ok := ts.begin(from("10.0.0.1"), 1, credential{1})
				if ok {
					settle(right)
				}
				got <- ok
			}()
			synctest.Wait()
			settle(right)
			if !<-got {
				t.Errorf("right %t: the second one is refused", right)
			}
		}
	})
}
