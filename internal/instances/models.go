package instances

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// MaxPageModels bounds the models of one page that are instances of their own. The others are folded into one, otherModel.
	MaxPageModels = 32
	otherModel    = "other"
	// maxModelInstances bounds the instances that the models of all pages add to a worker's engines.
	maxModelInstances = fleet.MaxInstances - MaxEngines
	// maxNewModels is how many new models a page may name in newModelWindow. Later ones are folded.
	maxNewModels   = 2 * MaxPageModels
	newModelWindow = time.Hour
	// maxModelNames bounds the names of instances that are kept for models which come back.
	maxModelNames = 4 * MaxPageModels
)

// modelInstance is the instance of one of several models of a page.
type modelInstance struct {
	model string
	name  string
	gone  time.Time // since when the page does not name it; zero: it does
	since time.Time // when the page named it first, or again; zero: in an earlier run of the worker
	fault string    // what was wrong with the model's name on the page; empty: nothing
}

// pageModels are the model instances of an engine. It is immutable; Manager.followModels replaces it.
type pageModels struct {
	// page is what it was made of; nil: of what an earlier run of the worker saved.
	page *engine.PageModels
	// instances has one of each model; without any, and without other, the page names no more than one, and the engine itself is the instance.
	instances []modelInstance
	// other is the instance of folded, the models beyond MaxPageModels; its name is empty if there never were any.
	other  modelInstance
	folded []string
	// names are the instance names that models have had, gone ones too, by model; "" is the model of other.
	names map[string]string
	// added counts the names that were given since addedSince.
	added      int
	addedSince time.Time
}

// areSeveral reports whether the engine's models are instances of their own.
func (p *pageModels) areSeveral() bool { return len(p.instances) > 0 || p.other.name != "" }

// all returns the instances with that of the folded models.
func (p *pageModels) all() []modelInstance {
	if p.other.name == "" {
		return p.instances
	}
	return append(slices.Clip(p.instances), p.other)
}

// has reports whether a model has an instance of its own.
func (p *pageModels) has(model string) bool {
	return slices.ContainsFunc(p.instances, func(in modelInstance) bool { return in.model == model })
}

// sourceOf returns where the weights of a model come from by the engine's list of models; empty: it does not say.
func (p *pageModels) sourceOf(model string) (source, key string) {
	if p.page == nil {
		return "", ""
	}
	return fleet.ModelSource(p.page.Weights[model])
}

// modelChange is what the next pageModels depends on.
type modelChange struct {
	page *engine.PageModels
	// own are the names that the engine's own model may have: the instance of that model keeps the engine's name.
	own       []string
	engine    string // name of its instance
	now       time.Time
	retention time.Duration
	room      int // how many more instances the worker takes
	// taken reports whether another instance of the worker has a name.
	taken func(name string) bool
}

// next returns what p becomes; p itself if nothing changes.
func (p *pageModels) next(c modelChange) *pageModels {
	if c.page == nil || c.page == p.page && !p.hasExpired(c) {
		return p
	}
	if !p.areSeveral() && len(c.page.Names) < 2 {
		return &pageModels{page: c.page, names: p.names, added: p.added, addedSince: p.addedSince}
	}
	n := &pageModels{page: c.page, names: map[string]string{}, added: p.added, addedSince: p.addedSince}
	if c.now.Sub(n.addedSince) >= newModelWindow {
		n.added, n.addedSince = 0, c.now
	}
	maps.Copy(n.names, p.names)
	here := make(map[string]bool, len(c.page.Names))
	for _, model := range c.page.Names {
		fitted, _ := fleet.Fitted(model, fleet.MaxModelName)
		here[fitted] = true
	}
	for _, in := range p.instances {
		if in = in.seen(here[in.model], c.now); !in.expired(c) {
			n.instances = append(n.instances, in)
		}
	}
	for _, model := range c.page.Names {
		fitted, fault := fleet.Fitted(model, fleet.MaxModelName)
		n.add(fitted, fault, p, c)
	}
	n.fold(p, c)
	if len(n.names) > maxModelNames {
		n.forgetNames()
	}
	if len(n.instances) == 1 && n.instances[0].name == c.engine && n.other.name == "" {
		n.instances = nil // the engine's own model is alone again
	}
	return n
}

func (in modelInstance) seen(here bool, now time.Time) modelInstance {
	switch {
	case here && !in.gone.IsZero():
		in.gone, in.since = time.Time{}, now
	case here:
	case in.gone.IsZero():
		in.gone = now
	}
	return in
}

func (in modelInstance) expired(c modelChange) bool {
	return !in.gone.IsZero() && c.now.Sub(in.gone) >= c.retention
}

func (p *pageModels) hasExpired(c modelChange) bool {
	return slices.ContainsFunc(p.all(), func(in modelInstance) bool { return in.expired(c) })
}

// add adds the instance of a model of the page, or folds the model.
func (p *pageModels) add(model, fault string, before *pageModels, c modelChange) {
	if p.has(model) {
		return
	}
	isNew := p.names[model] == ""
	if len(p.instances) >= MaxPageModels || len(p.instances)-len(before.instances) >= c.room || isNew && p.added >= maxNewModels {
		if !slices.Contains(p.folded, model) {
			p.folded = append(p.folded, model)
		}
		return
	}
	if isNew {
		p.added++
	}
	p.instances = append(p.instances, modelInstance{model: model, name: p.nameOf(model, slices.Contains(c.own, model), c), since: c.now, fault: fault})
}

// nameOf returns the name of a model's instance: the one that it had, the engine's own for the engine's own model, else a new one.
func (p *pageModels) nameOf(model string, own bool, c modelChange) string {
	name := p.names[model]
	if own && name == "" && !p.uses(c.engine) {
		name = c.engine
	}
	if name == "" {
		name = p.newName(model, c)
	}
	p.names[model] = name
	return name
}

// newName returns ENGINE-MODEL, with a number if another instance has that name.
func (p *pageModels) newName(model string, c modelChange) string {
	const digits = 4
	base := fleet.Spelled(c.engine+"-"+model, fleet.MaxName-digits)
	base = fleet.Cut(base, fleet.MaxName-digits)
	name := base
	for n := 2; name == c.engine || p.uses(name) || c.taken(name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// uses reports whether a model has had the name.
func (p *pageModels) uses(name string) bool {
	for _, used := range p.names {
		if used == name {
			return true
		}
	}
	return false
}

// fold keeps the instance of the folded models as long as there are some, and for the retention.
func (p *pageModels) fold(before *pageModels, c modelChange) {
	p.other = before.other
	if len(p.folded) > 0 && p.other.name == "" {
		name := p.names[""]
		if name == "" {
			name = p.newName(otherModel, c)
			p.names[""] = name
		}
		p.other = modelInstance{model: otherModel, name: name, since: c.now}
	}
	if p.other.name == "" {
		return
	}
	if p.other = p.other.seen(len(p.folded) > 0, c.now); p.other.expired(c) {
		p.other = modelInstance{}
	}
}

// forgetNames forgets the names of models that are not there.
func (p *pageModels) forgetNames() {
	for model := range p.names {
		if model != "" && !p.has(model) {
			delete(p.names, model)
		}
	}
}

const noLongerNamed = "the engine's page no longer names this model"

// stateOf returns the state of a model's instance, why, and since when.
func (p *pageModels) stateOf(in modelInstance, s *engine.Status) (state fleet.InstanceState, why string, since time.Time) {
	if s.State != fleet.InstanceRunning {
		return s.State, s.Message, s.Since
	}
	if !in.gone.IsZero() {
		return fleet.InstanceUnreachable, noLongerNamed, in.gone
	}
	why, since = s.Message, s.Since
	if in.since.After(since) {
		since = in.since
	}
	if in.name == p.other.name {
		why = joinMessages(foldedMessage(p.folded), why)
	}
	if in.fault != "" {
		why = joinMessages("the model's name "+in.fault, why)
	}
	return s.State, why, since
}

// joinMessages returns both messages, either of which may be empty.
func joinMessages(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// foldedMessage says which models are folded.
func foldedMessage(folded []string) string {
	const shown = 500
	return fmt.Sprintf("%d models of the engine's page are beyond the limit of %d and have model_name=%q: %s", len(folded), MaxPageModels, otherModel, clip.Line(strings.Join(folded, ", "), shown))
}
