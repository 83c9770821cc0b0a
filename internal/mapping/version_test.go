package mapping

import "testing"

func TestVersionRange_Matches(t *testing.T) {
	tests := []struct {
		rng     string
		in, out []string
	}{
		{"<0.11.1", []string{"0.11.0", "0.9", "0.11.1rc1", "0.11.1.dev3+g1234abc", "0.11.0.post1", "v0.11.0", "0.1.dev7001+gabc"}, []string{"0.11.1", "0.11.1+cu121", "0.11.1.post1", "0.12.0rc1", "1!0.1"}},
		{"<=0.4.4", []string{"0.4.4", "0.4.4+cu121", "0.4.4rc1", "0.4.3.post4", "0.4.4.0"}, []string{"0.4.4.post1", "0.4.5"}},
		{">=0.9,<0.11", []string{"0.9", "0.9.0", "0.9.2rc2.dev4+gabc", "0.10.2", "0.11.0rc1"}, []string{"0.9.0rc1", "0.9.dev1", "0.8.5", "0.11", "0.11.0", "0.11.0+cpu"}},
		{" >= 0.9 , < 0.11 ", []string{"0.10"}, []string{"0.11"}},
		{">0.5.3", []string{"0.5.3.post1", "0.5.4rc1"}, []string{"0.5.3", "0.5.3rc1", "0.5.3+cu124"}},
		{">=0.5.11", []string{"0.5.11", "0.5.12.post1", "0.10"}, []string{"0.5.9", "0.5.11rc0"}},
		{"0.10.0", []string{"0.10.0", "0.10", "v0.10.0", "0.10.0+cu121"}, []string{"0.10.0rc1", "0.10.0.post1", "0.10.1"}},
		{"0.10.0+cu121", []string{"0.10.0+cu121"}, []string{"0.10.0", "0.10.0+cu118"}},
		{"==0.10.*", []string{"0.10.0", "0.10.2rc1", "0.10.1+cu121"}, []string{"0.1.0", "0.11.0"}},
		{"!=0.10.0", []string{"0.10.1", "0.10.0rc1"}, []string{"0.10.0", "0.10.0+cu121"}},
		{"~=0.9.1", []string{"0.9.1", "0.9.9"}, []string{"0.9.0", "0.10.0"}},
		{">=0.9.0RC1", []string{"0.9.0rc1", "0.9.0"}, []string{"0.9.0b1"}},
		{"===0.10.0", []string{"0.10.0"}, []string{"0.10"}},
		{"=== main", []string{"main", "Main"}, []string{"0.10"}},
		{"2.1.RC1.B120", []string{"2.1.RC1.B120"}, []string{"2.1.RC1.B121", "2.1rc1", "2.1"}},
		{"2.3.RC1", []string{"2.3.RC1", "2.3rc1"}, []string{"2.3"}},
	}
	for _, tt := range tests {
		r, err := parseRange(tt.rng)
		if err != nil {
			t.Errorf("parseRange(%q): %v", tt.rng, err)
			continue
		}
		for _, version := range tt.in {
			if !r.matches(parseVersion(version)) {
				t.Errorf("%q does not contain %s", tt.rng, version)
			}
		}
		// What cannot be parsed is in no range but one that is spelled like it.
		for _, version := range append(tt.out, "", "dev", "nightly-2025", "<0.11.1 ", "0.9.x") {
			if r.matches(parseVersion(version)) {
				t.Errorf("%q contains %q", tt.rng, version)
			}
		}
	}
}

func TestVersionRange_UnparsedVersionMatchesByEquality(t *testing.T) {
	r, err := parseRange("<0.11.1")
	if err != nil {
		t.Fatal(err)
	}
	if !r.matches(parseVersion("<0.11.1")) {
		t.Error("a version that cannot be parsed and is spelled like the range is not in it")
	}
}

func FuzzRange(f *testing.F) {
	for _, rng := range []string{"<0.11.1", ">=0.9,<0.11", "0.10.0", "==0.10.*", "~=1.2", "===x", "2.1.RC1.B120", "*", "!=1!2+a.b-3"} {
		f.Add(rng, "0.9.2rc2.dev4+gabc")
	}
	f.Fuzz(func(t *testing.T, rng, version string) {
		v := parseVersion(version)
		r, err := parseRange(rng)
		if err != nil {
			return
		}
		if got, again := r.matches(v), r.matches(parseVersion(version)); got != again {
			t.Errorf("%q contains %q: %v, then %v", rng, version, got, again)
		}
	})
}
