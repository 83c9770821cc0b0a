package bundle

import (
	_ "embed"
	"strings"
	"sync"
)

// wordsFile has the words that the programs' own texts are made of. TestWords writes it.
//
//go:embed words.txt
var wordsFile string

// vocabulary has the words that stay in texts, in lower case.
var vocabulary = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(wordsFile) {
		words[word] = true
	}
	return words
})
