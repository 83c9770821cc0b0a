package wire

import (
	"encoding/json"
	"time"
)

// Generation is an item of GET /v2/metrics/config/generations, and the answer to GET /v2/metrics/config/generations/{n} with its document.
// Number 0 is the built-in mapping.
type Generation struct {
	Number  int64      `json:"generation"`
	Active  bool       `json:"active,omitempty" doc:"Workers use it"`
	Default bool       `json:"default,omitempty" doc:"The built-in mapping of the running server"`
	Extends string     `json:"extends,omitempty" doc:"default: a document that adds to the built-in mapping and overrides its entries"`
	At      *time.Time `json:"at,omitempty" doc:"When it was stored; absent if it is not known"`
	Author  string     `json:"author,omitempty" doc:"Who made the change, as they said; only for admins"`
	Comment string     `json:"comment,omitempty" doc:"Why, as the author said"`
	// RestoredFrom is the generation whose document this one has again.
	RestoredFrom *int64 `json:"restored_from,omitempty" doc:"The generation that was restored; 0: the built-in mapping"`
	Metrics      int    `json:"metrics,omitempty" doc:"Unified metrics that it defines, built-in ones included"`
	Problem      string `json:"problem,omitempty" doc:"Why it cannot be used: it is damaged, or a newer version wrote it"`
}

// GenerationDocument answers GET /v2/metrics/config/generations/{n}.
type GenerationDocument struct {
	Generation
	Document json.RawMessage `json:"document" doc:"As it was posted, without its comments"`
}

// GenerationDiff answers GET /v2/metrics/config/generations/{n}/diff?to=M.
type GenerationDiff struct {
	From        int64               `json:"from" doc:"Generation; 0: the built-in mapping"`
	To          int64               `json:"to"`
	Differences []MappingDifference `json:"differences" doc:"What would turn the first mapping into the second, built-in entries included"`
}

// MappingDifference is a place where two mappings differ.
type MappingDifference struct {
	Pointer string `json:"pointer" doc:"RFC 6901 JSON pointer"`
	Kind    string `json:"kind" enum:"added,removed,changed"`
	Before  string `json:"before,omitempty" doc:"JSON; absent where there is none"`
	After   string `json:"after,omitempty" doc:"JSON; absent where there is none"`
}

// Vanishing says what a change of the mapping takes away. It is a part of MappingStatus and of MappingDryRun.
type Vanishing struct {
	// Metrics is what the two documents alone say: it needs no worker.
	Metrics []VanishingMetric `json:"metrics" doc:"Unified metrics that a runtime no longer gets, at most 1000"`
	Series  int               `json:"series" doc:"Live series that vanish, of the instances that could be read in time"`
	Unknown []string          `json:"unknown,omitempty" doc:"Workers and instances of which nothing is known, each with the reason"`
}

// VanishingMetric is a unified metric that a runtime no longer gets.
type VanishingMetric struct {
	Metric   string   `json:"metric" doc:"As on the page"`
	Runtimes []string `json:"runtimes"`
}
