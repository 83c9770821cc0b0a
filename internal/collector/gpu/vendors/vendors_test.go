package vendors

import (
	"log/slog"
	"strings"
	"testing"
)

func TestVendorsByName(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"thead", "amd"}, "amd thead"}, // in the order of export
		{[]string{None}, ""},
		{nil, "nvidia amd ascend intel hygon metax mthreads iluvatar cambricon thead"},
	} {
		if err := Check(c.names); err != nil {
			t.Errorf("%q: %v", c.names, err)
		}
		var got []string
		for _, b := range Backends(c.names, t.TempDir(), logger) {
			got = append(got, b.Vendor())
			_ = b.Close()
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, want %q", c.names, got, c.want)
		}
	}
	for _, names := range [][]string{{"amd", "voodoo"}, {"amd", None}} {
		if err := Check(names); err == nil || !strings.Contains(err.Error(), `"`+names[1]+`": vendors are nvidia, amd`) || !strings.Contains(err.Error(), "none reads no GPUs") {
			t.Errorf("%q: %v", names, err)
		}
	}
}
