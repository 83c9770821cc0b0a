package host

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
)

// port is a port of an InfiniBand or RoCE adapter, with what was read of it last.
type port struct {
	device, number, layer string
	labels                exposition.Labels

	stateFile, physicalFile, rateFile kernelFile

	state          string // empty: unknown
	stateLabels    exposition.Labels
	upKnown, up    bool
	bytesPerSecond float64 // 0: unknown or not linked

	received, transmitted, downed portCounter
	errors                        []portCounter
}

// portCounter is a counter of a port; without a file it is one that the port does not have.
type portCounter struct {
	file   kernelFile
	labels exposition.Labels // of the counters that are told apart by a label
	unit   float64           // bytes or events that the file counts as one
	value  float64
	known  bool
}

// counterFile is where a counter is found below a port, and what it counts as one.
type counterFile struct {
	dir, name string
	unit      float64
}

// octets is the unit of the specification's data counters, which adapters for Ethernet keep to as well.
const octets = 4

// Data counters are listed the best first: kernels before 4.5 have the wide ones in a folder of their own, and adapters of
// another kind (EFA, Broadcom) count bytes.

func receivedFiles() []counterFile {
	return []counterFile{
		{"counters_ext", "port_rcv_data_64", octets}, {"counters", "port_rcv_data", octets}, {"hw_counters", "rx_bytes", 1},
	}
}

func transmittedFiles() []counterFile {
	return []counterFile{
		{"counters_ext", "port_xmit_data_64", octets}, {"counters", "port_xmit_data", octets}, {"hw_counters", "tx_bytes", 1},
	}
}

func downedFiles() []counterFile { return []counterFile{{"counters", "link_downed", 1}} }

// errorFiles are the kernel's names of the counters that count errors: packets lost, broken, late or sent again. Those of
// plain work, of congestion control and of flushes, which end every connection, are none.
func errorFiles() []counterFile {
	var files []counterFile
	for _, name := range []string{
		"symbol_error", "link_error_recovery", "port_rcv_errors", "port_rcv_remote_physical_errors", "port_rcv_switch_relay_errors",
		"port_xmit_discards", "port_xmit_constraint_errors", "port_rcv_constraint_errors", "local_link_integrity_errors",
		"excessive_buffer_overrun_errors", "VL15_dropped",
	} {
		files = append(files, counterFile{"counters", name, 1})
	}
	for _, name := range []string{
		// mlx5
		"out_of_buffer", "out_of_sequence", "duplicate_request", "packet_seq_err", "implied_nak_seq_err", "local_ack_timeout_err",
		"rnr_nak_retry_err", "req_cqe_error", "resp_cqe_error", "req_remote_invalid_request", "req_remote_access_errors",
		"resp_local_length_error", "resp_remote_access_errors", "req_transport_retries_exceeded", "req_rnr_retries_exceeded",
		"rx_icrc_encapsulated", "roce_adp_retrans", "roce_adp_retrans_to", "roce_slow_restart",
		// efa
		"rx_drops", "retrans_pkts", "retrans_timeout_events", "unresponsive_remote_events", "impaired_remote_conn_events",
		"rdma_read_wr_err", "rdma_write_wr_err", "cmds_err",
		// bnxt_re
		"rx_roce_errors", "rx_roce_discards", "to_retransmits", "seq_err_naks_rcvd", "max_retry_exceeded", "rnr_naks_rcvd",
		"missing_resp", "unrecoverable_err", "bad_resp_err", "local_qp_op_err", "local_protection_err", "mem_mgmt_op_err",
		"remote_invalid_req_err", "remote_access_err", "remote_op_err", "dup_req", "oos_drop_count", "rx_out_of_buffer",
	} {
		files = append(files, counterFile{"hw_counters", name, 1})
	}
	return files
}

// newPort finds out which files a port has; once: they do not stay open.
func (a *adapter) newPort(number string, once bool) *port {
	watch := func(elem ...string) kernelFile {
		w := a.kernelFile(append([]string{"sys", "class", "infiniband", a.name, "ports", number}, elem...)...)
		w.closeAfterRead = once
		return w
	}
	p := &port{
		device: a.name, number: number,
		layer:        a.readWord("sys", "class", "infiniband", a.name, "ports", number, "link_layer"),
		labels:       exposition.RenderLabels("device", a.name, "port", number),
		stateFile:    watch("state"),
		physicalFile: watch("phys_state"),
		rateFile:     watch("rate"),
	}
	has := map[string]bool{}
	for _, dir := range []string{"counters_ext", "counters", "hw_counters"} {
		names, _ := a.listNames(a.path("sys", "class", "infiniband", a.name, "ports", number, dir))
		for _, name := range names {
			has[dir+"/"+name] = true
		}
	}
	first := func(files []counterFile) portCounter {
		for _, f := range files {
			if !has[f.dir+"/"+f.name] {
				continue
			}
			c := portCounter{file: watch(f.dir, f.name), unit: f.unit}
			if err := c.read(&a.buf); c.known || err != nil {
				return c
			}
			c.file.close()
		}
		return portCounter{}
	}
	p.received, p.transmitted, p.downed = first(receivedFiles()), first(transmittedFiles()), first(downedFiles())
	for _, f := range errorFiles() {
		if has[f.dir+"/"+f.name] {
			labels := exposition.RenderLabels("device", a.name, "port", number, "error", f.name)
			p.errors = append(p.errors, portCounter{file: watch(f.dir, f.name), labels: labels, unit: 1})
		}
	}
	return p
}

// counters are the counters that the port has.
func (p *port) counters() iter.Seq[*portCounter] {
	return func(yield func(*portCounter) bool) {
		for _, c := range []*portCounter{&p.received, &p.transmitted, &p.downed} {
			if c.unit > 0 && !yield(c) {
				return
			}
		}
		for i := range p.errors {
			if !yield(&p.errors[i]) {
				return
			}
		}
	}
}

// files are the files that may be open.
func (p *port) files() iter.Seq[*kernelFile] {
	return func(yield func(*kernelFile) bool) {
		for _, w := range []*kernelFile{&p.stateFile, &p.physicalFile, &p.rateFile} {
			if !yield(w) {
				return
			}
		}
		for c := range p.counters() {
			if !yield(&c.file) {
				return
			}
		}
	}
}

// read reads the port's files. What cannot be read or understood is absent; the error is about the first of the latter, or
// says that the port is gone.
func (p *port) read(buf *[]byte) error {
	err := p.readState(buf)
	for c := range p.counters() {
		if e := c.read(buf); e != nil && err == nil {
			err = e
		}
	}
	return err
}

func (p *port) readState(buf *[]byte) error {
	was := p.state
	p.state, p.upKnown, p.bytesPerSecond = "", false, 0
	text, err := p.stateFile.read(buf)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(text)) > 0 {
		_, state, ok := parseState(text)
		if !ok {
			return fmt.Errorf("%s says %q, not a number, a colon and a state", p.stateFile.path, excerpt(text))
		}
		p.state = strings.ToLower(state)
	}
	if p.state == "" {
		return nil
	}
	if p.state != was {
		p.stateLabels = exposition.RenderLabels("device", p.device, "port", p.number, "link_layer", p.layer, "state", p.state)
	}
	return cmp.Or(p.readUp(buf), p.readRate(buf))
}

// readUp reads the physical state. A port that is not active is not up, whatever its link is.
func (p *port) readUp(buf *[]byte) error {
	const linkUp = 5
	if p.state != "active" {
		p.upKnown, p.up = true, false
		return nil
	}
	text, err := p.physicalFile.read(buf)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return nil //nolint:nilerr // what cannot be read is absent
	}
	code, _, ok := parseState(text)
	if !ok {
		return fmt.Errorf("%s says %q, not a number, a colon and a state", p.physicalFile.path, excerpt(text))
	}
	p.upKnown, p.up = code != 0, code == linkUp // 0: the driver does not know
	return nil
}

// readRate reads the rate of a port that has a link: of others the file tells some default.
func (p *port) readRate(buf *[]byte) error {
	if p.state != "active" && p.state != "armed" && p.state != "init" {
		return nil
	}
	text, err := p.rateFile.read(buf)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return nil //nolint:nilerr // what cannot be read is absent
	}
	var ok bool
	if p.bytesPerSecond, ok = parseRate(text); !ok {
		return fmt.Errorf("%s says %q, not a rate in Gb/sec", p.rateFile.path, excerpt(text))
	}
	return nil
}

func (c *portCounter) read(buf *[]byte) error {
	c.known = false
	text, err := c.file.read(buf)
	if err != nil {
		return nil //nolint:nilerr // a counter that cannot be read is absent
	}
	v, known, ok := parseCounter(text)
	if !ok {
		return fmt.Errorf("%s says %q, not a number", c.file.path, excerpt(text))
	}
	c.value, c.known = float64(v)*c.unit, known
	return nil
}

// parseState reads "4: ACTIVE".
func parseState(text []byte) (code uint64, name string, ok bool) {
	const longest = 40
	before, after, ok := bytes.Cut(bytes.TrimSpace(text), []byte(": "))
	code, isNumber := number(before)
	if !ok || !isNumber || code > 1<<16 || len(after) == 0 || len(after) > longest ||
		bytes.ContainsFunc(after, func(c rune) bool { return c < ' ' || c > '~' }) {
		return 0, "", false
	}
	return code, string(after), true
}

// parseRate reads "100 Gb/sec (4X EDR)", whose giga is 10^9, and returns bytes per second.
func parseRate(text []byte) (bytesPerSecond float64, ok bool) {
	const fastest = 1e6
	before, _, ok := bytes.Cut(bytes.TrimSpace(text), []byte(" Gb/sec"))
	v, err := strconv.ParseFloat(string(before), 64)
	if !ok || err != nil || !(v >= 0 && v <= fastest) {
		return 0, false
	}
	return v * 1e9 / 8, true
}

// parseCounter reads a number. An adapter that does not count says nothing, or "N/A (no PMA)": then known is false.
func parseCounter(text []byte) (v uint64, known, ok bool) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || bytes.HasPrefix(text, []byte("N/A")) {
		return 0, false, true
	}
	v, ok = number(text)
	return v, ok, ok
}

// excerpt is what an error may carry of a file.
func excerpt(text []byte) string {
	const most = 40
	text = bytes.TrimSpace(text)
	return string(text[:min(len(text), most)])
}
