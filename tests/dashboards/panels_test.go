package dashboards

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

// shown is a panel as it was seen, in one way to set variables that can have several values.
type shown struct {
	dashboard viewer.Dashboard
	panel     viewer.Panel
	mode      viewer.Mode
	targets   []asked // one for each of the panel's
}

// asked is one query of a panel with an answer for each choice of the variables.
type asked struct {
	viewer.Target
	why     string // it rightly has no data, or may have none
	never   bool   // it never has
	answers []answered
}

// answered is what came back for one choice of the variables.
type answered struct {
	values  viewer.Values
	request viewer.Request
	answer  viewer.Answer
	err     error
}

// panels returns every panel, once for each way to set variables that can have several values. Some are rightly empty.
func panels(all []viewer.Dashboard, rightlyEmpty []empty) []*shown {
	var list []*shown
	for _, d := range all {
		modes := []viewer.Mode{viewer.ChooseAll}
		if slices.ContainsFunc(d.Variables, func(v viewer.Variable) bool { return v.Multi || v.All }) {
			modes = append(modes, viewer.ChooseOne)
		}
		for _, mode := range modes {
			for _, p := range d.Panels {
				s := &shown{dashboard: d, panel: p, mode: mode}
				for _, target := range p.Targets {
					e := emptyFor(rightlyEmpty, d, p, target)
					s.targets = append(s.targets, asked{Target: target, why: e.why, never: e.never()})
				}
				list = append(list, s)
			}
		}
	}
	return list
}

func (s *shown) name() string {
	mode := "All"
	if s.mode == viewer.ChooseOne {
		mode = "one"
	}
	return fmt.Sprintf("%s, row %q, panel %q, %s chosen", s.dashboard.UID, s.panel.Row, s.panel.Title, mode)
}

// series returns all series of all answers to a query.
func (a *asked) series() []viewer.Series {
	var all []viewer.Series
	for _, got := range a.answers {
		all = append(all, got.answer.Series...)
	}
	return all
}

// hasData says whether at least one choice of the variables shows a number.
func (a *asked) hasData() bool {
	return slices.ContainsFunc(a.answers, func(got answered) bool { return got.answer.Numbers() > 0 })
}

// anyData says whether one of the queries has some.
func (s *shown) anyData() bool {
	return slices.ContainsFunc(s.targets, func(a asked) bool { return len(a.series()) > 0 })
}

// expressionFaults are errors, and what Prometheus finds odd.
func (s *shown) expressionFaults() (faults []string) {
	for _, a := range s.targets {
		for _, got := range a.answers {
			said := slices.Concat(got.answer.Warnings, got.answer.Infos)
			if got.err != nil {
				said = append(said, got.err.Error())
			}
			if len(said) > 0 { // the first choice is enough to mend it
				faults = append(faults, fmt.Sprintf("query %s: %s\n    %s", a.RefID, strings.Join(said, "; "), got.request.Expr))
				break
			}
		}
	}
	return faults
}

// dataFaults are queries without data that should have some, and the other way about.
func (s *shown) dataFaults() (faults []string) {
	for _, a := range s.targets {
		switch has := a.hasData(); {
		case a.why == "" && !has:
			faults = append(faults, fmt.Sprintf("query %s has no data:\n%s", a.RefID, a.tell()))
		case a.never && has:
			faults = append(faults, fmt.Sprintf("query %s has data, but is in the list of what has none (%s): take it out", a.RefID, a.why))
		}
		if i := slices.IndexFunc(a.answers, infinite); i >= 0 {
			faults = append(faults, fmt.Sprintf("query %s has a value that is infinite:\n    %s", a.RefID, a.answers[i].request.Expr))
		}
	}
	if s.targets[0].why != "" && s.panel.NoValue == "" {
		faults = append(faults, "it may have no data and has no NoValue text that says why")
	}
	return faults
}

func infinite(got answered) bool {
	return slices.ContainsFunc(got.answer.Series, func(s viewer.Series) bool {
		return slices.ContainsFunc(s.Values, func(v float64) bool { return math.IsInf(v, 0) })
	})
}

// tell writes what was asked and what came back.
func (a *asked) tell() string {
	var b strings.Builder
	for i, got := range a.answers {
		if i == 2 {
			fmt.Fprintf(&b, "    ... and %d more\n", len(a.answers)-i)
			break
		}
		fmt.Fprintf(&b, "    %s\n      with %s: %d series, %d numbers\n", got.request.Expr, got.values, len(got.answer.Series), got.answer.Numbers())
	}
	return strings.TrimRight(b.String(), "\n")
}

// ask asks for all of these panels anew, with the choices that there are now.
func ask(t *testing.T, prometheus viewer.Prometheus, list []*shown) {
	t.Helper()
	type place struct {
		uid  string
		mode viewer.Mode
	}
	type opened struct {
		view    viewer.View
		choices []viewer.Values
	}
	seen := map[place]opened{}
	todo := make(chan func())
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for do := range todo {
				do()
			}
		})
	}
	for _, s := range list {
		at := place{s.dashboard.UID, s.mode}
		if _, ok := seen[at]; !ok {
			view := look(s.dashboard)
			choices, err := prometheus.Choices(t.Context(), s.dashboard, view, s.mode)
			if err != nil {
				t.Error(err)
			}
			seen[at] = opened{view, choices}
		}
		now := seen[at]
		for n := range s.targets {
			a := &s.targets[n]
			a.answers = make([]answered, len(now.choices))
			for i, values := range now.choices {
				request := now.view.Request(s.panel, a.Target, values)
				todo <- func() {
					answer, err := prometheus.Ask(t.Context(), request)
					a.answers[i] = answered{values, request, answer, err}
				}
			}
		}
	}
	close(todo)
	wg.Wait()
}
