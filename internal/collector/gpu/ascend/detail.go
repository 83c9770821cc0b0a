package ascend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	// maxRuns and maxTime bound what one reading spends on details; a run that has begun is let end.
	maxRuns = 4
	maxTime = 2 * time.Second
	// firstTime is the same for the first reading, which asks each chip for its identity.
	firstTime = 6 * time.Second
	// afterFault is the pause before something is asked again that failed, afterRefusal when the tool doesn't have it.
	afterFault   = 10 * time.Minute
	afterRefusal = time.Hour
	// stale is after how many turns without a new answer the old one is dropped.
	stale = 3
)

// query is something that npu-smi tells of one NPU or chip: `npu-smi info -t item -i NPU [-c chip]`.
type query struct {
	item    string
	perChip bool
	every   time.Duration
	read    func(*answer, *question) error
}

// The queries, by how much it matters that they are answered soon. With eight NPUs they are about 40 runs a minute.
var queries = []query{
	{item: "board", every: time.Hour, read: (*answer).readNPU},
	{item: "board", perChip: true, every: time.Hour, read: (*answer).readNPU},
	{item: "health", every: time.Minute, read: (*answer).readChips},
	{item: "common", every: time.Minute, read: (*answer).readChips},
	{item: "ecc", every: time.Minute, read: (*answer).readChips},
	{item: "usages", every: time.Minute, read: (*answer).readChips},
	{item: "memory", every: time.Minute, read: (*answer).readChips},
	{item: "hccs", perChip: true, every: 5 * time.Minute, read: (*answer).readLinks},
	{item: "info-vnpu", perChip: true, every: 5 * time.Minute, read: (*answer).readSlices},
}

// question is a query of one NPU or chip (chip is "" for an NPU).
type question struct {
	*query
	npu, chip string
	version   string // of the tool
	out       []byte
}

type key struct{ item, npu, chip string }

func (q *question) key() key { return key{q.item, q.npu, q.chip} }

func (q *question) args() []string {
	args := []string{"info", "-t", q.item, "-i", q.npu}
	if q.perChip {
		args = append(args, "-c", q.chip)
	}
	return args
}

// answer is what is known about a question.
type answer struct {
	due, read time.Time
	err       error
	chips     map[string]fields // by chip ID; of a question about one chip or an NPU as a whole under ""
	links     []gpu.Link
	slices    []gpu.Slice
}

func (a *answer) readNPU(q *question) error {
	f, err := parseFields(q.version, q.out)
	a.chips = map[string]fields{"": f}
	return err
}

func (a *answer) readChips(q *question) (err error) {
	a.chips, err = parseChips(q.version, q.out)
	return err
}

func (a *answer) readLinks(q *question) (err error) {
	a.links, err = parseLinks(q.version, q.out)
	return err
}

func (a *answer) readSlices(q *question) (err error) {
	a.slices, err = parseSlices(q.version, q.out)
	return err
}

// command runs npu-smi.
type command func(ctx context.Context, args ...string) ([]byte, error)

// details asks the queries in turn and keeps the answers.
type details struct {
	now     time.Time
	order   []*question
	answers map[key]*answer
	codes   map[string][]string // error codes by place, of the last answer
	events  []gpu.Event
}

// refresh asks the questions that are due, the longest due first, within the bounds.
func (d *details) refresh(ctx context.Context, run command, version string, chips []chip) {
	runs, most := maxRuns, maxTime
	if d.answers == nil {
		runs, most = 2*maxChips, firstTime
	}
	d.now = time.Now()
	d.plan(version, chips)
	due := slices.DeleteFunc(slices.Clone(d.order), func(q *question) bool { return d.answers[q.key()].due.After(d.now) })
	slices.SortStableFunc(due, func(a, b *question) int { return d.answers[a.key()].due.Compare(d.answers[b.key()].due) })
	for i, q := range due {
		if i >= runs || time.Since(d.now) >= most || ctx.Err() != nil {
			return
		}
		if runs > maxRuns && i >= maxRuns && q.item != "board" {
			return
		}
		d.ask(ctx, run, q)
	}
}

// plan lists the questions about these chips and forgets those about others.
func (d *details) plan(version string, chips []chip) {
	answers := make(map[key]*answer, len(d.answers))
	d.order = d.order[:0]
	for i := range queries {
		for j := range chips {
			q := &question{query: &queries[i], npu: chips[j].npu, version: version}
			if q.perChip {
				q.chip = chips[j].id
			} else if first(chips, q.npu) != j {
				continue
			}
			if chips[j].device.Lost {
				continue
			}
			d.order = append(d.order, q)
			if answers[q.key()] = d.answers[q.key()]; answers[q.key()] == nil {
				answers[q.key()] = &answer{}
			}
		}
	}
	d.answers = answers
}

func (d *details) ask(ctx context.Context, run command, q *question) {
	out, err := run(ctx, q.args()...)
	a := &answer{due: d.now.Add(q.every), read: d.now}
	if refused(out, err) {
		a.due = d.now.Add(afterRefusal)
		d.answers[q.key()] = a
		return
	}
	if err == nil {
		q.out = out
		err = q.read(a, q)
		q.out = nil
	}
	if err != nil {
		a = d.answers[q.key()] // what it said before holds until it is stale
		a.due, a.err = d.now.Add(afterFault), fmt.Errorf("%s: %w", strings.Join(q.args(), " "), err)
	}
	d.answers[q.key()] = a
}

// refused says that the tool does not have what was asked, for this NPU or in this version. It does not always fail then. What
// it answers may hold the same words: in the legend of a table, in the text of an error.
func refused(out []byte, err error) bool {
	var text strings.Builder
	for line := range strings.Lines(string(out[:min(len(out), 1024)])) {
		if _, isRow := smi.Cells(line); !isRow && !strings.Contains(line, " : ") {
			text.WriteString(line)
		}
	}
	if err != nil {
		text.WriteString(err.Error())
	}
	said := strings.ToLower(text.String())
	return slices.ContainsFunc([]string{"not support", "error parameter", "parameter is invalid", "invalid parameter"}, func(s string) bool { return strings.Contains(said, s) })
}

// fault is the first of what failed and how much else did.
func (d *details) fault() error {
	var err error
	failed := 0
	for _, q := range d.order {
		if e := d.answers[q.key()].err; e != nil {
			if failed++; failed == 1 {
				err = e
			}
		}
	}
	if failed > 1 {
		return fmt.Errorf("%w (and %d more that failed)", err, failed-1)
	}
	return err
}

// of returns what is known of an item, and whether it is fresh.
func (d *details) of(item, npu, chip string) (*answer, bool) {
	a := d.answers[key{item, npu, chip}]
	if a == nil || a.read.IsZero() {
		return &answer{}, false
	}
	for i := range queries {
		if queries[i].item == item {
			return a, d.now.Sub(a.read) <= stale*queries[i].every+afterFault
		}
	}
	return &answer{}, false
}

// fields returns what an item of an NPU says of a chip of it; empty if it is not known.
func (d *details) fields(item, npu, chip string) fields {
	if a, ok := d.of(item, npu, ""); ok {
		return a.chips[chip]
	}
	return nil
}
