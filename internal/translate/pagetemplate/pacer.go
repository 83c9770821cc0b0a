package pagetemplate

const (
	// worthwhileHits is how many pages must have matched a template for the next one to be made at once.
	worthwhileHits = 4
	maxPause       = 64
)

// A Pacer spaces the attempts to make templates of an engine's pages. The less the last templates were of use, the more pages
// pass before the next one is made. The zero value lets the first page have one.
type Pacer struct {
	hits  int // pages that matched the last template
	pause int // pages without a template after one that was of little use
	left  int // of the pause
}

// Ready reports whether a page should get a template. Each false shortens the pause by a page.
func (p *Pacer) Ready() bool {
	if p.left > 0 {
		p.left--
		return false
	}
	return true
}

// Hit counts a page that matched.
func (p *Pacer) Hit() { p.hits++ }

// Hits returns how many pages matched the last template.
func (p *Pacer) Hits() int { return p.hits }

// Miss ends a template that a page did not match, or an attempt to make one.
func (p *Pacer) Miss() {
	if p.hits >= worthwhileHits {
		p.pause = 0
	} else {
		p.pause = min(max(1, 2*p.pause), maxPause)
	}
	p.hits, p.left = 0, p.pause
}
