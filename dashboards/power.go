package dashboards

func power() Dashboard {
	return Dashboard{
		UID: "stackscope-power", Title: "Power and tokens per joule",
		Variables: []Variable{datasource(), cluster()},
	}
}
