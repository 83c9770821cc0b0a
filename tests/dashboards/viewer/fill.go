package viewer

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values are what variables are set to, by their names.
type Values map[string]Value

// Value is what a variable is set to.
type Value struct {
	Chosen []string
	// All: the viewer chose All. Chosen are then all of the options.
	All bool
	// several: the variable can have more than one value, so expressions match it as a regular expression.
	several  bool
	allValue string
}

// reference is a variable in an expression, in one of Grafana's three ways to write it.
var reference = regexp.MustCompile(`\$(\w+)|\$\{(\w+)(?:\.[^:}]+)?(?::([^}]+))?\}|\[\[(\w+)(?::([^\]]+))?\]\]`)

// Fill puts the variables' values into an expression. What is no variable stays.
func Fill(expr string, values Values) string {
	return reference.ReplaceAllStringFunc(expr, func(found string) string {
		m := reference.FindStringSubmatch(found)
		v, ok := values[m[1]+m[2]+m[4]]
		if !ok {
			return found
		}
		return v.text(m[3] + m[5])
	})
}

// text writes a value in a format; by default as the Prometheus datasource does.
func (v Value) text(format string) string {
	if v.All && v.allValue != "" {
		return v.allValue
	}
	escaped := make([]string, len(v.Chosen))
	for i, s := range v.Chosen {
		switch {
		case format == "regex":
			escaped[i] = escapeRegexp(s)
		case format != "":
			escaped[i] = s
		case v.several:
			escaped[i] = escapeString(escapeRegexp(s))
		default:
			escaped[i] = escapeString(s)
		}
	}
	switch {
	case format == "csv" || format == "raw":
		return strings.Join(escaped, ",")
	case format == "pipe" || len(escaped) == 1:
		return strings.Join(escaped, "|")
	case len(escaped) == 0:
		return ""
	}
	return "(" + strings.Join(escaped, "|") + ")"
}

var special = regexp.MustCompile(`[$^*{}\[\]\\'+?.()|]`)

func escapeRegexp(s string) string { return special.ReplaceAllString(s, `\$0`) }

func escapeString(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

// View is who looks at a dashboard: when, how far back, on what screen.
type View struct {
	Now    time.Time
	Range  time.Duration
	Screen int           // width in pixels; 0: 1920
	Scrape time.Duration // the datasource's scrape interval; 0: 5 s
	// Aligned moves range queries to multiples of their step, as Grafana does to have them cached. Without it the newest point
	// is at Now, so that a wide step doesn't hide what is only just there.
	Aligned bool
}

// Step returns the time between two points of a panel.
func (v View) Step(p Panel) time.Duration {
	least := v.scrape()
	if p.Interval > 0 {
		least = p.Interval
	}
	screen := v.Screen
	if screen == 0 {
		screen = 1920
	}
	const border, safeResolution = 32, 11000 // pixels of a panel's frame and axis; most points of an answer
	points := max(1, screen*p.Width/24-border)
	step := v.Range / time.Duration(points)
	if step < least {
		step = least
	} else {
		step = roundStep(step)
	}
	return max(step, roundStep(v.Range/safeResolution))
}

func (v View) scrape() time.Duration {
	if v.Scrape == 0 {
		return 5 * time.Second
	}
	return v.Scrape
}

// roundStep returns Grafana's round number for a step: those up to a limit have it.
func roundStep(d time.Duration) time.Duration {
	const s, m, h = time.Second, time.Minute, time.Hour
	for _, r := range [...]struct{ limit, step time.Duration }{
		{1500 * time.Millisecond, s},
		{3500 * time.Millisecond, 2 * s},
		{7500 * time.Millisecond, 5 * s},
		{12500 * time.Millisecond, 10 * s},
		{17500 * time.Millisecond, 15 * s},
		{25 * s, 20 * s},
		{45 * s, 30 * s},
		{90 * s, m},
		{210 * s, 2 * m},
		{450 * s, 5 * m},
		{750 * s, 10 * m},
		{1050 * s, 15 * m},
		{1500 * s, 20 * m},
		{45 * m, 30 * m},
		{90 * m, h},
		{150 * m, 2 * h},
		{270 * m, 3 * h},
		{450 * m, 6 * h},
		{18 * h, 12 * h},
	} {
		if d <= r.limit {
			return r.step
		}
	}
	return 24 * h
}

// builtin returns Grafana's own variables for a panel.
func (v View) builtin(step time.Duration) Values {
	rate := max(step+v.scrape(), 4*v.scrape())
	seconds := int64(v.Range.Round(time.Second) / time.Second)
	values := Values{}
	for name, text := range map[string]string{
		"__interval":      grafanaDuration(step),
		"__interval_ms":   strconv.FormatInt(step.Milliseconds(), 10),
		"__rate_interval": rate.String(),
		"__range":         strconv.FormatInt(seconds, 10) + "s",
		"__range_s":       strconv.FormatInt(seconds, 10),
		"__range_ms":      strconv.FormatInt(v.Range.Milliseconds(), 10),
		"__from":          strconv.FormatInt(v.Now.Add(-v.Range).UnixMilli(), 10),
		"__to":            strconv.FormatInt(v.Now.UnixMilli(), 10),
	} {
		values[name] = Value{Chosen: []string{text}}
	}
	return values
}

func grafanaDuration(d time.Duration) string {
	for _, unit := range [...]struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= unit.length {
			return strconv.FormatInt(int64(d/unit.length), 10) + unit.name
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// Request returns what a panel asks Prometheus for one of its targets.
func (v View) Request(p Panel, t Target, values Values) Request {
	step := v.Step(p)
	all := maps.Clone(values)
	maps.Copy(all, v.builtin(step))
	r := Request{Expr: Fill(t.Expr, all), Instant: t.Instant, Start: v.Now.Add(-v.Range), End: v.Now, Step: step}
	if v.Aligned {
		r.Start, r.End = r.Start.Truncate(step), r.End.Truncate(step)
	}
	if t.Instant {
		r.Start, r.End = v.Now, v.Now
	}
	return r
}

// set returns the values with one more.
func (values Values) set(name string, v Value) Values {
	more := maps.Clone(values)
	more[name] = v
	return more
}

// String lists the values, for messages.
func (values Values) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		text := strings.Join(v.Chosen, "|")
		if v.All {
			text = "All"
		}
		parts = append(parts, name+"="+text)
	}
	return strings.Join(parts, " ")
}
