package exporter

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// Bounds of an InstancePage.
const (
	// MaxPageText bounds each of its texts. As JSON they have at most twice as many bytes.
	MaxPageText = 1 << 20
	// maxPages bounds the pages that are explained at a time.
	maxPages = 2
	// maxExplainedBytes and maxPageWork, which is for translate.Work, bound a page of which it is said what became of each metric. Pages
	// of real engines need less than a tenth.
	maxExplainedBytes = 4 << 20
	maxPageWork       = 1_000_000
)

// FetchError is the error of a fetch whose answer is no metrics page, with what came of it.
type FetchError struct {
	Err               error
	ContentType, Body string
}

func (e *FetchError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FetchError) Unwrap() error { return e.Err }

// InstancePage is an engine's page and what the active mapping makes of it.
type InstancePage struct {
	Instance    Instance
	FetchedAt   time.Time
	ContentType string
	Bytes       int // of the whole page
	// Native is the page, or after a failed fetch what came of it. The texts end with a whole line. Cut says that more was there.
	Native, Unified       string
	NativeCut, UnifiedCut bool
	Reports               []translate.NativeReport
	// Fed and Countable are the coverage, known if HasCoverage.
	HasCoverage    bool
	Fed, Countable int
	// Err is why the page, or a part of this, could not be had.
	Err error
}

var (
	errNotExported       = errors.New("the worker no longer has this engine")
	errTooLargeToExplain = fmt.Errorf("the page is too large to say what became of each metric: it has more than %d MiB, or the mapping has very much to do with it", maxExplainedBytes>>20)
	errHidden            = errors.New("the page itself is not shown: it is that of a gateway, whose native metrics name users, and --hash-users is set")
)

// Page returns what the active mapping makes of an engine's page. A fetch that a scrape has begun is shared. It returns at the deadline, or
// soon after it, and with what it has when ctx ends.
func (e *Exporter) Page(ctx context.Context, engine Engine, deadline time.Time) InstancePage {
	states := e.states()
	i := slices.IndexFunc(states, func(t *engineState) bool { return t.engine == engine })
	if i < 0 {
		return InstancePage{Instance: engine.Instance(), FetchedAt: time.Now(), Err: errNotExported}
	}
	done := make(chan InstancePage, 1)
	go func() { done <- e.page(ctx, states[i], deadline) }()
	select {
	case p := <-done:
		return p
	case <-ctx.Done():
		return InstancePage{Instance: engine.Instance(), FetchedAt: time.Now(), Err: context.Cause(ctx)}
	}
}

func (e *Exporter) page(ctx context.Context, t *engineState, deadline time.Time) (p InstancePage) {
	defer func() {
		if v := recover(); v != nil {
			e.logger.Error("an engine's page could not be explained", "instance", p.Instance.Name, "panic", v, "stack", string(debug.Stack()))
			p.Err = fmt.Errorf("the page could not be translated: %v", v)
		}
	}()
	f, err := t.join(deadline) //nolint:contextcheck // scrapes share the fetch and go on without this request
	p.FetchedAt = time.Now()
	if err != nil {
		p.Instance, p.Err = t.engine.Instance(), err
		if got, ok := errors.AsType[*FetchError](err); ok && !e.hidesNative(&p.Instance) {
			p.ContentType, p.Native, p.Bytes = got.ContentType, got.Body, len(got.Body)
		}
		return p
	}
	defer f.release()
	defer f.releasePage()
	p.Instance, p.ContentType, p.Bytes = f.instance, f.page.ContentType, len(f.page.Body)
	select {
	case e.pages <- struct{}{}:
		defer func() { <-e.pages }()
	case <-ctx.Done():
		return p
	}
	if e.hidesNative(&p.Instance) {
		p.Err = errHidden
	} else {
		p.Native, p.NativeCut = cutText(f.page.Body, MaxPageText)
	}
	translated, err := e.queue.acquire(len(f.page.Body), deadline)
	if err != nil {
		p.Err = err
		return p
	}
	defer translated()
	e.explain(&p, t, f)
	return p
}

// hidesNative reports whether native metrics are not shown because their labels name users.
func (e *Exporter) hidesNative(in *Instance) bool { return e.userKey != nil && in.Gateway }

// explain adds what the active mapping makes of the page.
func (e *Exporter) explain(p *InstancePage, t *engineState, f *sharedFetch) {
	compiled, _ := e.mapping.Current()
	src := t.source(e.identity(), f.instance).src
	u := f.translate(compiled, src, func(u unifiedPage) { e.countPage(t, u) })
	p.HasCoverage, p.Fed, p.Countable = true, u.fed, u.countable
	var page exposition.Writer
	translate.Merge(&page, compiled.Families(), u.result)
	head := headWriter{left: 2 * MaxPageText}
	_, _ = page.WriteTo(&head) // headWriter returns no error
	p.Unified, p.UnifiedCut = cutText(head.text, MaxPageText)
	p.UnifiedCut = p.UnifiedCut || head.more

	plan := compiled.Plan(f.instance.Runtime, f.instance.Version)
	format := translate.DetectFormat(f.page.ContentType, f.page.Body)
	if len(f.page.Body) > maxExplainedBytes || translate.Work(f.page.Body, format, plan) > maxPageWork {
		p.Err = errors.Join(p.Err, errTooLargeToExplain)
		return
	}
	p.Reports = translate.Explain(f.page.Body, format, plan)
}

// headWriter keeps the beginning of what is written.
type headWriter struct {
	text []byte
	left int
	more bool // there was more
}

func (h *headWriter) Write(b []byte) (int, error) {
	n := min(len(b), h.left)
	h.text = append(h.text, b[:n]...)
	h.left -= n
	h.more = h.more || n < len(b)
	return len(b), nil
}
