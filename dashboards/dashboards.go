// Package dashboards declares the Grafana dashboards as Go values; `make gen` writes them as JSON to
// docker-compose/grafana/grafana_dashboards, from where they are built into the binary. They use nothing that Grafana 10.0
// lacks. Each file beside the model declares one dashboard.
package dashboards

// All returns every dashboard, in the order in which they are listed.
func All() []Dashboard {
	return []Dashboard{fleetOverview(), workers(), models(), prefillDecode(), gpuHealth(), engineComparison(), users(), power(), mappingHealth(), self(), cacheService()}
}

// Tag marks our dashboards; the menu that links them to each other lists what carries it.
const Tag = "stackscope"

// Dashboard is a dashboard. Its JSON comes from [Dashboard.JSON].
type Dashboard struct {
	UID         string // in links, and the file's name; never changes
	Title       string
	Description string
	From        string // start of the time range, such as "now-1h"; empty: now-30m
	Refresh     string // such as "30s"; empty: 30s
	Variables   []Variable
	Annotations []Annotation
	Rows        []Row
}

// Row is a headed group of panels. Panels flow from left to right over 24 columns.
type Row struct {
	Title     string // empty: no heading, first row only
	Collapsed bool   // its panels ask nothing until somebody opens it
	Panels    []Panel
}

// Kind is a panel's type as Grafana names it.
type Kind string

// The panel types in use. All are in Grafana 10.0.
const (
	Stat          Kind = "stat"
	BarGauge      Kind = "bargauge"
	TimeSeries    Kind = "timeseries"
	Table         Kind = "table"
	Heatmap       Kind = "heatmap"
	StateTimeline Kind = "state-timeline"
	Text          Kind = "text"
)

// Panel is one panel.
type Panel struct {
	Kind        Kind
	Title       string
	Description string // what it says and what to do about it; shown at the panel's (i)
	W, H        int    // columns of 24 and rows of 30 pixels; 0: the kind's default
	Queries     []Query
	Markdown    string // of Text

	Unit       string // Grafana's unit id: s, percentunit, bytes, watt, reqps ...
	Decimals   *int
	Min, Max   *float64
	Thresholds []Threshold // nil: one colour
	Values     []Value     // texts and colours for single values
	NoValue    string      // shown instead of "No data" where absence is normal and says something

	Stacked    bool     // TimeSeries: stacked areas
	NoLegend   bool     // TimeSeries, StateTimeline
	Columns    []Column // Table: what is shown, in this order
	SortBy     string   // Table: title of the column to sort by, descending
	Matrix     *Matrix  // Table: one label across and one down, in place of Columns
	Links      []Link   // data links of values; those of a table are its columns'
	Overrides  []Override
	Background bool   // Stat: colour the background
	Sparkline  bool   // Stat: with the history behind the value
	Interval   string // smallest step, such as "1m"; empty: 15s
}

// Query is a PromQL query. Expressions may use $cluster_name and the dashboard's other variables, $__rate_interval and
// $__range. Those of tables must aggregate: every label that is left becomes a column.
type Query struct {
	Expr    string
	Legend  string // such as "{{worker_name}}"
	Instant bool   // the newest value alone; implied by Stat, BarGauge and Table unless Sparkline
}

// Threshold colours values from From on. The first one's From is ignored: it is the base.
type Threshold struct {
	Color string
	From  float64
}

// Value says what a single value means.
type Value struct {
	Value float64
	Text  string
	Color string
}

// Column is a table's column: a label, or the value of a query.
type Column struct {
	Title      string
	Label      string // or
	Query      int    // the query's number from 1
	Unit       string
	Decimals   *int
	Thresholds []Threshold
	Values     []Value
	Width      int
	Bar        bool // draw the value as a bar (with Min 0 and Max)
	Max        float64
	Background bool // colour the whole cell, not its text
	Hidden     bool // not shown; for what only links use
	Link       *Link
}

// Matrix spreads the values of a table's only query: the values of the label Across become columns, those of Down rows.
type Matrix struct {
	Across, Down string
	Title        string // of the first column
	Width        int    // of the first column
}

// Link leads from a value to somewhere else. See [To].
type Link struct{ Title, URL string }

// Override sets properties, by Grafana's property ids, of the fields whose name matches the regular expression.
type Override struct {
	Matching   string
	Properties map[string]any
}

// Variable is a template variable.
type Variable struct {
	Name       string
	Label      string
	Query      string // such as label_values(gpustack:worker_info{cluster_name="$cluster_name"}, worker_name)
	Custom     []string
	Text       string // a number or word that the viewer types; this one to begin with
	Multi      bool   // several values, and All
	All        bool   // one value or All
	Datasource bool   // chooses the datasource; Query is its type
	Hidden     bool
}
