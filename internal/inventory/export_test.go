package inventory

// Outdate makes the next snapshot and page be made anew, so that they show what memory holds.
func (i *Inventory) Outdate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.markStale(staleAll)
}
