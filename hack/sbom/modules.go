package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// part is something that a program is made of.
type part struct {
	name, version string
	purl          string // package URL, https://github.com/package-url/purl-spec
	sum           string // SHA-256 in hexadecimal digits: of a Go module that of go.sum; empty if it is not known
	license       string // SPDX expression
	text          string // of the license; empty for npm packages, which have theirs in a list
}

// modules returns the Go modules of programs, and Go's own library.
func modules(programs []program) ([]part, error) {
	cache, err := goEnv("GOMODCACHE")
	if err != nil {
		return nil, err
	}
	goroot, err := goEnv("GOROOT")
	if err != nil {
		return nil, err
	}
	linked := map[string]*debug.Module{}
	for _, p := range programs {
		for _, m := range p.info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			linked[m.Path+"@"+m.Version] = m
		}
	}
	goVersion := strings.TrimPrefix(programs[0].info.GoVersion, "go")
	library := part{name: "std", version: goVersion, purl: "pkg:golang/std@" + goVersion}
	if library.license, library.text, err = readLicense(goroot); err != nil {
		return nil, err
	}
	found := []part{library}
	for _, key := range slices.Sorted(maps.Keys(linked)) {
		m := linked[key]
		p := part{name: m.Path, version: m.Version, purl: "pkg:golang/" + m.Path + "@" + m.Version}
		if p.sum, err = decodeSum(m.Sum); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if p.license, p.text, err = readLicense(filepath.Join(cache, filepath.FromSlash(escape(key)))); err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

func goEnv(name string) (string, error) {
	out, err := exec.Command("go", "env", name).Output() //nolint:gosec // names of our own
	return strings.TrimSpace(string(out)), err
}

var upper = regexp.MustCompile(`[A-Z]`)

// escape returns the name of a module's folder in the cache, where a capital letter is "!" and the small one.
func escape(name string) string {
	return upper.ReplaceAllStringFunc(name, func(letter string) string { return "!" + strings.ToLower(letter) })
}

// decodeSum turns the hash of go.sum, "h1:" and base64, into hexadecimal digits.
func decodeSum(sum string) (string, error) {
	encoded, ok := strings.CutPrefix(sum, "h1:")
	if !ok {
		return "", fmt.Errorf("hash %q, want h1: and base64", sum)
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	return hex.EncodeToString(raw), err
}

var licenseFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice)([-.].*)?$|^[a-z]+-license$`)

// readLicense returns the licenses that a folder's files contain, and these files.
func readLicense(dir string) (expression, text string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", "", fmt.Errorf("%w: run `go mod download`", err)
	}
	var texts []string
	ids := map[string]bool{}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !licenseFile.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return "", "", err
		}
		texts = append(texts, strings.TrimSpace(string(raw)))
		for _, id := range recognise(string(raw)) {
			ids[id] = true
		}
	}
	if len(ids) == 0 {
		return "", "", errors.New(dir + ": no license that hack/sbom recognises: look at it, then add it to hack/sbom/modules.go")
	}
	return strings.Join(slices.Sorted(maps.Keys(ids)), " AND "), strings.Join(texts, "\n\n"), nil
}

// licenses has sentences that a license alone contains, in lower case and without slashes, and its SPDX identifier.
var licenses = []struct{ sentence, id string }{
	{"apache license version 2.0", "Apache-2.0"},
	{"licensed under the apache license, version 2.0", "Apache-2.0"},
	{"mozilla public license version 2.0", "MPL-2.0"},
	{"mozilla public license, version 2.0", "MPL-2.0"},
	{"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
	{"permission to use, copy, modify, and or distribute this software for any purpose", "ISC"},
	{"permission to use, copy, modify, and distribute this software for any purpose", "ISC"},
	{"this is free and unencumbered software released into the public domain", "Unlicense"},
	{"the author disclaims copyright to this source code", "blessing"},
}

var spaces = regexp.MustCompile(`[\s*/#]+`)

// recognise returns the SPDX identifiers of the licenses that a text contains.
func recognise(text string) []string {
	text = strings.ToLower(spaces.ReplaceAllString(text, " "))
	var ids []string
	for _, l := range licenses {
		if strings.Contains(text, l.sentence) && !slices.Contains(ids, l.id) {
			ids = append(ids, l.id)
		}
	}
	switch bsd := strings.Contains(text, "redistribution and use in source and binary forms"); {
	case bsd && (strings.Contains(text, "neither the name") || strings.Contains(text, "names of its contributors may not")):
		ids = append(ids, "BSD-3-Clause")
	case bsd:
		ids = append(ids, "BSD-2-Clause")
	}
	return ids
}
