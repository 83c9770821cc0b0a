package translate

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// This file is the target option max_over: of several replicas of one quantity, one sample is written.

// setReplica notes in a template of which series its samples are replicas, and which one of them. The native labels are those of
// the page, src is the Source of the sample.
func (s *labelTemplates) setReplica(lt *labelTemplate, c *mapping.Change, src *Source, native []exposition.Label, bucket bool) {
	lt.max = true
	others := slices.DeleteFunc(slices.Clone(native), func(l exposition.Label) bool {
		return len(l.Value) == 0 || slices.Contains(c.MaxOver, string(l.Name)) || bucket && string(l.Name) == labelLE
	})
	written := changeLabels(c, others)
	if s.users != nil {
		var unused labelTemplate
		written = s.users.rewriteLabels(&unused, written)
	}
	lt.quantity = s.quantityOf(written)
	lt.hash, lt.groupHash = 0, 0
	for _, l := range append(src.relabel(nil, written), src.hashed...) {
		if !s.source.isHashed(string(l.Name)) {
			continue
		}
		h := s.hash(l)
		lt.hash += h
		if string(l.Name) != labelQuantile {
			lt.groupHash += h
		}
	}
	lt.replicaHash = lt.hash
	if lt.sum {
		lt.replicaHash = 0
		for _, l := range others {
			lt.replicaHash += s.hash(exposition.Label{Name: l.Name, Value: canonicalValue(l.Value)})
		}
	}
	for _, name := range c.MaxOver {
		lt.replica = appendOrdered(lt.replica, exposition.Unescape(nil, labelValue(native, name)))
	}
}

// appendOrdered appends a label value in a form whose bytes compare like it: no value, numbers, other texts.
func appendOrdered(dst, value []byte) []byte {
	v, ok := exposition.ParseNumber(value)
	switch {
	case len(value) == 0:
		return append(dst, 0)
	case ok && !math.IsNaN(v):
		bits := math.Float64bits(v + 0) // -0 is 0
		if bits>>63 == 0 {
			bits |= 1 << 63
		} else {
			bits = ^bits
		}
		dst = binary.BigEndian.AppendUint64(append(dst, 1), bits)
	default:
		dst = append(dst, 2)
	}
	return append(append(dst, value...), 0)
}

// A replicaGroup is the samples of one native series that are equal but for the labels of max_over.
type replicaGroup struct {
	sum    int32 // the index in lineBuffer.sums of the sample that they become, maybe with other groups
	hash   uint64
	value  float64 // the largest one
	native []byte  // as the page spells it; nil if it was scaled
}

// A replica is a sample of a replicaGroup.
type replica struct {
	group  int32
	labels *labelTemplate
}

// A replicaSet is the replicas of one unified metric of one page.
type replicaSet struct {
	groups     []replicaGroup
	groupIndex hashTable
	replicas   []replica
	index      hashTable // of replicas
}

func (s *replicaSet) clear() {
	clear(s.groups)
	clear(s.replicas)
	s.groups, s.replicas = s.groups[:0], s.replicas[:0]
	s.groupIndex.clear()
	s.index.clear()
}

// findGroup returns the index of the group of a sample, -1 if it is the first one. salt is that of its name and bound.
func (b *lineBuffer) findGroup(name string, lt *labelTemplate, le []byte, salt uint64) int32 {
	t := &b.replicaSet.groupIndex
	if t.used == 0 {
		return -1
	}
	short := shorten(lt.replicaHash + salt)
	for at := t.probe(short, t.start(short)); t.slots[at].hash != 0; at = t.probe(short, at+1) {
		i := int32(t.slots[at].line)
		g := &b.replicaSet.groups[i]
		if g.hash == lt.replicaHash && b.sums[g.sum].name == name && string(b.boundOf(int(g.sum))) == string(le) {
			return i
		}
	}
	return -1
}

// addGroup begins a group with its first sample and reports whether it is the first one of its sum.
func (b *lineBuffer) addGroup(name string, lt *labelTemplate, le, value []byte, salt uint64, spelled bool) (firstOfSum bool) {
	sum, first := b.sumOf(name, lt, le, salt)
	if !first {
		b.merged++
	}
	g := replicaGroup{sum: int32(sum), hash: lt.replicaHash}
	g.value, _ = exposition.ParseNumber(value)
	if spelled {
		g.native = value
	}
	set := &b.replicaSet
	i := len(set.groups)
	set.groups = append(set.groups, g)
	t := &set.groupIndex
	t.grow()
	short := shorten(lt.replicaHash + salt)
	t.set(t.probe(0, t.start(short)), short, i)
	b.addReplica(int32(i), lt, salt)
	return first
}

// addToGroup adds another sample to a group. Of a replica that comes twice, the first sample stays.
func (b *lineBuffer) addToGroup(i int32, lt *labelTemplate, value []byte, salt uint64, spelled bool) {
	if !b.addReplica(i, lt, salt) {
		b.duplicates++
		return
	}
	b.merged++
	b.repeated++
	g := &b.replicaSet.groups[i]
	if v, _ := exposition.ParseNumber(value); v > g.value || math.IsNaN(g.value) && !math.IsNaN(v) {
		g.value, g.native = v, nil
		if spelled {
			g.native = value
		}
	}
}

// addReplica notes a replica and reports whether it is new. The sum's labels become its own if it is the lowest one.
func (b *lineBuffer) addReplica(group int32, lt *labelTemplate, salt uint64) bool {
	t := &b.replicaSet.index
	t.grow()
	short := shorten(lt.replicaHash + lt.fullHash + salt)
	at := t.probe(short, t.start(short))
	for ; t.slots[at].hash != 0; at = t.probe(short, at+1) {
		r := &b.replicaSet.replicas[t.slots[at].line]
		if r.group == group && (r.labels == lt || bytes.Equal(r.labels.replica, lt.replica)) {
			return false
		}
	}
	t.set(at, short, len(b.replicaSet.replicas))
	b.replicaSet.replicas = append(b.replicaSet.replicas, replica{group, lt})
	sum := &b.sums[b.replicaSet.groups[group].sum]
	if sum.labels != lt && bytes.Compare(lt.replica, sum.labels.replica) < 0 {
		sum.labels = lt
	}
	return true
}

// addGroups adds each group's value to its sum.
func (b *lineBuffer) addGroups() {
	for i := range b.replicaSet.groups {
		g := &b.replicaSet.groups[i]
		s := &b.sums[g.sum]
		if s.groups == 0 {
			s.value, s.native = g.value, g.native
		} else {
			s.value += g.value
			s.native = nil
		}
		s.groups++
	}
	b.replicaSet.clear()
}
