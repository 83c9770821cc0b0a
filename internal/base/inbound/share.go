package inbound

// Share returns how many connections a listener may have: most, or where this process may not open many files, that percentage of
// them. The rest is for what else needs files: the database, scrapes, Grafana.
func Share(most, percent int) int {
	if files := Files(); files > 0 {
		return max(1, min(most, files/100*percent+files%100*percent/100))
	}
	return most
}
