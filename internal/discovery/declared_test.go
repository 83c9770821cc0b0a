package discovery

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeclared(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for url, merged := range map[string]bool{
		"http://127.0.0.1:8000":        true,
		"http://localhost:8000/prefix": true,
		"http://[::1]:8000":            true,
		"https://127.0.0.1:8000":       true,
		"http://" + name + ":8000":     true,
		"http://127.0.0.1:8001":        false,
		"http://192.0.2.200:8000":      false,
		"http://127.0.0.1":             false,
	} {
		m := newTree(t)
		m.add(vllm(100, "m"))
		d, _ := m.discover(func(o *Options) { o.Declared = []Declared{{Key: "mine", URL: url}} })
		if got := d.Engines(); len(got) != 1 || got[0] != (Found{Key: "mine", Source: SourceDeclared, URL: url}) {
			t.Errorf("%s: at first %+v", url, got)
		}
		d.runRound()
		got := d.Engines()
		if merged != (len(got) == 1) || got[0].Key != "mine" || got[0].URL != url || (got[0].PID == 100) != merged {
			t.Errorf("%s: %+v", url, got)
		}
		if key, _ := d.Owner(100); (key == "mine") != merged {
			t.Errorf("%s: owner is %q", url, key)
		}
		m.remove(100)
		d.runRound()
		if got := d.Engines(); len(got) != 1 || got[0].PID != 0 {
			t.Errorf("%s: after the process has ended %+v", url, got)
		}
	}
}

func TestDeclaredByName(t *testing.T) {
	for _, test := range []struct {
		resolves, url string
		merged        bool
	}{
		{"127.0.0.1", "http://inference.example:8000", true},
		{"192.0.2.200", "http://inference.example:8000", false},
		{"127.0.0.1", "http://inference.example:8001", false},
		{"", "http://inference.example:8000", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newTree(t)
			m.add(vllm(100, "m"))
			d, _ := m.discover(func(o *Options) { o.Declared = []Declared{{Key: "mine", URL: test.url}} })
			var asked atomic.Pointer[string]
			d.machine.names.lookup = func(host string) ([]netip.Addr, error) {
				asked.Store(&host)
				addr, err := netip.ParseAddr(test.resolves)
				return []netip.Addr{addr}, err
			}
			d.runRound()
			synctest.Wait() // for the name server
			if host := asked.Load(); !strings.HasSuffix(test.url, ":8000") {
				if host != nil {
					t.Error("a name is looked for though no engine has its port")
				}
			} else if host == nil || *host != "inference.example" {
				t.Errorf("%+v: not asked for its host", test)
			}
			d.runRound()
			if got := d.Engines(); got[0].Key != "mine" || (got[0].PID == 100) != test.merged {
				t.Errorf("%+v: %+v", test, got)
			}
		})
	}
}

func TestDeclaredInOtherNetwork(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "m")
	p.net, p.trie = otherNet, podTrie("10.42.0.9")
	m.add(p)
	d, _ := m.discover(func(o *Options) {
		o.Declared = []Declared{{Key: "pod", URL: "http://10.42.0.9:8000"}, {Key: "own", URL: "http://127.0.0.1:8000"}}
	})
	d.runRound()
	if got := d.Engines(); len(got) != 2 || got[1].Key != "pod" || got[1].PID != 100 || got[0].PID != 0 {
		t.Errorf("%+v", got)
	}
}

// An engine is one of the declared ones at most.
func TestDeclaredTwice(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	d, _ := m.discover(func(o *Options) {
		o.Declared = []Declared{{Key: "b", URL: "http://127.0.0.1:8000"}, {Key: "a", URL: "http://localhost:8000/prefix"}}
	})
	d.runRound()
	got := d.Engines()
	if keys(got) != "a b" || got[0].PID != 0 || got[1].PID != 100 {
		t.Errorf("%+v", got)
	}
	if key, _ := d.Owner(100); key != "b" {
		t.Errorf("owner is %q", key)
	}
}

// An engine that is found and has the key of a declared one elsewhere is left out: its GPUs and processes are not that one's.
func TestDeclaredHasTheKeyOfAnother(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	m.add(vllm(200, "n", "--port", "9"))
	d, _ := m.discover(func(o *Options) {
		o.Declared = []Declared{{Key: "process:8000", URL: "http://192.0.2.200:8000"}}
	})
	d.runRound()
	if got := d.Engines(); keys(got) != "process:8000 process:9" || got[0] != (Found{Key: "process:8000", Source: SourceDeclared, URL: "http://192.0.2.200:8000"}) {
		t.Errorf("%+v", got)
	}
	if key, ok := d.Owner(100); ok {
		t.Errorf("the one that is left out is %q's", key)
	}
	if key, _ := d.Owner(200); key != "process:9" {
		t.Errorf("the other one is %q's", key)
	}
}

// The addresses of a name stand for a while, and longer where the name server fails.
func TestNamesAreLookedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		fails, addr := false, "192.0.2.1"
		r := newResolver()
		r.lookup = func(string) ([]netip.Addr, error) {
			asked.Add(1)
			if fails {
				return nil, errors.New("no name server")
			}
			return []netip.Addr{netip.MustParseAddr(addr)}, nil
		}
		check := func(when, want string, lookups int64) {
			t.Helper()
			got := fmt.Sprint(r.addresses("engine.example"))
			synctest.Wait()
			if n := asked.Load(); got != want || n != lookups {
				t.Errorf("%s: %s after %d lookups, want %s after %d", when, got, n, want, lookups)
			}
		}
		check("at first", "[]", 1)
		check("then", "[192.0.2.1]", 1)
		addr = "192.0.2.2"
		time.Sleep(addressTTL)
		check("while they stand", "[192.0.2.1]", 1)
		time.Sleep(time.Nanosecond)
		check("when they are old", "[192.0.2.1]", 2)
		check("when they were asked for", "[192.0.2.2]", 2)
		fails = true
		for i := range int64(3) {
			time.Sleep(addressTTL + 1)
			check("when the name server fails", "[192.0.2.2]", 3+i)
			check("and after that", "[192.0.2.2]", 3+i)
		}
		fails, addr = false, "192.0.2.3"
		time.Sleep(addressTTL + 1)
		check("when it answers", "[192.0.2.2]", 6)
		check("again", "[192.0.2.3]", 6)
		for i := range 2 * maxNames {
			r.addresses(fmt.Sprint("name-", i))
		}
		synctest.Wait()
		if len(r.names) > maxNames {
			t.Errorf("%d names are kept", len(r.names))
		}
		check("among many names", "[192.0.2.3]", 6+maxNames-1)
	})
}

func TestDeclaredWrong(t *testing.T) {
	for _, declared := range [][]Declared{
		{{Key: "", URL: "http://a:1"}},
		{{Key: "a", URL: "http://canary:canary@:1"}},
		{{Key: "a", URL: "ftp://user:canary@a:1"}},
		{{Key: "a", URL: "http://user:canary@a:99999"}},
		{{Key: "a", URL: "http://user:canary@a:1/%zz"}},
		{{Key: "a", URL: "http://a:1"}, {Key: "a", URL: "http://b:1"}},
	} {
		_, err := New(Options{Declared: declared})
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "give") && !strings.Contains(err.Error(), "want") {
			t.Errorf("%v: %v", declared, err)
		}
	}
}
