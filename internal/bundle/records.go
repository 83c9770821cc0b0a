package bundle

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

// hidden stands in the place of a secret that is set.
const hidden = "(secret)"

// enumFlags are the flags whose values are words of a list.
var enumFlags = []string{"--log-level", "--log-format", "--discover", "--gpu-vendors", "--scenario"}

var (
	longNumber    = regexp.MustCompile(`^[0-9]{7,15}$`) // of bytes or samples
	settingAmount = regexp.MustCompile(`-(?:max|limit|size|memory|samples|series|seed)(?:-|$)`)
	settingTime   = regexp.MustCompile(`^(?:[0-9]{1,6}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h|d|w|y)){1,4}$`)
)

// Settings returns the flags of a program with their values redacted, a line each. Numbers, times, yes and no, and the words of lists stay.
func (r *Redactor) Settings(list []wire.Setting) []byte {
	var b strings.Builder
	for _, s := range list {
		name := s.Flag
		if !flagName.MatchString(name) || !r.flag(name) {
			name = "--" + r.Hash(Text, name)
		}
		source := s.Source
		if !slices.Contains([]string{"default", "flag", "environment", "file"}, source) {
			source = "unknown"
		}
		b.WriteString(name + "=" + r.setting(&s) + "  (" + source + ")\n")
	}
	return []byte(b.String())
}

func (r *Redactor) setting(s *wire.Setting) string {
	v := s.Value
	switch {
	case s.Secret && s.Source == "default":
		return ""
	case s.Secret:
		return hidden
	case v == "", v == "true", v == "false", shortInteger.MatchString(v), settingTime.MatchString(v):
		return v
	case s.Source == "default" && r.word(v):
		return v
	case longNumber.MatchString(v) && settingAmount.MatchString(s.Flag):
		return v
	case slices.Contains(enumFlags, s.Flag):
		items := strings.Split(v, ",")
		for i, item := range items {
			if !r.word(item) {
				items[i] = r.Hash(Text, item)
			}
		}
		return strings.Join(items, ",")
	case strings.Contains(v, "=") && strings.Contains(v, ","), s.Flag == "--engine", s.Flag == "--worker-label":
		return r.pairs(v)
	case strings.Contains(v, "://"):
		return r.URL(v)
	case strings.HasPrefix(v, "/"):
		return r.path(v)
	}
	if h := r.host(v); h == v {
		return v
	}
	return r.Hash(Text, v)
}

// engineKeys are the keys of --engine; those of labels are hashed.
var engineKeys = []string{"url", "model", "instance", "runtime", "version", "path", "role", "group", "connector"}

// pairs redacts KEY=VALUE,...
func (r *Redactor) pairs(v string) string {
	var out []string
	for item := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ',' || c == ';' || c == '\n' }) {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			out = append(out, r.Hash(Text, item))
			continue
		}
		if !slices.Contains(engineKeys, key) {
			key = r.Hash(Text, key)
		}
		switch {
		case strings.Contains(value, "://"):
			value = r.URL(value)
		case key == "runtime" && r.word(value), key == "role" && r.word(value), key == "version" && isVersion(value):
		case key == "path":
			value = r.path(value)
		default:
			value = r.Hash(Text, value)
		}
		out = append(out, key+"="+value)
	}
	return strings.Join(out, ",")
}

// wordKeys are the attributes of log lines whose values are words of the programs.
var wordKeys = []string{"component", "reason", "problem", "level", "state", "from", "to", "runtime", "vendor", "source", "collector", "listener", "what", "doing", "kind", "role", "scheme", "signal", "mode"}

// proseKeys are those whose values are sentences; they are redacted word by word, as are others of wordKeys.
var proseKeys = []string{"error", "err", "note", "why", "cause", "do", "hint", "detail", "instead_of"}

// Log returns the records of a log, a line each. Messages are texts of the programs and redacted like errors: what is not a word of them becomes a hash.
func (r *Redactor) Log(list []wire.LogRecord) []byte {
	var b strings.Builder
	for i := range list {
		rec := &list[i]
		level := rec.Level
		if !slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, level) {
			level = "LEVEL"
		}
		b.WriteString(rec.At.UTC().Format(time.RFC3339Nano) + " " + level + " " + r.Text(rec.Message))
		for _, a := range rec.Attrs {
			b.WriteString(" " + r.attrKey(a.Key) + "=" + r.attrValue(&a))
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// attrKey returns a key of which every part is a word, or a hash.
func (r *Redactor) attrKey(key string) string {
	for part := range strings.FieldsFuncSeq(key, func(c rune) bool { return c == '.' || c == '_' }) {
		if !r.word(part) {
			return r.Hash(Text, key)
		}
	}
	return key
}

var (
	attrNumber = regexp.MustCompile(`^(?:[+-]?[0-9]{1,20}|[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?|[+-]Inf|NaN)$`)
	attrBool   = regexp.MustCompile(`^(?:true|false)$`)
)

// attrValue returns an attribute's value. What a record calls a number must be one: workers tell the kinds.
func (r *Redactor) attrValue(a *wire.LogAttr) string {
	switch {
	case a.Kind == "number" && attrNumber.MatchString(a.Value),
		a.Kind == "bool" && attrBool.MatchString(a.Value),
		a.Kind == "duration" && durationForm.MatchString(a.Value),
		a.Kind == "time" && timestamp.MatchString(a.Value):
		return a.Value
	case a.Value == "":
		return `""`
	}
	key := a.Key[strings.LastIndexByte(a.Key, '.')+1:]
	switch {
	case slices.Contains(wordKeys, key) && r.word(a.Value), plainNumber.MatchString(a.Value):
		return a.Value
	case key == "version" || key == "runtime_version":
		return r.Label(key, a.Value)
	case slices.Contains(wordKeys, key), slices.Contains(proseKeys, key):
		return `"` + r.Text(a.Value) + `"`
	}
	switch {
	case strings.Contains(a.Value, "://"):
		return r.URL(a.Value)
	case hostPort.MatchString(a.Value):
		m := hostPort.FindStringSubmatch(a.Value)
		return r.host(m[1]) + ":" + m[2]
	case r.host(a.Value) == a.Value:
		return a.Value
	}
	kind := attrKinds[key]
	if kind == "" {
		kind = Text
	}
	return r.Hash(kind, a.Value)
}

var durationForm = regexp.MustCompile(`^-?(?:[0-9]{1,10}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h)){1,3}$`)

var attrKinds = map[string]string{
	"worker": Worker, "worker_name": Worker, "cluster": Cluster, "model": Model, "instance": Instance, "engine": Instance, "name": Text,
	"address": Host, "host": Host, "url": Host, "server": Host, "client": Host, "dir": Path, "file": Path, "path": Path, "user": User,
}

// Doctor returns an answer of a doctor with names hashed and texts redacted.
func (r *Redactor) Doctor(d *wire.Doctor) *wire.Doctor {
	out := *d
	out.Subject = r.subject(d.Subject)
	out.Summary = r.Text(d.Summary)
	out.Findings = slices.Clone(d.Findings)
	for i := range out.Findings {
		f := &out.Findings[i]
		f.ID, f.Severity, f.Hop = r.identifier(f.ID), r.identifier(f.Severity), r.identifier(f.Hop)
		f.Subject = r.subject(f.Subject)
		f.What, f.Seen, f.Do, f.Docs = r.Text(f.What), r.Text(f.Seen), "", "" // the documentation has the last two, by the id
	}
	out.Paths = slices.Clone(d.Paths)
	for i := range out.Paths {
		p := &out.Paths[i]
		p.InstanceName, p.WorkerName = r.Hash(Instance, p.InstanceName), r.Hash(Worker, p.WorkerName)
		p.Metric = r.Text(p.Metric)
		p.Hops = slices.Clone(p.Hops)
		for k := range p.Hops {
			h := &p.Hops[k]
			h.Hop, h.State, h.Seen = r.identifier(h.Hop), r.identifier(h.State), r.Text(h.Seen)
			h.Findings = slices.Clone(h.Findings)
			for n := range h.Findings {
				h.Findings[n] = r.identifier(h.Findings[n])
			}
		}
	}
	return &out
}

func (r *Redactor) subject(s wire.DoctorSubject) wire.DoctorSubject {
	s.Kind = r.identifier(s.Kind)
	if s.Kind == wire.DoctorMetric && r.stays[s.Name] {
		return s
	}
	s.Name = r.Hash(s.Kind, s.Name)
	return s
}

var identifierForm = regexp.MustCompile(`^[a-z]{1,16}(?:_[a-z0-9]{1,16}){0,5}$`)

// identifier returns an id that is a constant of the doctor, such as engine_refused. Its parts need not be words.
func (r *Redactor) identifier(s string) string {
	if s == "" || identifierForm.MatchString(s) {
		return s
	}
	return r.Hash(Text, s)
}

// ContentType returns a content type without its parameters.
func (r *Redactor) ContentType(s string) string {
	typ, _, _ := strings.Cut(s, ";")
	typ = strings.ToLower(strings.TrimSpace(typ))
	if typ == "" || slices.Contains([]string{"text/plain", "text/html", "application/openmetrics-text", "application/json", "application/octet-stream"}, typ) {
		return typ
	}
	return r.Hash(Text, s)
}
