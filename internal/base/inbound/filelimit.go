package inbound

// Share returns how many connections a listener may have: limit, or the given percentage of the files that this process may open if
// that is less. The rest of the files is for the database, scrapes and Grafana.
func Share(limit, percent int) int {
	if files := Files(); files > 0 {
		return max(1, min(limit, files/100*percent+files%100*percent/100))
	}
	return limit
}
