package doctor

// Group are the findings of one step, for the documentation.
type Group struct {
	Title, Text string
	Findings    []*Finding
}

// Catalogue returns all findings by their step.
func Catalogue() []Group {
	return []Group{
		{"The worker", "The worker reports to the server every 10 s and keeps a watch stream open. `discovery_...` is what its discovery leaves out.", workerFindings},
		{"The engine's endpoint", "The worker asks the engine at its address: DNS, connection, TLS, HTTP status.", endpointFindings},
		{"The engine's page", "The engine answers; this is what its page has.", pageFindings},
		{"The mapping", "The worker translates the page. Findings that begin with `metric_` need a metric in the question.", mappingFindings},
		{"The worker's page", "The worker makes its own page, of its engines, its machine and its GPUs.", workerPageFindings},
		{"Prometheus' targets", "Prometheus gets the workers as targets: the embedded one from the server, others by HTTP service discovery.", targetFindings},
		{"The scrape", "Prometheus asks the worker for its page.", scrapeFindings},
		{"Prometheus' storage", "Prometheus stores the samples and answers queries.", storageFindings},
		{"The dashboards' variables", "The variables of the dashboards list clusters, workers, models and instances.", dashboardFindings},
		{"Workers that want to join", "Only the whole fleet is asked for these.", joinFindings},
		{"The server", "Only the whole fleet is asked for those that are no errors.", serverFindings},
	}
}
