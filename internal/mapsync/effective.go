package mapsync

import "github.com/stackscope/stackscope/internal/mapping"

// effective returns the effective document of a stored one. A new version of the program can have a built-in document that an
// overlay no longer fits in places. They are logged and have no effect: the rest stays active.
func (p *Publisher) effective(generation int64, document []byte) ([]byte, error) {
	doc, left, err := mapping.DecodeStored(document, p.base)
	if err != nil {
		return nil, err
	}
	if doc.Extends() == "" {
		return document, nil
	}
	if len(left) > 0 {
		p.logger.Warn("the metrics mapping does not fit the built-in one in places, which have no effect; post it without them",
			"generation", generation, "places", len(left), "error", left)
	}
	return doc.Effective().MarshalJSON()
}
