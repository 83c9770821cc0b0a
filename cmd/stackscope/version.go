package main

import (
	"encoding/json"
	"fmt"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/command"
)

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (c *versionCmd) Run(e *command.Env) error {
	b := buildinfo.Get()
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(map[string]string{"version": b.Version, "revision": b.Revision, "go": b.GoVersion})
	}
	_, err := fmt.Fprintf(e.Stdout, "stackscope %s (revision %s, %s)\n", b.Version, b.Revision, b.GoVersion)
	return err
}
