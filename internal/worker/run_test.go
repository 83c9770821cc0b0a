package worker

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

// A registration says which process it is of: the same one as long as it runs, another one at each start.
func TestRunOfAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs []string
		dir := t.TempDir()
		for range 2 {
			f := recording{newRemote(), &runs}
			w, _, end := linked(t, f, func(o *Options) { o.DataDir = dir })
			f.set(func(r *remote) { r.status["report"] = http.StatusNotFound })
			time.Sleep(time.Minute)
			if err := errors.Join(end(), w.Close()); err != nil {
				t.Error(err)
			}
		}
		different := map[string]int{}
		for _, run := range runs {
			different[run]++
		}
		if len(different) != 2 || different[""] != 0 || len(runs) < 4 {
			t.Errorf("registrations were of %v", different)
		}
	})
}

// recording notes the runs of registrations.
type recording struct {
	*remote
	runs *[]string
}

func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/register") {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		var body wire.RegisterRequest
		if err := json.Unmarshal(data, &body); err != nil {
			return nil, err
		}
		r.mu.Lock()
		*r.runs = append(*r.runs, body.Run)
		r.mu.Unlock()
	}
	return r.remote.RoundTrip(req)
}
