package dashboards

func models() Dashboard {
	return Dashboard{
		UID: "gpustack-model", Title: "GPUStack Model",
		Variables: []Variable{datasource(), cluster()},
	}
}
