package main

import (
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/health"
)

var (
	_ command.Serving = (*serverCmd)(nil)
	_ command.Serving = (*startCmd)(nil)
	_ command.Serving = (*workerRun)(nil)
	_ command.Serving = (*demoCmd)(nil)
)

// Places is called by the health check.
func (c *serverCmd) Places() []health.Place { return []health.Place{c.place()} }

// Places is called by the health check.
func (c *startCmd) Places() []health.Place {
	return append([]health.Place{c.place()}, c.Worker.Places(c.Web.WebConfigFile)...)
}

// Places is called by the health check. Ports that were in use are others.
func (c *demoCmd) Places() []health.Place {
	return []health.Place{{Name: apiPlace, Host: c.Host, Port: c.Port}, {Name: "worker", Host: c.Host}}
}

const apiPlace = "API"

// place is where the API is. A port that is not given may be one of two.
func (f *serverFlags) place() health.Place {
	p := health.Place{Name: apiPlace, Host: f.Host, Usual: command.SystemPort}
	switch {
	case f.TLSCert != "":
		p.Port, p.Scheme = f.TLSPort, health.TLS
	case f.Port != nil:
		p.Port = *f.Port
	}
	return p
}
