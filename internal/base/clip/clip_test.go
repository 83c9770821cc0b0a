package clip_test

import (
	"testing"

	"github.com/stackscope/stackscope/internal/base/clip"
)

func TestEnd(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc..."},
		{"aé", 2, "a..."},
	} {
		if got := clip.End(test.in, test.limit); got != test.want {
			t.Errorf("%q to %d: %q, want %q", test.in, test.limit, got, test.want)
		}
	}
}

func TestLine(t *testing.T) {
	if got, want := clip.Line(" a\n\tb \xff c", 100), "a b \uFFFD c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := clip.Line("one two", 3), "one..."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
