package dashboards

func fleetOverview() Dashboard {
	return Dashboard{
		UID: "stackscope-fleet", Title: "Fleet overview",
		Variables: []Variable{datasource(), cluster()},
	}
}
