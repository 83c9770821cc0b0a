package discovery

import "testing"

// change does something to a daemon while it answers nobody.
func (d *daemon) change(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
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
			d.docker.again(idB) // something happened to it
		}
		if err := d.docker.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.round()
		if got := keys(d.Engines()); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
		if n := skippedBy(d, SourceDocker, reasonNotAnswered); n != step.counted {
			t.Errorf("step %d: counted %g times, want %g", i, n, step.counted)
		}
	}
	if got := d.Engines(); len(got) != 2 || got[1].URL != "http://172.17.0.4:8000" {
		t.Errorf("when it is described again: %+v", got)
	}
	fake.change(func() { delete(fake.containers, idB); fake.broken[idB] = true })
	d.docker.again(idB)
	if err := d.docker.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.round()
	if got := keys(d.Engines()); got != "docker:a:8000" {
		t.Errorf("when it is no longer listed: %q", got)
	}
}
