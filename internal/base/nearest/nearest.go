// Package nearest finds the name that a mistyped one was meant to be.
package nearest

// Name returns the name that is nearest to word, and "" if each is more than most edits away. An edit inserts, deletes or replaces a
// byte, or swaps two neighbours. Of names that are equally near the first one is returned.
func Name(word string, names []string, most int) string {
	best, least := "", most+1
	for _, name := range names {
		if len(name)-len(word) >= least || len(word)-len(name) >= least {
			continue
		}
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the optimal string alignment distance of a and b: Levenshtein's with swaps.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
