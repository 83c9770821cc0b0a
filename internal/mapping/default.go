package mapping

import (
	"sync"

	"github.com/stackscope/stackscope/configs"
)

// defaultDocument is decoded once; a test decodes the embedded file, so it cannot fail in a build that passed.
var defaultDocument = sync.OnceValue(func() *Document {
	doc, err := decode(configs.MetricsConfig, nil)
	if err != nil {
		panic("built-in metrics configuration: " + err.Error())
	}
	return doc
})

// Default returns the built-in document.
func Default() *Document { return defaultDocument() }
