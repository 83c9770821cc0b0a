package dashboards

func engineComparison() Dashboard {
	return Dashboard{
		UID: "stackscope-engines", Title: "Engine comparison",
		Variables: []Variable{datasource(), cluster()},
	}
}
