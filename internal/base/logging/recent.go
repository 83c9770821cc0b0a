package logging

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// Bounds of the last records that a logger keeps.
const (
	maxRecords     = 2000
	maxRecordBytes = 1 << 20
	maxMessage     = 1024
	maxAttrs       = 64
	maxKey         = 128
	maxValue       = 4096
	// maxScratch bounds the memory that is kept for encoding a next record.
	maxScratch = 16 << 10
)

// KeyLibrary is the attribute that holds a line which a library wrote to package log, and MessageLibrary the message of its record:
// messages are constant texts of this program.
const (
	KeyLibrary     = "text"
	MessageLibrary = "a line of a library"
)

// AttrKind tells values that may hold texts of others.
type AttrKind string

// The kinds of an attribute's value.
const (
	Text     AttrKind = "text"
	Number   AttrKind = "number"
	Bool     AttrKind = "bool"
	Duration AttrKind = "duration"
	Time     AttrKind = "time"
)

// Record is a line of the log.
type Record struct {
	At      time.Time
	Level   slog.Level
	Message string
	Attrs   []Attr
}

// Attr is an attribute of a line, with its value as text. The key of an attribute in a group has the group's name and a dot before it.
type Attr struct {
	Key, Value string
	Kind       AttrKind
}

// Recent returns the last records of a logger that New made or that comes from one, the oldest first: at most 2,000 of together 1 MiB.
// Of other loggers it returns nil.
func Recent(logger *slog.Logger) []Record {
	if logger == nil {
		return nil
	}
	h, ok := logger.Handler().(*recentHandler)
	if !ok {
		return nil
	}
	return h.ring.records()
}

// recentHandler keeps what it passes on to next.
type recentHandler struct {
	next  slog.Handler
	ring  *ring
	attrs encoded // of WithAttrs
	group string  // with a dot at its end
	// library says that messages are texts of libraries.
	library bool
}

func keepRecent(next slog.Handler) *slog.Logger {
	return slog.New(&recentHandler{next: next, ring: new(ring)})
}

// Enabled implements slog.Handler.
func (h *recentHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *recentHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.next.Handle(ctx, r)
	h.ring.add(h, &r)
	return err
}

// WithAttrs implements slog.Handler.
func (h *recentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.next = h.next.WithAttrs(attrs)
	c.attrs = encoded{append([]byte(nil), h.attrs.b...), h.attrs.n}
	for _, a := range attrs {
		c.attrs.attr(h.group, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *recentHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.next = h.next.WithGroup(name)
	if name != "" {
		c.group = h.group + name + "."
	}
	return &c
}

// ring holds encoded records in a circle.
type ring struct {
	mu      sync.Mutex
	slots   [maxRecords][]byte
	first   int
	count   int
	bytes   int // of the slots' memory
	scratch *encoded
}

// add encodes a record without the lock: the text of a value may take long, and may log itself.
func (g *ring) add(h *recentHandler, r *slog.Record) {
	e := g.takeScratch()
	e.b, e.n = e.b[:0], h.attrs.n
	e.b = binary.AppendVarint(e.b, r.Time.UnixNano())
	e.b = binary.AppendVarint(e.b, int64(r.Level))
	message := r.Message
	if h.library {
		message = MessageLibrary
	}
	e.text(message, maxMessage)
	e.b = append(e.b, h.attrs.b...)
	if h.library {
		e.attr("", slog.String(KeyLibrary, r.Message))
	}
	r.Attrs(func(a slog.Attr) bool {
		e.attr(h.group, a)
		return e.n < maxAttrs
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.put(e.b)
	if cap(e.b) <= maxScratch {
		g.scratch = e
	}
}

// takeScratch returns memory for encoding a record that nobody else has.
func (g *ring) takeScratch() *encoded {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.scratch; e != nil {
		g.scratch = nil
		return e
	}
	return new(encoded)
}

// put keeps a record. It uses the memory of the one that it replaces again.
func (g *ring) put(record []byte) {
	var spare []byte
	for g.count == maxRecords || g.count > 0 && g.bytes+len(record) > maxRecordBytes {
		spare = g.slots[g.first]
		g.slots[g.first] = nil
		g.first, g.count, g.bytes = (g.first+1)%maxRecords, g.count-1, g.bytes-cap(spare)
	}
	if cap(spare) < len(record) || g.bytes+cap(spare) > maxRecordBytes || cap(spare) > 2*len(record) {
		spare = make([]byte, 0, len(record))
	}
	g.slots[(g.first+g.count)%maxRecords] = append(spare[:0], record...)
	g.count, g.bytes = g.count+1, g.bytes+cap(spare)
}

func (g *ring) records() []Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Record, 0, g.count)
	for i := range g.count {
		list = append(list, decode(g.slots[(g.first+i)%maxRecords]))
	}
	return list
}

// encoded is a part of a record: texts with their lengths. n counts attributes.
type encoded struct {
	b []byte
	n int
}

func (e *encoded) text(s string, longest int) {
	if len(s) > longest {
		for longest > 0 && !utf8.RuneStart(s[longest]) {
			longest--
		}
		s = s[:longest]
	}
	e.b = append(binary.AppendUvarint(e.b, uint64(len(s))), s...)
}

// attr appends an attribute; those of a group one by one.
func (e *encoded) attr(group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			e.attr(group, inner)
		}
		return
	}
	if a.Key == "" && v.Any() == nil || e.n >= maxAttrs {
		return
	}
	e.n++
	key := a.Key
	if group != "" {
		key = group + key
	}
	e.text(key, maxKey)
	// Numbers stay numbers here: as texts they would need memory each.
	e.b = append(e.b, byte(v.Kind()))
	switch v.Kind() {
	case slog.KindInt64:
		e.b = binary.AppendVarint(e.b, v.Int64())
	case slog.KindDuration:
		e.b = binary.AppendVarint(e.b, int64(v.Duration()))
	case slog.KindUint64:
		e.b = binary.AppendUvarint(e.b, v.Uint64())
	case slog.KindFloat64:
		e.b = binary.BigEndian.AppendUint64(e.b, math.Float64bits(v.Float64()))
	case slog.KindTime:
		e.b = binary.AppendVarint(e.b, v.Time().UnixNano())
	case slog.KindBool:
		if v.Bool() {
			e.b = append(e.b, 1)
			return
		}
		e.b = append(e.b, 0)
	case slog.KindString:
		e.text(v.String(), maxValue)
	default:
		if err, ok := v.Any().(error); ok {
			e.text(errorText(err), maxValue)
			return
		}
		e.text(v.String(), maxValue)
	}
}

// errorText is an error's text, also where that fails, as slog's own handlers do.
func errorText(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "an error without a text"
		}
	}()
	return err.Error()
}

func decode(b []byte) (r Record) {
	varint := func() int64 {
		v, n := binary.Varint(b)
		b = b[n:]
		return v
	}
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	text := func() string {
		n := uvarint()
		s := string(b[:n])
		b = b[n:]
		return s
	}
	r.At = time.Unix(0, varint()).UTC()
	r.Level = slog.Level(varint())
	r.Message = text()
	for len(b) > 0 {
		a := Attr{Key: text(), Kind: Number}
		kind := slog.Kind(b[0])
		b = b[1:]
		switch kind {
		case slog.KindInt64:
			a.Value = strconv.FormatInt(varint(), 10)
		case slog.KindUint64:
			a.Value = strconv.FormatUint(uvarint(), 10)
		case slog.KindFloat64:
			a.Value = strconv.FormatFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 'g', -1, 64)
			b = b[8:]
		case slog.KindDuration:
			a.Kind, a.Value = Duration, time.Duration(varint()).String()
		case slog.KindTime:
			a.Kind, a.Value = Time, time.Unix(0, varint()).UTC().Format(time.RFC3339Nano)
		case slog.KindBool:
			a.Kind, a.Value = Bool, strconv.FormatBool(b[0] == 1)
			b = b[1:]
		default:
			a.Kind, a.Value = Text, text()
		}
		r.Attrs = append(r.Attrs, a)
	}
	return r
}
