package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

type statusCmd struct {
	remote
	JSON bool `help:"Print JSON."`
}

func (c *statusCmd) Run(e *command.Env) error {
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	version, err := cl.Version(e.Context)
	if err != nil {
		return err
	}
	inv, err := cl.Inventory(e.Context)
	if err != nil {
		return err
	}
	config, err := cl.GetConfig(e.Context)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(struct {
			Version    string `json:"version"`
			Generation int64  `json:"metrics_config_generation"`
			client.Inventory
		}{version.Version, config.Generation, inv})
	}
	fmt.Fprintf(e.Stdout, "server %s at %s, metrics mapping of generation %d\n", version.Version, cl.URL(), config.Generation)
	return printInventory(e, inv)
}

func printInventory(e *command.Env, inv client.Inventory) error {
	models := map[int64]string{}
	for _, m := range inv.Models {
		models[m.ID] = m.Name
	}
	workers := map[int64]string{}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nWORKER\tSTATE\tMETRICS\tMAPPING\tLAST REPORT\tWHY")
	for _, worker := range inv.Workers {
		workers[worker.ID] = worker.Name
		last := "never"
		if worker.LastReportAt != nil {
			last = time.Since(*worker.LastReportAt).Round(time.Second).String() + " ago"
		}
		scheme := ""
		if worker.MetricsScheme != "" {
			scheme = string(worker.MetricsScheme) + "://"
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s:%d\t%d\t%s\t%s\n", worker.Name, worker.State, scheme, worker.Address, worker.MetricsPort, worker.AppliedGeneration, last, worker.StateMessage)
	}
	if len(inv.Workers) == 0 {
		fmt.Fprintln(w, "none: start one with `stackscope worker --server-url URL --token-file FILE`")
	}
	// Roles have columns only where an instance has one.
	roles := slices.ContainsFunc(inv.Instances, func(i wire.ModelInstance) bool { return i.Role != "" })
	column := func(text string) string {
		if !roles {
			return ""
		}
		return text + "\t"
	}
	fmt.Fprintf(w, "\nINSTANCE\tMODEL\t%sWORKER\tSTATE\tRUNTIME\tVERSION\tRESTARTS\tWHY\n", column("ROLE\tGROUP"))
	for _, i := range inv.Instances {
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\t%s\t%s\t%d\t%s\n", i.Name, orDash(models[i.ModelID]), column(orDash(string(i.Role))+"\t"+orDash(i.Group)),
			workers[i.WorkerID], i.State, orDash(i.Runtime), orDash(i.RuntimeVersion), i.RestartCount, i.StateMessage)
	}
	if len(inv.Instances) == 0 {
		fmt.Fprintln(w, "none: start an engine on a worker's machine, or declare one with the worker's flag `--engine url=http://HOST:PORT`")
	}
	if roles {
		printRoles(w, inv.Models)
	}
	return w.Flush()
}

// printRoles prints how many instances of each role run, of those that are known, for the models that have roles.
func printRoles(w io.Writer, models []wire.Model) {
	fmt.Fprintln(w, "\nMODEL\tROLE\tREADY\tDESIRED")
	for _, m := range models {
		for _, r := range m.Roles {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", m.Name, r.Role, r.ReadyInstances, r.DesiredInstances)
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
