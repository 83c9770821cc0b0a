package dashboards

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// variableReference matches a reference to one of Grafana's variables, such as $cluster_name or ${__data.fields.model_name}.
var variableReference = regexp.MustCompile(`\$(?:\{(\w+)([^}]*)\}|(\w+))`)

// references returns the names of the variables that s refers to, without Grafana's own.
func references(s string) (names []string) {
	for _, m := range variableReference.FindAllStringSubmatch(s, -1) {
		if name := m[1] + m[3]; !strings.HasPrefix(name, "__") && strings.Trim(name, "0123456789") != "" {
			names = append(names, name)
		}
	}
	return names
}

// eachPanel runs check for every panel of every dashboard.
func eachPanel(t *testing.T, check func(t *testing.T, d Dashboard, row []Panel, i int)) {
	t.Helper()
	for _, d := range All() {
		t.Run(d.UID, func(t *testing.T) {
			for _, row := range d.Rows {
				for i := range row.Panels {
					check(t, d, row.Panels, i)
				}
			}
		})
	}
}

func byUID(uid string) (Dashboard, bool) {
	all := All()
	i := slices.IndexFunc(all, func(d Dashboard) bool { return d.UID == uid })
	if i < 0 {
		return Dashboard{}, false
	}
	return all[i], true
}

func (d Dashboard) declares(name string) bool {
	return slices.ContainsFunc(d.Variables, func(v Variable) bool { return v.Name == name })
}

func TestDashboards(t *testing.T) {
	uids, titles := map[string]bool{}, map[string]bool{}
	for _, d := range All() {
		if uids[d.UID] || titles[d.Title] {
			t.Errorf("%s %q: another dashboard has this uid or title", d.UID, d.Title)
		}
		uids[d.UID], titles[d.Title] = true, true
		if len(d.Description) < 40 {
			t.Errorf("%s: its description %q says too little", d.UID, d.Description)
		}
		if len(d.Variables) == 0 || !d.Variables[0].Datasource || d.Variables[0].Name != varDatasource {
			t.Errorf("%s: its first variable must choose the datasource", d.UID)
		}
		if len(d.Rows) == 0 {
			t.Errorf("%s: it has no rows", d.UID)
		}
		for i, r := range d.Rows {
			if len(r.Panels) == 0 {
				t.Errorf("%s: row %q is empty", d.UID, r.Title)
			}
			if r.Title == "" && i > 0 {
				t.Errorf("%s: row %d has no title", d.UID, i+1)
			}
		}
	}
	if !uids["gpustack-worker"] || !uids["gpustack-model"] {
		t.Error("GPUStack's redirects lead to gpustack-worker and gpustack-model: both must be there")
	}
}

func TestPanelsExplainThemselves(t *testing.T) {
	eachPanel(t, func(t *testing.T, _ Dashboard, row []Panel, i int) {
		t.Helper()
		p := row[i]
		if p.Kind == Text {
			return
		}
		switch {
		case p.Title == "":
			t.Errorf("panel %d of its row has no title", i+1)
		case len(p.Description) < 40:
			t.Errorf("%q: its description %q says too little: what the value means and what to do about it", p.Title, p.Description)
		case len(p.Queries) == 0:
			t.Errorf("%q asks nothing", p.Title)
		}
		named := len(p.Values) > 0 || p.Kind == Table || p.Kind == StateTimeline
		if p.Unit == "" && !named {
			t.Errorf("%q has no unit; say none or short where it counts things", p.Title)
		}
		for k, other := range row {
			if k < i && other.Title == p.Title && !beside(row, k, i) {
				t.Errorf("%q is twice in one row", p.Title)
			}
		}
		for k, q := range p.Queries {
			if p.Kind == TimeSeries && !p.NoLegend && q.Legend == "" {
				t.Errorf("%q: query %s has no legend", p.Title, refID(k))
			}
		}
		if p.Kind == TimeSeries && p.NoValue != "" && p.Decimals != nil {
			t.Errorf("%q has decimals and a text for no value: Grafana writes that text at the axis' ticks between whole numbers", p.Title)
		}
		if len(p.Queries) > 26 {
			t.Errorf("%q has %d queries and Grafana's letters are 26", p.Title, len(p.Queries))
		}
	})
}

// beside reports whether both panels are those of quantiles() that stand beside the quantiles, which all have one title.
func beside(row []Panel, i, k int) bool {
	return row[i].Title == overflowTitle && row[k].Title == overflowTitle
}

const overflowTitle = "Above top bucket"

func TestTables(t *testing.T) {
	eachPanel(t, func(t *testing.T, _ Dashboard, row []Panel, i int) {
		t.Helper()
		p := row[i]
		if p.Kind != Table {
			if len(p.Columns) > 0 || p.Matrix != nil || p.SortBy != "" {
				t.Errorf("%q is no table and has what only tables have", p.Title)
			}
			return
		}
		if p.Matrix != nil {
			if len(p.Columns) > 0 || len(p.Queries) != 1 {
				t.Errorf("%q: a matrix has one query and no columns", p.Title)
			}
			return
		}
		shown := map[int]bool{}
		titles, labels := []string{}, []string{}
		for _, c := range p.Columns {
			if slices.Contains(titles, c.Title) {
				t.Errorf("%q has two columns %q", p.Title, c.Title)
			}
			titles = append(titles, c.Title)
			switch {
			case c.Label != "" && c.Query != 0:
				t.Errorf("%q: column %q is both a label and a query's value", p.Title, c.Title)
			case c.Label != "":
				labels = append(labels, c.Label)
			case c.Query < 1 || c.Query > len(p.Queries):
				t.Errorf("%q: column %q shows query %d of %d", p.Title, c.Title, c.Query, len(p.Queries))
			}
			shown[c.Query] = true
		}
		for k := range p.Queries {
			tells := func(label string) bool { return strings.Contains(p.Queries[k].Expr, label) }
			if !shown[k+1] && !slices.ContainsFunc(labels, tells) {
				t.Errorf("%q: no column shows query %s", p.Title, refID(k))
			}
		}
		if p.SortBy != "" && !slices.Contains(titles, p.SortBy) {
			t.Errorf("%q is sorted by %q, which is no column", p.Title, p.SortBy)
		}
		for _, c := range p.Columns {
			if c.Link == nil {
				continue
			}
			for _, field := range fieldReference.FindAllStringSubmatch(c.Link.URL, -1) {
				if !slices.Contains(labels, field[1]) {
					t.Errorf("%q: the link of %q uses the label %s, which is no column (a hidden one will do)", p.Title, c.Title, field[1])
				}
			}
		}
	})
}

var fieldReference = regexp.MustCompile(`\$\{__data\.fields\.(\w+)`)

// Panels of a line have one height, and lines fill the width: ragged edges look like something is missing.
func TestLayout(t *testing.T) {
	for _, d := range All() {
		for _, r := range d.Rows {
			x, height := 0, 0
			for _, p := range r.Panels {
				w, h := p.size()
				if w > columns {
					t.Errorf("%s: %q is %d columns wide", d.UID, p.Title, w)
				}
				if x+w > columns {
					if x < columns {
						t.Errorf("%s: the line before %q in row %q fills %d of %d columns", d.UID, p.Title, r.Title, x, columns)
					}
					x, height = 0, 0
				}
				if x > 0 && h != height {
					t.Errorf("%s: %q is %d high, what stands beside it %d", d.UID, p.Title, h, height)
				}
				x, height = x+w, h
			}
			if x < columns && len(r.Panels) > 0 {
				t.Errorf("%s: the last line of row %q fills %d of %d columns", d.UID, r.Title, x, columns)
			}
		}
	}
}

func TestVariables(t *testing.T) {
	for _, d := range All() {
		used := map[string]bool{varDatasource: true}
		use := func(where, text string) {
			for _, name := range references(text) {
				used[name] = true
				if !d.declares(name) {
					t.Errorf("%s: %s uses $%s, which is not declared", d.UID, where, name)
				}
			}
		}
		for i, v := range d.Variables {
			if slices.ContainsFunc(d.Variables[:i], func(before Variable) bool { return before.Name == v.Name }) {
				t.Errorf("%s declares %s twice", d.UID, v.Name)
			}
			use("variable "+v.Name, v.Query)
			for _, name := range references(v.Query) {
				if slices.ContainsFunc(d.Variables[i:], func(after Variable) bool { return after.Name == name }) {
					t.Errorf("%s: variable %s depends on %s, which comes after it", d.UID, v.Name, name)
				}
			}
		}
		for _, a := range d.Annotations {
			use("annotation "+a.Name, a.Expr+a.Text)
		}
		for _, r := range d.Rows {
			use("a row's title", r.Title)
			for _, p := range r.Panels {
				use(p.Title, p.Title+p.Description+p.Markdown)
				for _, q := range p.Queries {
					use(p.Title, q.Expr+q.Legend)
				}
				for _, l := range p.links() {
					use(p.Title, l.URL)
				}
			}
		}
		for _, v := range d.Variables {
			if !used[v.Name] {
				t.Errorf("%s: nothing uses $%s", d.UID, v.Name)
			}
		}
	}
}

func (p Panel) links() []Link {
	all := slices.Clone(p.Links)
	for _, c := range p.Columns {
		if c.Link != nil {
			all = append(all, *c.Link)
		}
	}
	return all
}

func TestLinks(t *testing.T) {
	eachPanel(t, func(t *testing.T, d Dashboard, row []Panel, i int) {
		t.Helper()
		for _, l := range row[i].links() {
			if l.Title == "" {
				t.Errorf("%q: the link to %s has no title", row[i].Title, l.URL)
			}
			checkLink(t, d, row[i].Title, l.URL)
		}
	})
}

// checkLink holds that the link leads to one of our dashboards, and sets variables that are declared there.
func checkLink(t *testing.T, from Dashboard, panel, link string) {
	t.Helper()
	path, query, _ := strings.Cut(link, "?")
	uid, ok := strings.CutPrefix(path, "/d/")
	if !ok {
		t.Errorf("%q: the link %s leads to no dashboard by its uid", panel, link)
		return
	}
	if !strings.Contains(query, "${__url_time_range}") {
		t.Errorf("%q: the link %s loses the time range", panel, link)
	}
	uid, _, _ = strings.Cut(uid, "/")
	if strings.Contains(uid, "${") {
		return // each row of a table leads elsewhere: TestProblems looks at them
	}
	target, ok := byUID(uid)
	if !ok {
		t.Errorf("%q: the link %s leads to a dashboard that doesn't exist", panel, link)
		return
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(key, "var-")
		if !ok {
			continue
		}
		if name, err := url.QueryUnescape(name); err != nil || !target.declares(name) {
			t.Errorf("%q of %s: the link %s sets %s, which %s doesn't have", panel, from.UID, link, name, uid)
		}
	}
}
