package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecognise(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"                Apache License\n          Version 2.0, January 2004", []string{"Apache-2.0"}},
		{"Permission is hereby granted, free of charge, to any person\nobtaining a copy", []string{"MIT"}},
		{"// Permission to use, copy, modify, and/or distribute this\n// software for any purpose", []string{"ISC"}},
		{"Redistribution and use in source and binary forms\n * Neither the name of Google", []string{"BSD-3-Clause"}},
		{"Redistribution and use in source and binary forms", []string{"BSD-2-Clause"}},
		{"Licensed under the Apache License, Version 2.0\nPermission is hereby granted, free of charge, to any person obtaining a copy", []string{"Apache-2.0", "MIT"}},
		{"GNU AFFERO GENERAL PUBLIC LICENSE", nil},
	} {
		if diff := cmp.Diff(tt.want, recognise(tt.text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

// A part with a license that nobody has looked at stops a release.
func TestUnknownLicense(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "GNU AFFERO GENERAL PUBLIC LICENSE"} {
		if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if expression, _, err := readLicense(dir); err == nil || !strings.Contains(err.Error(), dir+": no license that hack/sbom recognises") {
			t.Errorf("license %q: got %q, %v", text, expression, err)
		}
	}
}

func TestEscape(t *testing.T) {
	if got, want := escape("github.com/NVIDIA/go-nvml@v0.1.0-RC"), "github.com/!n!v!i!d!i!a/go-nvml@v0.1.0-!r!c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPrometheusUIPackages(t *testing.T) {
	const list = "Name: react\nVersion: 19.2.8\nLicense: MIT\nPrivate: false\nLicense Text:\n===\n\nMIT License\nName: none\n\n---\n\nName: @codemirror/view\nVersion: 6.43.6\nLicense: MIT\n"
	want := []npmPackage{{"react", "19.2.8", "MIT"}, {"@codemirror/view", "6.43.6", "MIT"}}
	if diff := cmp.Diff(want, prometheusUIPackages(list)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
