package viewer

import (
	"context"
	"fmt"
	"regexp"
)

// labelValues is the form of variables' queries.
var labelValues = regexp.MustCompile(`^label_values\(\s*(?:(.*),)?\s*(\w+)\s*\)$`)

// Options returns what a viewer can choose a variable from, with the variables before it set.
func (p Prometheus) Options(ctx context.Context, v Variable, view View, values Values) ([]string, error) {
	switch v.Type {
	case "custom", "textbox":
		return v.Options, nil
	case "datasource":
		return []string{"prometheus"}, nil
	case "query":
	default:
		return nil, fmt.Errorf("variable %s has type %s, which the viewer does not know", v.Name, v.Type)
	}
	m := labelValues.FindStringSubmatch(v.Query)
	if m == nil {
		return nil, fmt.Errorf("variable %s: the viewer does not understand its query %s", v.Name, v.Query)
	}
	options, err := p.LabelValues(ctx, m[2], Fill(m[1], values), view.Now.Add(-view.Range), view.Now)
	if err != nil {
		return nil, fmt.Errorf("variable %s: %s: %w", v.Name, Fill(v.Query, values), err)
	}
	return options, nil
}

// Mode is how a viewer sets variables that may have several values.
type Mode int

// Modes.
const (
	ChooseAll Mode = iota // All
	ChooseOne             // one value, each in turn
)

// Choices returns every way to set a dashboard's variables in a mode: each option of those that have one value, and of the
// others All, or each option.
func (p Prometheus) Choices(ctx context.Context, d Dashboard, view View, mode Mode) ([]Values, error) {
	choices := []Values{{}}
	for _, v := range d.Variables {
		var next []Values
		for _, values := range choices {
			options, err := p.Options(ctx, v, view, values)
			if err != nil {
				return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
			}
			if len(options) == 0 {
				return nil, fmt.Errorf("dashboard %s: variable %s has no options with %s", d.UID, v.Name, values)
			}
			value := Value{several: v.Multi || v.All, allValue: v.AllValue}
			if value.several && mode == ChooseAll {
				value.All, value.Chosen = true, options
				next = append(next, values.set(v.Name, value))
				continue
			}
			for _, o := range options {
				value.Chosen = []string{o}
				next = append(next, values.set(v.Name, value))
			}
		}
		choices = next
	}
	return choices, nil
}

// Default returns what the variables are set to when a dashboard is opened: All where that can be chosen, else the first option.
func (p Prometheus) Default(ctx context.Context, d Dashboard, view View) (Values, error) {
	values := Values{}
	for _, v := range d.Variables {
		options, err := p.Options(ctx, v, view, values)
		if err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
		}
		if len(options) == 0 {
			return nil, fmt.Errorf("dashboard %s: variable %s has no options with %s", d.UID, v.Name, values)
		}
		value := Value{several: v.Multi || v.All, allValue: v.AllValue, Chosen: options[:1]}
		if value.several {
			value.All, value.Chosen = true, options
		}
		values = values.set(v.Name, value)
	}
	return values, nil
}

// Match returns the series selector of a variable's query, "" if it has none.
func (v Variable) Match() string {
	if m := labelValues.FindStringSubmatch(v.Query); m != nil {
		return m[1]
	}
	return ""
}

// Of returns the label that a variable's query lists, "" if it lists none.
func (v Variable) Of() string {
	if m := labelValues.FindStringSubmatch(v.Query); m != nil {
		return m[2]
	}
	return ""
}
