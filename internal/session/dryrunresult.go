package session

import (
	"encoding/json"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of a dry run's result.
const (
	maxResultBytes = 1 << 20
	maxErrorBytes  = 512
	maxHelpBytes   = 300
	maxFamilies    = 500 // listed for one instance
)

// byteBudget is how many bytes of lists still fit into a result. The counts beside the lists are outside of it.
type byteBudget int

func newByteBudget(requested int) byteBudget {
	return byteBudget(min(max(requested, 0), maxResultBytes))
}

// take reports whether n bytes fit, and takes them.
func (b *byteBudget) take(n int) bool {
	if int(*b) < n {
		return false
	}
	*b -= byteBudget(n)
	return true
}

// instance describes what a dry run would change for one engine. Texts are cut to the server's bounds, because it would refuse the
// whole result for a longer one.
func (b *byteBudget) instance(r *exporter.DryRunResult) wire.InstanceDryRun {
	in := wire.InstanceDryRun{
		Name: fleet.Cut(r.Instance.Name, fleet.MaxName), Runtime: fleet.Cut(r.Instance.Runtime, fleet.MaxKind),
		RuntimeVersion: fleet.Cut(r.Instance.Version, fleet.MaxVersion),
	}
	if r.Err != nil {
		in.Error = clip.End(r.Err.Error(), maxErrorBytes)
		return in
	}
	d := &r.Difference
	in.Before, in.After = page(r.Before), page(r.After)
	in.Added, in.Removed, in.Changed = d.Added, d.Removed, d.Changed
	for i := range d.Families {
		f := &d.Families[i]
		listed := wire.FamilyDryRun{
			Name: f.Name, Added: f.Added, Removed: f.Removed, Changed: f.Changed,
			Type: textChange(f.TypeBefore, f.TypeAfter), Help: textChange(f.HelpBefore, f.HelpAfter),
		}
		const otherJSON = 100 // bytes beside the texts
		if i == maxFamilies || !b.take(otherJSON+quotedLen(f.Name)+quotedLen(clip.End(f.HelpBefore, maxHelpBytes))+quotedLen(clip.End(f.HelpAfter, maxHelpBytes))) {
			in.FamiliesLeftOut = len(d.Families) - i
			break
		}
		in.Families = append(in.Families, listed)
	}
	for i := range d.Series {
		const otherJSON = 60
		if !b.take(otherJSON + quotedLen(d.Series[i].Series)) {
			break
		}
		in.Series = append(in.Series, series(&d.Series[i]))
	}
	in.SeriesLeftOut = d.Added + d.Removed + d.Changed - len(in.Series)
	return in
}

func page(p exporter.DryRunPage) *wire.DryRunPage {
	return &wire.DryRunPage{Coverage: wire.Coverage{Families: p.Fed, Of: p.Countable}, Series: p.Series, ParseErrors: p.ParseErrors}
}

func series(s *translate.SeriesDifference) wire.SeriesDryRun {
	listed := wire.SeriesDryRun{Series: s.Series}
	if s.Before != "" {
		listed.Before = &s.Before
	}
	if s.After != "" {
		listed.After = &s.After
	}
	return listed
}

func textChange(before, after string) *wire.TextChange {
	if before == after {
		return nil
	}
	return &wire.TextChange{Before: clip.End(before, maxHelpBytes), After: clip.End(after, maxHelpBytes)}
}

// quotedLen is the length of a text as a JSON string.
func quotedLen(s string) int {
	data, _ := json.Marshal(s) // of a string it cannot fail
	return len(data)
}
