// Package viewer opens dashboards as Grafana does, without Grafana: it reads their JSON, fills in variables, chooses steps and
// asks Prometheus what the panels ask. Tests and benchmarks use it.
package viewer

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Dashboard is what a dashboard asks.
type Dashboard struct {
	UID, Title string
	From       time.Duration // length of the time range
	Variables  []Variable
	Panels     []Panel // of rows, too; without rows and texts
	// Annotations mark events in the panels.
	Annotations []Annotation
}

// Annotation is a query whose samples are events.
type Annotation struct {
	Name, Expr string
	Step       time.Duration
}

// Variable is a template variable.
type Variable struct {
	Name, Type string
	Query      string   // of type query
	Options    []string // of types custom and textbox
	Multi, All bool
	AllValue   string
}

// Panel is a panel that asks something.
type Panel struct {
	ID          int
	Type, Title string
	Row         string // the heading above it
	Width       int    // columns of 24
	Collapsed   bool   // in a collapsed row: asks nothing until somebody opens it
	Interval    time.Duration
	Targets     []Target
	Columns     []string // a table's columns, by the names of their fields; nil when nothing chooses among them
	Matrix      *Matrix  // of tables that are turned
	Overridden  []string // fields that have settings of their own
	Links       []string // URLs of data links
	NoValue     string
}

// Target is one of a panel's queries.
type Target struct {
	RefID, Expr, Legend, Format string
	Instant                     bool
}

// Matrix makes a table of one label's values over another's.
type Matrix struct {
	Column string `json:"columnField"`
	Row    string `json:"rowField"`
	Value  string `json:"valueField"`
}

type panelJSON struct {
	ID        int    `json:"id"`
	Type      string `json:"type"`
	Title     string `json:"title"`
	Collapsed bool   `json:"collapsed"`
	GridPos   struct {
		W int `json:"w"`
	} `json:"gridPos"`
	Interval string      `json:"interval"`
	Panels   []panelJSON `json:"panels"`
	Targets  []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Format       string `json:"format"`
		Instant      bool   `json:"instant"`
		Hide         bool   `json:"hide"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Links   []linkJSON `json:"links"`
			NoValue string     `json:"noValue"`
		} `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				ID      string `json:"id"`
				Options any    `json:"options"`
			} `json:"matcher"`
			Properties []struct {
				ID    string          `json:"id"`
				Value json.RawMessage `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Transformations []struct {
		ID      string `json:"id"`
		Options struct {
			Include struct {
				Names []string `json:"names"`
			} `json:"include"`
			Matrix
		} `json:"options"`
	} `json:"transformations"`
}

type linkJSON struct {
	URL string `json:"url"`
}

type dashboardJSON struct {
	UID   string `json:"uid"`
	Title string `json:"title"`
	Time  struct {
		From string `json:"from"`
	} `json:"time"`
	Annotations struct {
		List []struct {
			Name string `json:"name"`
			Expr string `json:"expr"`
			Step string `json:"step"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name       string          `json:"name"`
			Type       string          `json:"type"`
			Query      json.RawMessage `json:"query"`
			Multi      bool            `json:"multi"`
			IncludeAll bool            `json:"includeAll"`
			AllValue   string          `json:"allValue"`
			Options    []struct {
				Value any `json:"value"`
			} `json:"options"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panelJSON `json:"panels"`
}

// Load reads all dashboards of a folder.
func Load(folder fs.FS) ([]Dashboard, error) {
	files, err := fs.Glob(folder, "*.json")
	if err != nil {
		return nil, err
	}
	var all []Dashboard
	for _, name := range files {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		d, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// Parse reads a dashboard's JSON.
func Parse(text []byte) (Dashboard, error) {
	var in dashboardJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return Dashboard{}, err
	}
	d := Dashboard{UID: in.UID, Title: in.Title}
	var err error
	if d.From, err = time.ParseDuration(strings.TrimPrefix(in.Time.From, "now-")); err != nil {
		return Dashboard{}, fmt.Errorf("time range from %q: %w", in.Time.From, err)
	}
	for _, a := range in.Annotations.List {
		step, err := time.ParseDuration(a.Step)
		if err != nil {
			return Dashboard{}, fmt.Errorf("annotation %s: step %q: %w", a.Name, a.Step, err)
		}
		d.Annotations = append(d.Annotations, Annotation{Name: a.Name, Expr: a.Expr, Step: step})
	}
	for _, v := range in.Templating.List {
		variable := Variable{Name: v.Name, Type: v.Type, Multi: v.Multi, All: v.IncludeAll, AllValue: v.AllValue}
		for _, o := range v.Options {
			variable.Options = append(variable.Options, fmt.Sprint(o.Value))
		}
		if v.Type == "query" {
			var q struct {
				Query string `json:"query"`
			}
			if err := json.Unmarshal(v.Query, &q); err != nil {
				return Dashboard{}, fmt.Errorf("variable %s: %w", v.Name, err)
			}
			variable.Query = q.Query
		}
		d.Variables = append(d.Variables, variable)
	}
	return d, d.add(in.Panels, "", false)
}

func (d *Dashboard) add(panels []panelJSON, row string, collapsed bool) error {
	for _, in := range panels {
		if in.Type == "row" {
			row = in.Title
			if err := d.add(in.Panels, row, in.Collapsed); err != nil {
				return err
			}
			continue
		}
		p := Panel{
			ID: in.ID, Type: in.Type, Title: in.Title, Row: row, Width: in.GridPos.W, Collapsed: collapsed,
			NoValue: in.FieldConfig.Defaults.NoValue,
		}
		if in.Interval != "" {
			var err error
			if p.Interval, err = time.ParseDuration(in.Interval); err != nil {
				return fmt.Errorf("panel %q: interval %q: %w", in.Title, in.Interval, err)
			}
		}
		for _, t := range in.Targets {
			if !t.Hide {
				p.Targets = append(p.Targets, Target{RefID: t.RefID, Expr: t.Expr, Legend: t.LegendFormat, Format: t.Format, Instant: t.Instant})
			}
		}
		if len(p.Targets) == 0 {
			continue
		}
		for _, t := range in.Transformations {
			switch t.ID {
			case "filterFieldsByName":
				p.Columns = append(p.Columns, t.Options.Include.Names...)
			case "groupingToMatrix":
				p.Matrix = &t.Options.Matrix
			}
		}
		if err := p.fields(in); err != nil {
			return fmt.Errorf("panel %q: %w", in.Title, err)
		}
		d.Panels = append(d.Panels, p)
	}
	return nil
}

// fields collects the fields that a panel names, and its links.
func (p *Panel) fields(in panelJSON) error {
	for _, l := range in.FieldConfig.Defaults.Links {
		p.Links = append(p.Links, l.URL)
	}
	for _, o := range in.FieldConfig.Overrides {
		if o.Matcher.ID == "byName" {
			p.Overridden = append(p.Overridden, fmt.Sprint(o.Matcher.Options))
		}
		for _, property := range o.Properties {
			if property.ID != "links" {
				continue
			}
			var links []linkJSON
			if err := json.Unmarshal(property.Value, &links); err != nil {
				return fmt.Errorf("links: %w", err)
			}
			for _, l := range links {
				p.Links = append(p.Links, l.URL)
			}
		}
	}
	return nil
}
