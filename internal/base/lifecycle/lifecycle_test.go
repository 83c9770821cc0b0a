package lifecycle_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
)

func TestStackStopsInReverseAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s lifecycle.Stack
		var mu sync.Mutex // the stuck step is still there when the next one runs
		var order []string
		note := func(step string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, step)
		}
		s.Push("store", func(context.Context) error { note("store"); return nil })
		s.Push("stuck", func(ctx context.Context) error {
			note("stuck")
			time.Sleep(time.Minute) // deaf to ctx
			return nil
		})
		s.Push("broken", func(context.Context) error { note("broken"); return errors.New("no luck") })

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		err := s.Stop(ctx)
		if took := time.Since(begin); took != 2*time.Second+100*time.Millisecond {
			t.Errorf("stopping took %v", took)
		}
		mu.Lock()
		if diff := cmp.Diff([]string{"broken", "stuck", "store"}, order); diff != "" {
			t.Error(diff)
		}
		mu.Unlock()
		for _, want := range []string{"stop broken: no luck", "stop stuck: context deadline exceeded"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("second stop: %v", err)
		}
		time.Sleep(time.Minute) // until the stuck step is through
	})
}

func TestListenSaysWhatIsInTheWay(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = lifecycle.Listen("127.0.0.1", taken.Addr().(*net.TCPAddr).Port, "--port")
	if err == nil || !strings.Contains(err.Error(), "is taken by another program") || !strings.Contains(err.Error(), "--port") {
		t.Errorf("got %v", err)
	}
	_, err = lifecycle.Listen("192.0.2.1", 0, "--metrics-port")
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1:0") || !strings.Contains(err.Error(), "--metrics-port") {
		t.Errorf("got %v", err)
	}
}
