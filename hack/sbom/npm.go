package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	consoleLock  = "web/console/package-lock.json"
	consoleTexts = "web/console/dist/console/assets/licenses.txt"
	// Prometheus' build writes what it put into the pages, with the texts of the licenses.
	prometheusTexts = "web/prometheus/static/assets/third-party-licenses.txt"
	// A package within another one has a path like node_modules/a/node_modules/b.
	modulesFolder = "node_modules/"
)

type npmPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	License string `json:"license"`
}

// npmPackages returns the packages in the console and in Prometheus' web UI; not those that only their builds need.
func npmPackages() ([]part, error) {
	console, err := consolePackages()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, prometheusTexts))
	if err != nil {
		return nil, fmt.Errorf("%w: run `PROMETHEUS_UI=required make ui`", err)
	}
	prometheus := prometheusUIPackages(string(text))
	if len(prometheus) == 0 {
		return nil, fmt.Errorf("%s lists no packages", prometheusTexts)
	}
	var found []part
	seen := map[string]bool{}
	for _, p := range append(console, prometheus...) {
		if p.License == "" || strings.EqualFold(p.License, "unknown") {
			return nil, fmt.Errorf("npm package %s %s has no license", p.Name, p.Version)
		}
		// The character @ of a scope is escaped in a package URL.
		purl := "pkg:npm/" + strings.Replace(p.Name, "@", "%40", 1) + "@" + p.Version
		if !seen[purl] {
			seen[purl] = true
			found = append(found, part{name: p.Name, version: p.Version, purl: purl, license: p.License})
		}
	}
	return found, nil
}

func consolePackages() ([]npmPackage, error) {
	var lock struct {
		Packages map[string]struct {
			npmPackage
			Dev      bool `json:"dev"`
			Optional bool `json:"devOptional"`
		} `json:"packages"`
	}
	if err := readJSON(consoleLock, &lock); err != nil {
		return nil, err
	}
	var found []npmPackage
	for path, p := range lock.Packages {
		i := strings.LastIndex(path, modulesFolder)
		if i < 0 || p.Dev || p.Optional {
			continue
		}
		p.Name = path[i+len(modulesFolder):]
		found = append(found, p.npmPackage)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s lists no packages", consoleLock)
	}
	return found, nil
}

// prometheusUIPackages reads a list of entries, separated by lines "---", that begin with "Name: ", "Version: " and "License: ".
func prometheusUIPackages(list string) []npmPackage {
	var found []npmPackage
	for entry := range strings.SplitSeq(list, "\n---\n") {
		var p npmPackage
		for line := range strings.Lines(entry) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "Name":
				p.Name = value
			case "Version":
				p.Version = value
			case "License":
				p.License = value
			}
			if p.License != "" {
				break
			}
		}
		if p.Name != "" {
			found = append(found, p)
		}
	}
	return found
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
