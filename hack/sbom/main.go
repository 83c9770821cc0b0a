// Command sbom writes what a release's archive is made of, as a CycloneDX document: the Go modules that its programs were built
// from, as the programs themselves tell, and the npm packages in the web pages that the server embeds.
//
//	go run ./hack/sbom ARCHIVE.tar.gz DOCUMENT.cdx.json   the document of an archive
//	go run ./hack/sbom -licenses PROGRAM...               the licenses of all these parts, with their texts
//
// The same archive gives the same document. SOURCE_DATE_EPOCH is its time.
//
// A part whose license is not recognised is an error: somebody has to look at it.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

const (
	// maxProgram bounds a program that is read from an archive.
	maxProgram = 512 << 20
	// server is the program that embeds web pages.
	server = "stackscope"
)

// root is the repository's folder.
var root string

func main() {
	flag.StringVar(&root, "root", ".", "the repository's root")
	licenses := flag.Bool("licenses", false, "print the licenses of what the programs are made of")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: sbom [-root DIR] ARCHIVE DOCUMENT, or sbom [-root DIR] -licenses PROGRAM...")
	}
	flag.Parse()
	var err error
	switch {
	case *licenses && flag.NArg() > 0:
		err = printLicenses(os.Stdout, flag.Args())
	case !*licenses && flag.NArg() == 2:
		err = document(flag.Arg(0), flag.Arg(1))
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// program is a Go program and what it says it was built from.
type program struct {
	name string
	info *debug.BuildInfo
}

func document(archive, to string) error {
	packed, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	programs, err := archived(packed)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	components, err := parts(programs)
	if err != nil {
		return err
	}
	bom, err := newBOM(filepath.Base(archive), sha256.Sum256(packed), programs, components)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(bom, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(text, '\n'), 0o644) //nolint:gosec // it is published
}

// archived returns the Go programs of a tar.gz.
func archived(packed []byte) ([]program, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	var found []program
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && len(found) == 0:
			return nil, errors.New("no program in it")
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		}
		if header.Mode&0o111 == 0 || header.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(archive, maxProgram))
		if err != nil {
			return nil, err
		}
		info, err := buildinfo.Read(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
		found = append(found, program{path.Base(header.Name), info})
	}
}

// parts returns what programs are made of, sorted.
func parts(programs []program) ([]part, error) {
	found, err := modules(programs)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(programs, func(p program) bool { return p.name == server }) {
		packages, err := npmPackages()
		if err != nil {
			return nil, err
		}
		found = append(found, packages...)
	}
	slices.SortFunc(found, func(a, b part) int { return strings.Compare(a.purl, b.purl) })
	return found, nil
}

func printLicenses(w io.Writer, paths []string) error {
	var programs []program
	for _, p := range paths {
		info, err := buildinfo.ReadFile(p)
		if err != nil {
			return err
		}
		programs = append(programs, program{filepath.Base(p), info})
	}
	found, err := modules(programs)
	if err != nil {
		return err
	}
	// Many have the same text.
	sharing := map[string][]part{}
	for _, p := range found {
		sharing[p.text] = append(sharing[p.text], p)
	}
	for _, p := range found {
		for _, same := range sharing[p.text] {
			fmt.Fprintf(w, "%s %s (%s)\n", same.name, same.version, same.license)
		}
		if len(sharing[p.text]) > 0 {
			fmt.Fprintf(w, "\n%s\n\n%s\n\n", p.text, strings.Repeat("-", 80))
		}
		delete(sharing, p.text)
	}
	if !slices.ContainsFunc(programs, func(p program) bool { return p.name == server }) {
		return nil
	}
	for _, list := range []string{consoleTexts, prometheusTexts} {
		text, err := os.ReadFile(filepath.Join(root, list))
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}
