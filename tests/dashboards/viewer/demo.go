package viewer

import "slices"

// OnDemo returns those of the dashboards that have data on the demo's default scenario: it has no instances with roles and no cache
// service.
func OnDemo(all []Dashboard) []Dashboard {
	return slices.DeleteFunc(slices.Clone(all), func(d Dashboard) bool { return d.UID == "gpustack-pd" || d.UID == "gpustack-cache-service" })
}
