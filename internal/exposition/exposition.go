// Package exposition scans and writes Prometheus' text exposition format 0.0.4 and scans OpenMetrics 1.0, on bytes.
//
// The scanning side is made for pages of which only a part is wanted: a line's parts are slices of the page, nothing is
// allocated, and a fault costs the line that has it, never the page.
package exposition

// ContentType is the media type of the pages that Writer makes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"
