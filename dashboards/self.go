package dashboards

func self() Dashboard {
	return Dashboard{
		UID: "stackscope-self", Title: "stackscope itself",
		Variables: []Variable{datasource(), cluster()},
	}
}
