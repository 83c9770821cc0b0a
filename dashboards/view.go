package dashboards

import "slices"

// View is a dashboard as the console draws it: what the Go values say, with defaults filled in and panels placed. Its JSON is the
// contract with web/console/src/model/dashboard.ts.
type View struct {
	UID         string           `json:"uid"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	From        string           `json:"from"`    // start of the time range, such as now-30m
	Refresh     string           `json:"refresh"` // such as 30s
	Variables   []VariableView   `json:"variables"`
	Annotations []AnnotationView `json:"annotations,omitempty"`
	Rows        []RowView        `json:"rows"`
}

// VariableView is a variable. Exactly one of Query, Custom and Text is set.
type VariableView struct {
	Name   string   `json:"name"`
	Label  string   `json:"label"`
	Query  string   `json:"query,omitempty"` // label_values(SELECTOR, LABEL)
	Custom []string `json:"custom,omitempty"`
	Text   string   `json:"text,omitempty"`
	Multi  bool     `json:"multi,omitempty"`
	All    bool     `json:"all,omitempty"`
	Hidden bool     `json:"hidden,omitempty"`
}

// AnnotationView marks events in all graphs; see [Annotation].
type AnnotationView struct {
	Name        string `json:"name"`
	Expr        string `json:"expr"`
	Text        string `json:"text"`
	Color       string `json:"color"`
	Step        int    `json:"step"` // seconds
	ValueIsTime bool   `json:"valueIsTime,omitempty"`
}

// RowView is a row; Y of its panels counts from its own first line.
type RowView struct {
	Title     string      `json:"title,omitempty"`
	Collapsed bool        `json:"collapsed,omitempty"`
	Panels    []PanelView `json:"panels"`
}

// PanelView is a panel at a place of the grid of 24 columns; a line is 30 pixels high.
type PanelView struct {
	ID          int    `json:"id"` // the same as in Grafana's JSON
	Kind        Kind   `json:"kind"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	X           int    `json:"x"`
	Y           int    `json:"y"`
	W           int    `json:"w"`
	H           int    `json:"h"`

	Queries    []QueryView     `json:"queries,omitempty"`
	MinStep    string          `json:"minStep,omitempty"`
	Markdown   string          `json:"markdown,omitempty"`
	Unit       string          `json:"unit,omitempty"`
	Decimals   *int            `json:"decimals,omitempty"`
	Min        *float64        `json:"min,omitempty"`
	Max        *float64        `json:"max,omitempty"`
	Thresholds []ThresholdView `json:"thresholds,omitempty"`
	Values     []ValueView     `json:"values,omitempty"`
	NoValue    string          `json:"noValue,omitempty"`
	Stacked    bool            `json:"stacked,omitempty"`
	NoLegend   bool            `json:"noLegend,omitempty"`
	Columns    []ColumnView    `json:"columns,omitempty"`
	SortBy     string          `json:"sortBy,omitempty"`
	Matrix     *MatrixView     `json:"matrix,omitempty"`
	Links      []LinkView      `json:"links,omitempty"`
	Overrides  []OverrideView  `json:"overrides,omitempty"`
	Background bool            `json:"background,omitempty"`
	Sparkline  bool            `json:"sparkline,omitempty"`
}

// QueryView is a query.
type QueryView struct {
	Expr    string `json:"expr"`
	Legend  string `json:"legend,omitempty"` // empty: all labels
	Instant bool   `json:"instant,omitempty"`
}

// ThresholdView colours values from From on; without one it is the base.
type ThresholdView struct {
	Color string   `json:"color"`
	From  *float64 `json:"from,omitempty"`
}

// ValueView is the text and colour of a single value.
type ValueView struct {
	Value float64 `json:"value"`
	Text  string  `json:"text"`
	Color string  `json:"color,omitempty"`
}

// ColumnView is a column of a table: of a label, or of the query with the number Query from 1. Field is its name in links' placeholders.
type ColumnView struct {
	Title      string          `json:"title"`
	Field      string          `json:"field"`
	Label      string          `json:"label,omitempty"`
	Query      int             `json:"query,omitempty"`
	Unit       string          `json:"unit,omitempty"`
	Decimals   *int            `json:"decimals,omitempty"`
	Thresholds []ThresholdView `json:"thresholds,omitempty"`
	Values     []ValueView     `json:"values,omitempty"`
	Width      int             `json:"width,omitempty"` // pixels
	Bar        bool            `json:"bar,omitempty"`
	Max        float64         `json:"max,omitempty"` // of a bar
	Background bool            `json:"background,omitempty"`
	Hidden     bool            `json:"hidden,omitempty"`
	Link       *LinkView       `json:"link,omitempty"`
}

// MatrixView spreads a table's only query over two labels.
type MatrixView struct {
	Across string `json:"across"`
	Down   string `json:"down"`
	Title  string `json:"title"`
	Width  int    `json:"width,omitempty"`
}

// LinkView leads from a value to another page.
type LinkView struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// OverrideView sets properties, by Grafana's ids, of the series or columns whose names match a regular expression.
type OverrideView struct {
	Matching   string         `json:"matching"`
	Properties map[string]any `json:"properties"`
}

// View returns the dashboard for the console.
func (d Dashboard) View() View {
	v := View{
		UID: d.UID, Title: d.Title, Description: d.Description, From: or(d.From, defaultFrom), Refresh: or(d.Refresh, defaultRefresh),
		Variables: []VariableView{}, Rows: []RowView{},
	}
	for _, variable := range d.Variables {
		if variable.Datasource {
			continue // the console has the server's own Prometheus alone
		}
		v.Variables = append(v.Variables, VariableView{
			Name: variable.Name, Label: or(variable.Label, variable.Name), Query: variable.Query, Custom: variable.Custom, Text: variable.Text,
			Multi: variable.Multi, All: variable.Multi || variable.All, Hidden: variable.Hidden,
		})
	}
	for _, a := range d.Annotations {
		v.Annotations = append(v.Annotations, AnnotationView{
			Name: a.Name, Expr: a.Expr, Text: a.Text, Color: a.Color, Step: annotationSeconds, ValueIsTime: a.ValueIsTime,
		})
	}
	id := 0
	for _, row := range d.Rows {
		if row.Title != "" {
			id++
		}
		view := RowView{Title: row.Title, Collapsed: row.Collapsed, Panels: []PanelView{}}
		var at placer
		for _, p := range row.Panels {
			id++
			x, y, w, h := at.place(p)
			panel := p.view(id)
			panel.X, panel.Y, panel.W, panel.H = x, y, w, h
			view.Panels = append(view.Panels, panel)
		}
		v.Rows = append(v.Rows, view)
	}
	return v
}

// placer places the panels of a row from left to right, and in a new line where one does not fit.
type placer struct{ x, y, height int }

func (f *placer) place(p Panel) (x, y, w, h int) {
	w, h = p.size()
	if f.x+w > columns {
		f.x, f.y, f.height = 0, f.y+f.height, 0
	}
	x, y = f.x, f.y
	f.x, f.height = f.x+w, max(f.height, h)
	return x, y, w, h
}

// end returns the line after the row.
func (f *placer) end() int { return f.y + f.height }

func (p Panel) view(id int) PanelView {
	v := PanelView{
		ID: id, Kind: p.Kind, Title: p.Title, Description: p.Description, MinStep: p.step(), Markdown: p.Markdown, Unit: p.Unit,
		Decimals: p.Decimals, Min: p.Min, Max: p.Max, Thresholds: thresholdViews(p.Thresholds), Values: valueViews(p.Values), NoValue: p.NoValue,
		Stacked: p.Stacked, NoLegend: p.NoLegend, SortBy: p.SortBy, Background: p.Background, Sparkline: p.Sparkline,
	}
	for _, q := range p.Queries {
		v.Queries = append(v.Queries, QueryView{Expr: q.Expr, Legend: q.Legend, Instant: p.instant(q)})
	}
	for _, c := range p.Columns {
		v.Columns = append(v.Columns, ColumnView{
			Title: c.Title, Field: p.field(c), Label: c.Label, Query: c.Query, Unit: c.Unit, Decimals: c.Decimals, Thresholds: thresholdViews(c.Thresholds),
			Values: valueViews(c.Values), Width: c.Width, Bar: c.Bar, Max: c.Max, Background: c.Background, Hidden: c.Hidden, Link: linkView(c.Link),
		})
	}
	if p.Matrix != nil {
		v.Matrix = &MatrixView{Across: p.Matrix.Across, Down: p.Matrix.Down, Title: p.Matrix.Title, Width: p.Matrix.Width}
	}
	for _, l := range p.Links {
		v.Links = append(v.Links, *linkView(&l))
	}
	for _, o := range p.Overrides {
		v.Overrides = append(v.Overrides, OverrideView(o))
	}
	return v
}

// instant reports whether q asks for the newest value alone.
func (p Panel) instant(q Query) bool {
	return q.Instant || p.Kind == Table || (slices.Contains([]Kind{Stat, BarGauge}, p.Kind) && !p.Sparkline)
}

func thresholdViews(list []Threshold) []ThresholdView {
	var out []ThresholdView
	for i, t := range list {
		view := ThresholdView{Color: t.Color}
		if i > 0 {
			view.From = new(t.From)
		}
		out = append(out, view)
	}
	return out
}

func valueViews(list []Value) []ValueView {
	var out []ValueView
	for _, v := range list {
		out = append(out, ValueView(v))
	}
	return out
}

func linkView(l *Link) *LinkView {
	if l == nil {
		return nil
	}
	return &LinkView{Title: l.Title, URL: l.URL}
}
