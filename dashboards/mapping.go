package dashboards

func mappingHealth() Dashboard {
	return Dashboard{
		UID: "stackscope-mapping", Title: "Mapping and scrape health",
		Variables: []Variable{datasource(), cluster()},
	}
}
