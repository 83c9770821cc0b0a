package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

// PageModels are the models that a page names. It is immutable.
type PageModels struct {
	// Names are the models, in the order in which the page first named them. LoRA adapters, further served names of a model and parts
	// of an ensemble are not among them.
	Names []string
	// Of is the model of each value of the page's labels, see runtimes.ModelLabels. It is "" for an adapter or a part of an unknown model.
	Of map[string]string
	// Weights are what the names of the engine's list of models stand for, where it says that.
	Weights map[string]string
}

// ModelNames are names that an engine's command line gives. They are no models of their own.
type ModelNames struct {
	// Served are the names of one model.
	Served []string
	// Adapters are LoRA adapters.
	Adapters []string
}

// models follows the models that the engine's pages name. Engine.mu guards it.
type models struct {
	// onPage are the names in the labels of the last page.
	onPage []string
	// page is what they are; nil: not known yet, or the engine is a gateway.
	page *PageModels
	// adapters are the adapters that pages of this process told of, listed what the engine answered when it was last asked.
	adapters map[string]bool
	listed   []runtimes.ListedModel
	// asked are the names for which listed was asked, for this process.
	asked map[string]bool
	// asks counts the requests for the list, because a page may have other names each time.
	asks        renames
	commandLine ModelNames
	// known is closed when page says what onPage are.
	known chan struct{}
}

// newModels makes models whose page is known: nothing is awaited.
func newModels() models {
	m := models{known: make(chan struct{})}
	close(m.known)
	return m
}

// sameNames reports whether runtimes.ReadAfter has returned the slice that it was given.
func sameNames(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// lostModel reports whether a page that still names a model names one less than the page before: a frontend's model may end while the
// frontend runs.
func lostModel(before, now []string) bool {
	return !sameNames(before, now) && len(now) > 0 && slices.ContainsFunc(before, func(name string) bool { return !slices.Contains(now, name) })
}

// mayAsk reports whether the engine may be asked for its list, or is being asked.
func (m *models) mayAsk() bool {
	if !isClosed(m.known) {
		return true
	}
	ok, _ := m.asks.allow(time.Now())
	return ok
}

// SetCommandLine sets the names that the engine's command line gives to its models.
func (e *Engine) SetCommandLine(names ModelNames) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := &e.models
	m.commandLine = names
	if m.page == nil || !isClosed(m.known) {
		return // the next page decides
	}
	if e.setModels(e.decideModels()) {
		e.onChange()
	}
}

// takeModels takes the models of a page and reports whether they have changed. If a name is new beside others, the engine is asked for
// its list of models first, once: a new name may be an adapter. The caller holds e.mu.
func (e *Engine) takeModels(seen *pageObservation, started bool) (changed bool) {
	m := &e.models
	if started { // another process, which may have other adapters
		m.asked, m.listed = nil, nil
		if !sameNames(m.onPage, seen.Models) {
			m.adapters = nil
		}
	}
	if !started && sameNames(m.onPage, seen.Models) && (m.page != nil) == !runtimes.IsGateway(e.status.Runtime) {
		return false
	}
	m.onPage = seen.Models
	if len(seen.adapters) > 0 && len(m.adapters) < maxAsked {
		all := maps.Clone(seen.adapters)
		maps.Copy(all, m.adapters)
		m.adapters = all
	}
	if runtimes.IsGateway(e.status.Runtime) {
		return e.setModels(nil)
	}
	if len(m.onPage) > 1 && slices.ContainsFunc(m.onPage, func(name string) bool { return !m.asked[name] }) && m.mayAsk() {
		if isClosed(m.known) {
			m.known = make(chan struct{})
		}
		select {
		case e.askModels <- struct{}{}:
		default:
		}
		return false
	}
	return e.setModels(e.decideModels())
}

// modelsKnown returns a channel that is closed when it is known what the names on the last page are.
func (e *Engine) modelsKnown() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.models.known
}

// setModels sets what the models of the page are and reports whether that has changed. The caller holds e.mu.
func (e *Engine) setModels(page *PageModels) (changed bool) {
	m := &e.models
	if !isClosed(m.known) {
		close(m.known)
	}
	if was := m.page; was != nil && page != nil && slices.Equal(was.Names, page.Names) && maps.Equal(was.Of, page.Of) &&
		maps.Equal(was.Weights, page.Weights) || was == page {
		return false
	}
	m.page = page
	return true
}

// listModels asks the engine for its list of models, since its page names several. An engine without such a list has no adapters that it
// could tell of.
func (e *Engine) listModels(ctx context.Context) {
	e.mu.Lock()
	starts, names := e.starts, e.models.onPage
	e.mu.Unlock()
	listed, err := runtimes.ListModels(ctx, e.fetcher, e.target)
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		e.logger.Debug("engine does not list its models; the names on its page are taken for models", "error", clip.Line(err.Error(), 500))
	}
	m := &e.models
	if starts == e.starts {
		if m.asked == nil {
			m.asked = map[string]bool{}
		}
		if len(m.asked) > maxAsked {
			clear(m.asked)
		}
		for _, name := range names {
			m.asked[name] = true
		}
		m.listed = listed
	}
	if slices.ContainsFunc(m.onPage, func(name string) bool { return !m.asked[name] }) && len(m.onPage) > 1 {
		return // a later page named more, and askModels is signalled again
	}
	if e.setModels(e.decideModels()) {
		e.onChange()
	}
}

// maxAsked bounds the names that are remembered as asked for.
const maxAsked = 4 * runtimes.MaxNames

// decideModels says what the names on the page are. The caller holds e.mu.
func (e *Engine) decideModels() *PageModels {
	m := &e.models
	r, _ := e.runtimeNamed(e.status.Runtime)
	d := modelDecision{names: m.onPage, parts: r.Parts(m.onPage), listed: m.listed, commandLine: m.commandLine, adapters: m.adapters}
	return d.decide()
}

// modelDecision is what is known about the names on a page.
type modelDecision struct {
	names       []string
	parts       map[string]string
	listed      []runtimes.ListedModel
	commandLine ModelNames
	adapters    map[string]bool

	onPage map[string]bool                 // of names
	byID   map[string]runtimes.ListedModel // of listed
}

func (d *modelDecision) decide() *PageModels {
	d.onPage, d.byID = make(map[string]bool, len(d.names)), make(map[string]runtimes.ListedModel, len(d.listed))
	for _, name := range d.names {
		d.onPage[name] = true
	}
	for _, l := range d.listed {
		d.byID[l.ID] = l
	}
	page := &PageModels{Of: make(map[string]string, len(d.names))}
	for _, name := range d.names {
		if _, part := d.parts[name]; part || d.isAdapter(name) {
			continue
		}
		model := d.firstName(name)
		page.Of[name] = model
		if !slices.Contains(page.Names, model) {
			page.Names = append(page.Names, model)
		}
	}
	for _, name := range d.names {
		if _, decided := page.Of[name]; !decided {
			page.Of[name] = d.ownerOf(name, page)
		}
	}
	for _, l := range d.listed {
		if l.Parent == "" && l.Root != "" && len(l.Root) <= fleet.MaxSourceKey && len(page.Weights) < maxAsked {
			if page.Weights == nil {
				page.Weights = map[string]string{}
			}
			page.Weights[l.ID] = string(l.Root)
		}
	}
	return page
}

func (d *modelDecision) isAdapter(name string) bool {
	return d.byID[name].Parent != "" || d.adapters[name] || slices.Contains(d.commandLine.Adapters, name)
}

// firstName returns, of the names that a model has, the first one on the page: in the order of the command line, or of the engine's list.
func (d *modelDecision) firstName(name string) string {
	if slices.Contains(d.commandLine.Served, name) {
		for _, served := range d.commandLine.Served {
			if d.onPage[served] {
				return served
			}
		}
	}
	root := d.byID[name].Root
	if root == "" {
		return name
	}
	for _, l := range d.listed {
		if l.Root == root && d.onPage[l.ID] && !d.isAdapter(l.ID) {
			return l.ID
		}
	}
	return name
}

// ownerOf returns the model that an adapter or a part belongs to, "" if that is not known.
func (d *modelDecision) ownerOf(name string, page *PageModels) string {
	owner := cmp.Or(d.parts[name], string(d.byID[name].Parent))
	if model, ok := page.Of[owner]; ok && model != "" {
		return model
	}
	if root := d.byID[owner].Root; root != "" {
		for _, l := range d.listed {
			if model := page.Of[l.ID]; l.Root == root && l.Parent == "" && model != "" {
				return model
			}
		}
	}
	if len(page.Names) == 1 {
		return page.Names[0]
	}
	return ""
}

// String lists the models.
func (p *PageModels) String() string {
	if p == nil {
		return ""
	}
	return strings.Join(p.Names, ", ")
}
