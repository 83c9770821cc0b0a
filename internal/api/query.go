package api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/base/nearest"
)

// Parameters of changes and reads of the mapping.
const (
	dryRunParameter    = "dry_run"
	timeoutParameter   = "timeout"
	mergeParameter     = "merge"
	authorParameter    = "author"
	commentParameter   = "comment"
	effectiveParameter = "effective"

	maxAuthorBytes  = 128
	maxCommentBytes = 1000
	// misspelt is how many edits away from a parameter another one is taken for that.
	misspelt = 2
)

// ChangeQuery has the query parameters of a change of the mapping.
type ChangeQuery struct {
	DryRun  string `query:"dry_run" doc:"1: say what would change, and change nothing"`
	Timeout string `query:"timeout" doc:"How long a dry run waits for workers, 1s to 1m, as a duration or in seconds; 10s by default"`
	Author  string `query:"author" doc:"Who makes the change, at most 128 bytes; by default how the request was authorised"`
	Comment string `query:"comment" doc:"Why, at most 1000 bytes"`

	dry, merge bool
	wait       time.Duration
}

// Resolve reads the parameters. A misspelt one must not cause another change than the one that was meant, so anything similar to one is an
// error.
func (in *ChangeQuery) Resolve(ctx huma.Context) []error {
	names := []string{dryRunParameter, timeoutParameter, authorParameter, commentParameter}
	if merges := ctx.Operation().OperationID == setConfigID; merges {
		names = append(names, mergeParameter)
	}
	query, err := readQuery(ctx, names, dryRunParameter, mergeParameter)
	if err != nil {
		return []error{err}
	}
	if in.dry, err = readFlag(query, dryRunParameter); err != nil {
		return []error{err}
	}
	if in.merge, err = readFlag(query, mergeParameter); err != nil {
		return []error{err}
	}
	if in.Author, err = readText(query, authorParameter, maxAuthorBytes); err != nil {
		return []error{err}
	}
	if in.Comment, err = readText(query, commentParameter, maxCommentBytes); err != nil {
		return []error{err}
	}
	if err := in.readTimeout(query); err != nil {
		return []error{err}
	}
	return nil
}

func (in *ChangeQuery) readTimeout(query url.Values) error {
	in.wait = defaultDryRunTime
	values, given := query[timeoutParameter]
	if !given {
		return nil
	}
	if !in.dry {
		return invalidQuery(timeoutParameter, "only a dry run waits; add "+dryRunParameter+"=1 or leave it out")
	}
	wait, err := time.ParseDuration(values[0])
	if seconds, numberErr := strconv.ParseFloat(values[0], 64); numberErr == nil && seconds >= 0 && seconds <= maxDryRunTime.Seconds() {
		wait, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || wait < minDryRunTime || wait > maxDryRunTime {
		return invalidQuery(timeoutParameter, fmt.Sprintf("found %.40q, allowed are %s to %s", values[0], minDryRunTime, maxDryRunTime))
	}
	in.wait = wait
	return nil
}

// readQuery returns the parameters of a request. A name that looks like one of names without being it is an error, and one that is a few
// edits away from one of the important names. Others are ignored, as GPUStack's clients may send any.
func readQuery(ctx huma.Context, names []string, important ...string) (url.Values, error) {
	u := ctx.URL()
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, invalidQuery("parameters", err.Error())
	}
	for name := range query {
		if slices.Contains(names, name) {
			continue
		}
		spelled := bare(name)
		meant := ""
		for _, known := range append(slices.Clone(names), important...) {
			if spelled == bare(known) {
				meant = known
			}
		}
		if meant == "" {
			meant = nearest.Name(spelled, important, misspelt)
		}
		switch {
		case meant == "":
		case slices.Contains(names, meant):
			return nil, invalidQuery(fmt.Sprintf("%.40q", name), "write it as "+meant)
		default:
			return nil, invalidQuery(fmt.Sprintf("%.40q", name), "it has no meaning here")
		}
	}
	return query, nil
}

// bare is a parameter's name without what people spell differently.
func bare(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(strings.TrimSpace(name)))
}

// readFlag reads a parameter that is 1 or 0.
func readFlag(query url.Values, name string) (bool, error) {
	values, given := query[name]
	switch {
	case !given:
		return false, nil
	case len(values) > 1:
		return false, invalidQuery(name, "it is given more than once")
	case values[0] == "1", values[0] == "true":
		return true, nil
	case values[0] == "0", values[0] == "false":
		return false, nil
	}
	return false, invalidQuery(name, fmt.Sprintf("found %.40q, allowed are 1 and 0", values[0]))
}

// readText reads a parameter that people will read.
func readText(query url.Values, name string, limit int) (string, error) {
	if len(query[name]) > 1 {
		return "", invalidQuery(name, "it is given more than once")
	}
	text := strings.TrimSpace(query.Get(name))
	if len(text) > limit {
		return "", invalidQuery(name, fmt.Sprintf("found %d bytes, allowed are %d", len(text), limit))
	}
	if !utf8.ValidString(text) {
		return "", invalidQuery(name, "it is no UTF-8")
	}
	for i, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return "", invalidQuery(name, fmt.Sprintf("found the control character %U at byte %d, allowed is text on one line", r, i))
		}
	}
	return text, nil
}

const nothingChanged = "; nothing was changed"

func invalidQuery(name, detail string) error {
	return &huma.ErrorDetail{Location: "query." + name, Message: detail + nothingChanged}
}

// ofRead returns the error of a query that was to change nothing.
func ofRead(err error) error {
	if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
		return &huma.ErrorDetail{Location: d.Location, Message: strings.TrimSuffix(d.Message, nothingChanged)}
	}
	return err
}
