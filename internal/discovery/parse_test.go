package discovery

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	got, ok := parseStat([]byte(statLine(7, "a) S (b", 3, 4242)))
	if !ok || got.ppid != 3 || got.start != 4242 {
		t.Errorf("%+v %t", got, ok)
	}
	renamed, _ := parseStat([]byte(statLine(7, "other", 3, 4242)))
	if renamed.programHash == got.programHash {
		t.Error("another program has the same image")
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S", "7 (a) S x 1", "7 )a( S 1 2", "7 (a) S 1 1"} {
		if s, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q: %+v", bad, s)
		}
	}
	// An old kernel writes fewer fields.
	if s, ok := parseStat([]byte("9 (a) S 4 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 77 0")); !ok || s.start != 77 || s.ppid != 4 {
		t.Errorf("%+v %t", s, ok)
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte(statLine(1, "init", 0, 1)))
	f.Add([]byte("7 (a) b) R 1 18446744073709551615 "))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, ok := parseStat(text); ok && s.ppid < 0 {
			t.Fatalf("%+v", s)
		}
	})
}

var (
	idA = strings.Repeat("a1", 32)
	idB = strings.Repeat("b2", 32)
)

func TestContainerID(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/docker-" + idA + ".scope\n":                                                                  idA,
		"12:memory:/docker/" + idA + "\n11:cpu:/docker/" + idA + "\n":                                                  idA,
		"0::/docker/" + idA + "/docker/" + idB + "\n":                                                                  idB,
		"0::/docker/" + idA + "/init\n":                                                                                idA,
		"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-" + idA + ".scope": idA,
		"11:cpu,cpuacct:/kubepods-burstable-pod2_3.slice:cri-containerd:" + idA:                                        idA,
		"1:name=systemd:/kubepods/besteffort/pod0c/" + idA:                                                             idA,
		"0::/kubepods.slice/kubepods-pod9.slice/crio-" + idA + ".scope":                                                idA,
		"0::/kubepods.slice/kubepods-pod9.slice/crio-conmon-" + idA + ".scope":                                         "",
		"0::/machine.slice/libpod-" + idA + ".scope/container":                                                         idA,
		"0::/machine.slice/libpod-conmon-" + idA + ".scope":                                                            "",
		"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope/container":               idA,
		"0::/../" + idA:                      idA,
		"0::/":                               "",
		"0::/user.slice/session-3.scope":     "",
		"0::/docker/" + strings.ToUpper(idA): "",
		"0::/docker/" + idA[1:]:              "",
		"garbage":                            "",
		"":                                   "",
		"4:devices:/\n3:cpu:/docker/" + idB + "\n": idB,
	} {
		if got := containerID(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/system.slice/docker-" + idA + ".scope\n")
	f.Add("::\n:::////")
	f.Fuzz(func(t *testing.T, text string) {
		if id := containerID(text); id != "" && (len(id) != containerIDLen || !strings.Contains(text, id)) {
			t.Fatalf("%q", id)
		}
	})
}

func TestListeners(t *testing.T) {
	want := []listener{
		{netip.MustParseAddr("0.0.0.0"), 8000, 11},
		{netip.MustParseAddr("127.0.0.1"), 65535, 12},
		{netip.MustParseAddr("10.1.2.3"), 1, 13},
	}
	six := []listener{{netip.MustParseAddr("::"), 8000, 14}, {netip.MustParseAddr("fd00::1:2"), 9, 15}, {netip.MustParseAddr("::1"), 9, 16}}
	got := appendListeners(nil, []byte(socketTable(want, false)))
	got = appendListeners(got, []byte(socketTable(six, true)))
	if diff := cmp.Diff(append(want, six...), got, cmp.AllowUnexported(listener{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"", "0: 0100007F:1F40", "0: 0100007F:1F40 00000000:0000 0A a b c d e", "0: 010007F:1F40 x 0A a b c d e 5",
		"0: 0100007F:0000 x 0A a b c d e 5", "0: 0100007F:1F40 x 0A a b c d e -5", "0: 0100007F:1F40 x 01 a b c d e 5",
	} {
		if got := appendListeners(nil, []byte(bad)); got != nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestEndsOtherwise(t *testing.T) {
	listening := "  sl  local_address rem_address   st tx\n   0: 00000000:07E8 00000000:0000 0A 0\n"
	for text, want := range map[string]bool{
		"":                            false,
		listening:                     false,
		listening + "   1: 0:0 0:0 0": false,
		listening + "   1: 020200C0:AE86 507100CB:0050 06 0\n": true,
	} {
		if got := pastListeners([]byte(text), false); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func FuzzListeners(f *testing.F) {
	f.Add([]byte(socketTable([]listener{anywhere(8000, 5)}, false)))
	f.Add([]byte("0: 00000000000000000000000001000000:1F40 x 0A a b c d e 5"))
	f.Fuzz(func(t *testing.T, text []byte) {
		pastListeners(text, false)
		for _, l := range appendListeners(nil, text) {
			if l.port < 1 || l.port > 65535 || !l.addr.IsValid() {
				t.Fatalf("%+v", l)
			}
		}
	})
}

func TestLocalAddresses(t *testing.T) {
	got := localAddresses([]byte(podTrie("172.17.0.2") + "     |-- 169.254.1.1\n        /32 host LOCAL\n     |-- 10.0.0.1\n        /32 link BROADCAST\n     |-- x\n        /32 host LOCAL\n"))
	if fmt.Sprint(got) != "[172.17.0.2]" {
		t.Errorf("%v", got)
	}
}

func TestAddresses6(t *testing.T) {
	got := appendAddresses6(nil, []byte("00000000000000000000000000000001 01 80 10 80       lo\nfe800000000000000042acfffe110002 02 40 20 80     eth0\n"+
		"20010db8000000000000000000000007 02 40 00 c0     eth0\n20010db8000000000000000000000008 02 40 00 88     eth0\n20010db800000000000000000000000 02 40 00 80     eth0\n"+
		"20010db8000000000000000000000009 02 40 00 80     eth0\n"))
	if fmt.Sprint(got) != "[2001:db8::9]" {
		t.Errorf("%v", got)
	}
}

func FuzzAddresses(f *testing.F) {
	f.Add([]byte(podTrie("10.0.0.9")))
	f.Add([]byte("fd000077000000000000000000000002 02 40 00 80     eth0\nfe800000000000000042acfffe110002 02 40 20 80     eth0\n"))
	f.Add([]byte("|-- \n/32 host LOCAL\n|-- 255.255.255.255.255\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list := localAddresses(text)
		if len(list) > maxAddresses {
			t.Fatal(len(list))
		}
		for _, addr := range list {
			if !addr.Is4() || addr.IsLoopback() {
				t.Fatal(addr)
			}
		}
		for _, addr := range appendAddresses6(nil, text) {
			if !addr.Is6() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
				t.Fatal(addr)
			}
		}
	})
}

func TestSocketInode(t *testing.T) {
	for target, want := range map[string]uint64{"socket:[12]": 12, "socket:[]": 0, "socket:[1": 0, "/dev/null": 0, "anon_inode:[eventpoll]": 0} {
		if got, ok := socketInode(target); got != want || ok != (want > 0) {
			t.Errorf("%s: %d %t", target, got, ok)
		}
	}
}

func TestBootTime(t *testing.T) {
	if at, ok := bootTime([]byte("cpu 1\nbtime 1700000000\n")); !ok || at != 1_700_000_000 {
		t.Error(at, ok)
	}
	if at, ok := bootTime([]byte("cpu 1\nbtime x\n")); ok {
		t.Error(at)
	}
}
