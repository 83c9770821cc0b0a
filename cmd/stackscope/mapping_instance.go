package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/base/nearest"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

// knownInstance is an instance of a server's inventory.
type knownInstance struct {
	wire.ModelInstance
	worker string // its name
}

func (i *knownInstance) String() string {
	return fmt.Sprintf("%s (id %d) on %s", i.Name, i.ID, i.worker)
}

// engineName names the runtime and its version.
func engineName(runtime, version string) string {
	if runtime == "" {
		return "unknown runtime"
	}
	return strings.TrimSpace(runtime + " " + version)
}

// readInstances reads the instances of a server, in the order of their ids.
func readInstances(ctx context.Context, cl *client.Client) ([]knownInstance, error) {
	inv, err := cl.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	workers := map[int64]string{}
	for _, w := range inv.Workers {
		workers[w.ID] = w.Name
	}
	list := make([]knownInstance, len(inv.Instances))
	for i, in := range inv.Instances {
		list[i] = knownInstance{in, orDash(workers[in.WorkerID])}
	}
	return list, nil
}

// findInstance returns the instance that has a name or an id.
func findInstance(list []knownInstance, arg string) (*knownInstance, error) {
	var found []*knownInstance
	var names []string
	for i := range list {
		in := &list[i]
		names = append(names, in.Name)
		if in.Name == arg || strconv.FormatInt(in.ID, 10) == arg {
			found = append(found, in)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		hint := "`stackscope status` lists them"
		if name := nearest.Name(arg, names, max(2, len(arg)/4)); name != "" {
			hint = fmt.Sprintf("did you mean %q?", name)
		}
		return nil, fmt.Errorf("the server has no instance with the name or id %q; %s", arg, hint)
	}
	var texts []string
	for _, in := range found[:min(len(found), 10)] {
		texts = append(texts, in.String())
	}
	return nil, fmt.Errorf("%d instances have the name or id %q: give the id of one, of %s", len(found), arg, strings.Join(texts, ", "))
}

// readPage asks the worker of an instance for its page. The error says why there is none.
func (i *knownInstance) readPage(ctx context.Context, cl *client.Client) (wire.InstancePage, error) {
	page, err := again(ctx, func() (wire.InstancePage, error) { return cl.InstancePage(ctx, i.ID) })
	switch {
	case err != nil:
		return page, err
	case page.Error != "" && page.Coverage == nil:
		return page, fmt.Errorf("instance %s: %s", i.Name, page.Error)
	}
	if page.Runtime == "" {
		page.Runtime = i.Runtime
	}
	if page.RuntimeVersion == "" {
		page.RuntimeVersion = i.RuntimeVersion
	}
	return page, nil
}
