package discovery

import (
	"strings"
	"testing"
)

// A worker in a network of its own, as in a container without --network host, reaches neither the machine's loopback address
// nor what is published there alone.
func TestDockerFromAnotherNetwork(t *testing.T) {
	for name, test := range map[string]struct {
		container fakeContainer
		at        string // "": not at all
	}{
		"published everywhere":            {fakeContainer{ports: publish("8000/tcp", "0.0.0.0", "18000")}, ""}, // where the machine is, nobody says
		"published on loopback":           {fakeContainer{ports: object{"8000/tcp": []object{{"HostIp": "127.0.0.1", "HostPort": "18000"}}}}, ""},
		"published on loopback of IPv6":   {fakeContainer{ports: object{"8000/tcp": []object{{"HostIp": "::1", "HostPort": "18000"}}}}, ""},
		"published on one address":        {fakeContainer{ports: object{"8000/tcp": []object{{"HostIp": "192.0.2.9", "HostPort": "18000"}}}}, "192.0.2.9:18000"},
		"its own address":                 {fakeContainer{address: "172.17.0.2", ports: publish("8000/tcp", "", "18000")}, "172.17.0.2:8000"},
		"its own before a published one":  {fakeContainer{address: "172.17.0.2", ports: object{"8000/tcp": []object{{"HostIp": "192.0.2.9", "HostPort": "18000"}}}}, "172.17.0.2:8000"},
		"the machine's network":           {fakeContainer{network: "host"}, ""},
		"the network of one that is not":  {fakeContainer{network: "container:" + idB}, "172.17.0.9:8000"},
		"the network of one nobody knows": {fakeContainer{network: "container:" + strings.Repeat("c", 64), address: "172.17.0.2"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, fake := newTree(t), newDaemon(t)
			m.link("proc/self/ns/net", otherNet)
			test.container.id, test.container.name, test.container.image = idA, "q", "nvcr.io/nim/x"
			fake.put(test.container)
			fake.put(fakeContainer{id: idB, name: "pause", image: "pause", address: "172.17.0.9"})
			d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
			if err := m.sync(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			var at strings.Builder
			for _, f := range d.Engines() {
				at.WriteString(strings.TrimPrefix(f.URL, "http://"))
			}
			if at.String() != test.at {
				t.Errorf("reached at %q, want %q", at.String(), test.at)
			}
			if n := skippedBy(d, SourceDocker, skipNoAddress); (n == 1) != (test.at == "") {
				t.Errorf("%g left out for want of an address", n)
			}
		})
	}
}
