package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/stackscope/stackscope/dashboards"
)

// writeDashboards writes each dashboard to a file of its own and removes the files of dashboards that are no more.
func writeDashboards(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	stale := map[string]bool{}
	for _, path := range old {
		stale[path] = true
	}
	for _, d := range dashboards.All() {
		text, err := d.JSON()
		if err != nil {
			return err
		}
		path := filepath.Join(dir, d.UID+".json")
		delete(stale, path)
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // everybody may read a dashboard
			return err
		}
	}
	var errs []error
	for path := range stale {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
