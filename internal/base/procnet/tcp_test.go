package procnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// line writes a socket as the kernel does.
func line(local, remote string, state, uid int, inode uint64) string {
	return fmt.Sprintf("%4d: %s %s %02X 00000000:00000000 00:00000000 00000000 %5d        0 %d 1 0000000000000000 100 0 0 10 0\n",
		0, kernel(local), kernel(remote), state, uid, inode)
}

func kernel(text string) string {
	a := netip.MustParseAddrPort(text)
	raw := a.Addr().AsSlice()
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	return fmt.Sprintf("%X:%04X", raw, a.Port())
}

func TestSockets(t *testing.T) {
	text := heading +
		line("0.0.0.0:8000", "0.0.0.0:0", 0x0A, 0, 11) +
		"   0: what is no line\n" +
		line("[fd00::1:2]:9", "[::1]:65535", 1, 4294967295, 1<<63)
	var got []string
	for s := range Sockets([]byte(text)) {
		local, ok := s.Local()
		remote, ok2 := s.Remote()
		uid, ok3 := s.UID()
		inode, ok4 := s.Inode()
		got = append(got, fmt.Sprint(local, remote, uid, inode, s.Listens(), ok && ok2 && ok3 && ok4))
	}
	want := []string{"0.0.0.0:8000 0.0.0.0:0 0 11 true true", "[fd00::1:2]:9 [::1]:65535 4294967295 9223372036854775808 false true"}
	if !slices.Equal(got[len(got)-len(want):], want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, s := range got[:len(got)-len(want)] {
		if !strings.HasSuffix(s, "false") {
			t.Errorf("was read: %s", s)
		}
	}
}

func TestAddressesOfThisMachine(t *testing.T) {
	// What a real machine of x86 writes.
	if got, ok := parseAddress([]byte("0100007F:07E8")); !ok || (got.String() != "127.0.0.1:2024" && got.String() != "1.0.0.127:2024") {
		t.Errorf("%v %t", got, ok)
	}
	for _, bad := range []string{"", ":", "0100007F", "0100007F:", "0100007F:07E", "010007F:07E8", "0100007G:07E8", "0100007F:07EX"} {
		if got, ok := parseAddress([]byte(bad)); ok {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestOwner(t *testing.T) {
	client, server := netip.MustParseAddrPort("127.0.0.1:50000"), netip.MustParseAddrPort("127.0.0.1:80")
	mine := line("127.0.0.1:50000", "127.0.0.1:80", 1, 1000, 77)
	others := line("127.0.0.1:80", "127.0.0.1:50000", 1, 0, 76) + // the server's own end
		line("127.0.0.1:50000", "127.0.0.1:81", 1, 0, 75) +
		line("127.0.0.2:50000", "127.0.0.1:80", 1, 0, 74) +
		line("127.0.0.1:50001", "127.0.0.1:80", 1, 0, 73)
	for _, tt := range []struct {
		name, table string
		want        uint32
		err         error
	}{
		{"listed", heading + others + mine, 1000, nil},
		{"not listed", heading + others, 0, ErrUnknown},
		{"nothing is listed", "", 0, ErrUnknown},
		{"a program that speaks IPv6 alone", heading + line("[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:80", 1, 33, 5), 33, nil},
		{"closed by its owner", heading + line("127.0.0.1:50000", "127.0.0.1:80", 5, 0, 0), 0, ErrClosed},
		{"behind a line that never ends", strings.Repeat("0: ", 100_000) + "\n" + mine, 1000, nil},
		{"without an end of line", strings.TrimSpace(mine), 1000, nil},
		{"half closed, still held", heading + line("127.0.0.1:50000", "127.0.0.1:80", 5, 1000, 77), 1000, nil},
		{"no user can be read", strings.Replace(mine, " 1000 ", " root ", 1), 0, ErrUnknown},
		{"no inode can be read", strings.Replace(mine, " 77 ", " x ", 1), 0, ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := owner(client, server, strings.NewReader(tt.table)); got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%d, %v; want %d, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzSockets(f *testing.F) {
	f.Add([]byte(heading + line("127.0.0.1:50000", "127.0.0.1:80", 1, 1000, 77)))
	f.Add([]byte("0: 00000000000000000000000001000000:1F40 x 0A a b c d e 5"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for s := range Sockets(text) {
			if a, ok := s.Local(); ok && (!a.IsValid() || a.Addr().Is4In6()) {
				t.Errorf("%v", a)
			}
			_, _ = s.Remote()
			_, _ = s.UID()
			_, _ = s.Inode()
			_ = s.Listens()
		}
	})
}
