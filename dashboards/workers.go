package dashboards

func workers() Dashboard {
	return Dashboard{
		UID: "gpustack-worker", Title: "GPUStack Worker",
		Variables: []Variable{datasource(), cluster()},
	}
}
