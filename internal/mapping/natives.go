package mapping

import (
	"maps"
	"slices"
	"strings"
)

// Natives returns the names of the native families that the plan maps, without _total, sorted.
func (p *Plan) Natives() []string {
	if p == nil {
		return nil
	}
	names := slices.Sorted(maps.Keys(p.natives))
	return slices.DeleteFunc(names, func(name string) bool {
		without, ok := strings.CutSuffix(name, totalSuffix)
		return ok && p.natives[without] != nil
	})
}
