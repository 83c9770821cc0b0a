package exposition

import (
	"bytes"
	"strings"
)

// Format is a text format for metrics.
type Format uint8

// The formats that can be scanned.
const (
	Text        Format = iota // Prometheus text 0.0.4
	OpenMetrics               // OpenMetrics 1.0
)

// String returns the format's name as it stands in logs.
func (f Format) String() string {
	if f == OpenMetrics {
		return "OpenMetrics"
	}
	return "text 0.0.4"
}

var endOfPage = []byte("# EOF")

// DetectFormat says in which format a page is. OpenMetrics is recognised by its content type, or by its last line for
// servers that send it under another type or none.
func DetectFormat(contentType string, page []byte) Format {
	mediaType, _, _ := strings.Cut(contentType, ";")
	if strings.EqualFold(strings.TrimSpace(mediaType), "application/openmetrics-text") {
		return OpenMetrics
	}
	rest, found := bytes.CutSuffix(bytes.TrimRight(page, "\r\n"), endOfPage)
	if found && (len(rest) == 0 || rest[len(rest)-1] == '\n') {
		return OpenMetrics
	}
	return Text
}
