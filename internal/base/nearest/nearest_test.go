package nearest

import "testing"

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"port", "port", 0},
		{"port", "ports", 1},
		{"port", "prt", 1},
		{"port", "pord", 1},
		{"port", "prot", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q, %q: %d, want %d", test.a, test.b, got, test.want)
		}
		if got := distance(test.b, test.a); got != test.want {
			t.Errorf("%q, %q: %d, want %d", test.b, test.a, got, test.want)
		}
	}
}

func TestName(t *testing.T) {
	names := []string{"host", "port", "ports"}
	for word, want := range map[string]string{"prt": "port", "portt": "port", "hots": "host", "token": "", "": ""} {
		if got := Name(word, names, 2); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := Name("prt", names, 0); got != "" {
		t.Errorf("no edit is allowed, got %q", got)
	}
}
