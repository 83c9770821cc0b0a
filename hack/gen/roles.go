package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
)

// roles returns the table of which role counts which metric.
func roles() []byte {
	var b bytes.Buffer
	b.WriteString("| metrics | counted on | matcher | why |\n|---|---|---|---|\n")
	for _, row := range catalog.RoleTable() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", strings.Join(row.Metrics, "`, `"), row.Counts, strings.ReplaceAll(row.Counts.Matcher(), "|", `\|`), row.Why)
	}
	return b.Bytes()
}
