package dashboards

func gpuHealth() Dashboard {
	return Dashboard{
		UID: "stackscope-gpus", Title: "GPU health",
		Variables: []Variable{datasource(), cluster()},
	}
}
