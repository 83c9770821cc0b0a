package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// change does something to a daemon while it answers nobody.
func (d *daemon) change(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
}

// answers has the daemon answer to a question for the list of its containers as do does; nil: as usual.
func (d *daemon) answers(do http.HandlerFunc) { d.change(func() { d.answer = do }) }

// One that does not answer for a while has its containers asked about again: nobody heard what happened to them.
func TestDockerIsAskedAboutAllAfterAFailure(t *testing.T) {
	m, fake := newTree(t), newDaemon(t)
	changed := make(chan struct{}, 64)
	d, log := m.discover(func(o *Options) {
		o.Docker, o.DockerHost, o.Processes, o.Interval = true, "unix://"+fake.socket, false, time.Hour
		o.OnChange = func() { changed <- struct{}{} }
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { d.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	wait := func(want string) {
		t.Helper()
		await(t, d, changed, want, func() bool {
			list := d.Engines()
			return len(list) == 1 && list[0].URL == want
		})
	}
	awaitStream(t, d)
	fake.put(fakeContainer{id: idA, name: "a", image: "nvcr.io/nim/x", address: "172.17.0.2"})
	fake.events <- idA
	wait("http://172.17.0.2:8000")
	failed := make(chan struct{}, 16)
	fake.answers(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "canary", http.StatusInternalServerError)
		failed <- struct{}{}
	})
	fake.events <- idB
	select {
	case <-failed:
	case <-time.After(hangTimeout):
		t.Fatal("it was not asked for its containers when something happened to one")
	}
	fake.put(fakeContainer{id: idA, name: "a", image: "nvcr.io/nim/x", address: "172.17.0.3"})
	fake.answers(nil)
	wait("http://172.17.0.3:8000")
	if strings.Contains(log.String(), "canary") {
		t.Errorf("logged %s", log)
	}
}

func TestContainersAreBounded(t *testing.T) {
	m, fake := newTree(t), newDaemon(t)
	for i := range maxContainers + 5 {
		fake.put(fakeContainer{id: fmt.Sprintf("%064x", i), name: fmt.Sprint("n", i), image: "nvcr.io/nim/x", address: "172.17.0.2"})
	}
	d, log := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
	for range 2 {
		if err := m.sync(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.docker.containers()); n != maxContainers {
		t.Errorf("%d containers are kept, want %d", n, maxContainers)
	}
	if n := skippedBy(d, SourceDocker, skipTooMany); n != 1 || strings.Count(log.String(), "reason="+skipTooMany) != 1 {
		t.Errorf("said %g times that there are too many", n)
	}
}

// A container that the daemon lists is there, whatever it says about it. That it says nothing counts once as long as it lasts.
func TestContainerThatIsNotDescribed(t *testing.T) {
	m, fake := newTree(t), newDaemon(t)
	fake.put(fakeContainer{id: idA, name: "a", image: "nvcr.io/nim/x", address: "172.17.0.2"})
	fake.put(fakeContainer{id: idB, name: "b", image: "nvcr.io/nim/x", address: "172.17.0.3"})
	d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
	for i, step := range []struct {
		broken  bool
		address string // of the second, from here on
		counted float64
		want    string
	}{
		{true, "172.17.0.3", 1, "docker:a:8000"}, // never described
		{true, "172.17.0.3", 1, "docker:a:8000"},
		{false, "172.17.0.3", 1, "docker:a:8000 docker:b:8000"},
		{true, "172.17.0.4", 2, "docker:a:8000 docker:b:8000"}, // described before
		{true, "172.17.0.4", 2, "docker:a:8000 docker:b:8000"},
		{false, "172.17.0.4", 2, "docker:a:8000 docker:b:8000"},
	} {
		fake.put(fakeContainer{id: idB, name: "b", image: "nvcr.io/nim/x", address: step.address})
		fake.change(func() { fake.broken[idB] = step.broken })
		if i == 3 {
			d.docker.requestSync(idB) // something happened to it
		}
		if err := d.docker.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.runRound()
		if got := keys(d.Engines()); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
		if n := skippedBy(d, SourceDocker, skipNotAnswered); n != step.counted {
			t.Errorf("step %d: counted %g times, want %g", i, n, step.counted)
		}
	}
	if got := d.Engines(); len(got) != 2 || got[1].URL != "http://172.17.0.4:8000" {
		t.Errorf("when it is described again: %+v", got)
	}
	fake.change(func() { delete(fake.containers, idB); fake.broken[idB] = true })
	d.docker.requestSync(idB)
	if err := d.docker.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.runRound()
	if got := keys(d.Engines()); got != "docker:a:8000" {
		t.Errorf("when it is no longer listed: %q", got)
	}
}

// An answer has a bound, all answers on a connection together have none.
func TestLongAnswersOfADaemon(t *testing.T) {
	end, far := net.Pipe()
	t.Cleanup(func() { _, _ = end.Close(), far.Close() })
	piece, asked := make([]byte, 1<<20), make(chan struct{})
	go func() {
		for range asked {
			if _, err := far.Read(piece[:1]); err != nil {
				return
			}
			for range maxAnswerBytes>>20 + 2 {
				if _, err := far.Write(piece); err != nil {
					return
				}
			}
		}
	}()
	defer close(asked)
	conn := &boundedConn{Conn: end}
	buf := make([]byte, 1<<20)
	read := func(n int) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(struct{ io.Reader }{conn}, int64(n)<<20), buf)
		return err
	}
	for i := range 3 {
		asked <- struct{}{}
		if _, err := conn.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if err := read(maxAnswerBytes >> 20); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if err := read(2); !errors.Is(err, errTooLong) {
			t.Fatalf("answer %d, which is too long: %v", i, err)
		}
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(end, 1<<20), buf) // the rest of it
	}
}

func TestDockerDialErrors(t *testing.T) {
	known := compiled(t)
	d, err := newDocker("unix:///nowhere/docker.sock", known, newSkipCounter(SourceDocker, (&output{}).logger()), func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.explain(d.sync(t.Context())); !os.IsNotExist(err) {
		t.Errorf("a missing socket: %v", err)
	}
	denied := error(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
	d.dialErr.Store(&denied)
	if err := d.explain(denied); err == nil || !strings.Contains(err.Error(), "group docker") {
		t.Errorf("no permission: %v", err)
	}
	refused := error(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)})
	d.dialErr.Store(&refused)
	if err := d.explain(refused); err == nil || !strings.Contains(err.Error(), "start the daemon") {
		t.Errorf("refused: %v", err)
	}
	for _, bad := range []string{"ssh://host", "nonsense", "npipe:////./pipe/x"} {
		if _, err := newDocker(bad, known, nil, nil); err == nil || !strings.Contains(err.Error(), "give --docker-host as unix://") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
