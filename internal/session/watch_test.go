package session

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// A stream that is opened again asks for what is newer than what is in force. After a registration it asks for whatever there
// is, for the server may be one that counts anew.
func TestStreamsAskForWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const forgotten = -404
		r := newRemote()
		event := func(generation int64) {
			r.set(func(r *remote) { r.event = wire.MappingEvent{Generation: generation} })
		}
		event(3)
		r.stream = time.Minute
		connect(t, r)
		time.Sleep(30 * time.Second)
		event(4)
		time.Sleep(time.Minute)
		event(5)
		time.Sleep(time.Minute)
		r.set(func(r *remote) { r.status["report"] = http.StatusNotFound })
		time.Sleep(time.Minute)
		r.set(func(r *remote) { r.status["report"], r.asked = 0, append(r.asked, forgotten) })
		event(1) // it lost its database
		time.Sleep(2 * time.Minute)
		r.set(func(r *remote) {
			got := strings.Trim(fmt.Sprint(r.asked), "[]")
			if !strings.HasPrefix(got, "-1 3 4 ") || !strings.HasSuffix(got, " 1") {
				t.Errorf("streams asked for %s", got)
			}
			// Each session begins with -1, those of a server that forgets at once too.
			if strings.Contains(got, " 5 5") {
				t.Errorf("streams asked for %s, which nothing is newer than", got)
			}
		})
	})
}

// A stream says which document the worker has, since an upgraded server can have another one under the same generation. The first one
// asks for any.
func TestStreamsSayWhichDocumentTheWorkerHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		document := []byte(`{"gpustack_metrics":{},"runtime_mapping":{}}`)
		r := newRemote()
		r.stream, r.event = time.Minute, wire.MappingEvent{Generation: 3, Document: document}
		connect(t, r)
		time.Sleep(90 * time.Second)
		r.set(func(r *remote) { r.event = wire.MappingEvent{Generation: 4, Default: true} })
		time.Sleep(2 * time.Minute)
		r.set(func(r *remote) {
			want := []string{"", mapping.Digest(document), ""}
			if len(r.documents) < len(want) || !slices.Equal(r.documents[:2], want[:2]) || r.documents[len(r.documents)-1] != "" {
				t.Errorf("streams said %q", r.documents)
			}
		})
	})
}

// A mapping is applied and reported at once. One that the worker cannot use is logged, and the stream goes on.
func TestMappingIsAppliedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.event.Generation, r.interval, r.stream = 3, 3600, time.Minute
		w, log, _ := connect(t, r)
		time.Sleep(time.Second)
		r.set(func(r *remote) {
			if got := r.reports[len(r.reports)-1].AppliedGeneration; got != 3 {
				t.Errorf("generation %d is reported", got)
			}
			r.event.Generation = 4
		})
		w.mu.Lock()
		w.refuses = errors.New("a key is unknown")
		w.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if _, generation := w.Current(); generation != 3 || !strings.Contains(log.String(), "a key is unknown") {
			t.Errorf("generation %d is active\n%s", generation, log)
		}
		if n := len(r.of("register")); n != 1 {
			t.Errorf("%d registrations", n)
		}
	})
}
