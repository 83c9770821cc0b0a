package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Load reads the whole inventory, each kind in the order of its ids. A damaged row costs no other one: it is among the faults.
func (s *Store) Load(ctx context.Context) (fleet.Records, error) {
	var r fleet.Records
	err := errors.Join(
		s.scan(ctx, "SELECT id, name, provider, state FROM clusters ORDER BY id", func(scan scanFunc) {
			var c fleet.Cluster
			row := rowOf(&r, fleet.RowCluster, &c.ID)
			if row.read(scan, &c.ID, &c.Name, &c.Provider, &c.State) && row.valid("id", c.ID) {
				row.text("name", &c.Name)
				row.text("provider", &c.Provider)
				choice(row, "state", &c.State, fleet.ClusterReady, c.State.Valid())
				r.Clusters = append(r.Clusters, c)
			}
		}),
		s.scan(ctx, `SELECT w.id, w.cluster_id, w.uuid, w.name, w.address, w.metrics_port, w.proxy_mode, w.state, w.labels, w.version,
			w.registered_at, w.credential_hash, w.loopback, w.metrics_scheme, w.left_at, w.since, COALESCE(h.last_report_at, 0), COALESCE(h.applied_generation, 0)
			FROM workers w LEFT JOIN worker_heartbeats h ON h.worker_id = w.id ORDER BY w.id`, func(scan scanFunc) {
			if w, ok := scanWorker(&r, scan); ok {
				r.Workers = append(r.Workers, w)
			}
		}),
		s.scan(ctx, "SELECT id, cluster_id, name, runtime, runtime_version, source, source_key, category, empty_since FROM models ORDER BY id", func(scan scanFunc) {
			var m fleet.ModelRecord
			var empty any
			row := rowOf(&r, fleet.RowModel, &m.ID)
			if row.read(scan, &m.ID, &m.ClusterID, &m.Name, &m.Runtime, &m.RuntimeVersion, &m.Source, &m.SourceKey, &m.Category, &empty) &&
				row.valid("id", m.ID) && row.valid("cluster_id", m.ClusterID) {
				for name, text := range map[string]*string{
					"name": &m.Name, "runtime": &m.Runtime, "runtime_version": &m.RuntimeVersion, "source": &m.Source, "source_key": &m.SourceKey, "category": &m.Category,
				} {
					row.text(name, text)
				}
				m.EmptySince = fromMillis(row.number("empty_since", empty))
				r.Models = append(r.Models, m)
			}
		}),
		s.scan(ctx, `SELECT i.id, COALESCE(i.model_id, 0), i.worker_id, i.name, COALESCE(m.name, ''), i.url, i.runtime, i.runtime_version, i.state, i.state_message,
			i.source, i.source_key, i.category, i.role, i.group_name, i.upstreams, i.connector, i.restart_count, i.last_restart_at, i.since
			FROM instances i LEFT JOIN models m ON m.id = i.model_id ORDER BY i.id`, func(scan scanFunc) {
			if in, ok := scanInstance(&r, scan); ok {
				r.Instances = append(r.Instances, in)
			}
		}),
		s.loadRevoked(ctx, &r),
		s.loadGPUs(ctx, &r),
	)
	if err != nil {
		return fleet.Records{}, s.explain("read the inventory from", err)
	}
	return r, nil
}

func scanWorker(r *fleet.Records, scan scanFunc) (w fleet.WorkerRecord, ok bool) {
	var labels, hash string
	var port, registered, loopback, left, since, reported, applied any
	row := rowOf(r, fleet.RowWorker, &w.ID)
	if !row.read(scan, &w.ID, &w.ClusterID, &w.UUID, &w.Name, &w.Address, &port, &w.ProxyMode, &w.State, &labels, &w.Version,
		&registered, &hash, &loopback, &w.MetricsScheme, &left, &since, &reported, &applied) || !row.valid("id", w.ID) || !row.valid("cluster_id", w.ClusterID) {
		return w, false
	}
	for name, text := range map[string]*string{"uuid": &w.UUID, "name": &w.Name, "address": &w.Address, "version": &w.Version} {
		row.text(name, text)
	}
	w.MetricsPort = int(row.within("metrics_port", port, 65535))
	choice(row, "proxy_mode", &w.ProxyMode, fleet.ProxyDirect, w.ProxyMode == fleet.ProxyDirect || w.ProxyMode == fleet.ProxyTunnel)
	choice(row, "state", &w.State, fleet.WorkerNotReady, w.State.Valid())
	if w.MetricsScheme != fleet.MetricsHTTP && w.MetricsScheme != fleet.MetricsHTTPS {
		row.fault("metrics_scheme", fmt.Sprintf("is %.60q, which is not known; it counts as http", string(w.MetricsScheme)))
		w.MetricsScheme = fleet.MetricsHTTP
	}
	w.RegisteredAt, w.LastReportAt = fromMillis(row.number("registered_at", registered)), fromMillis(row.number("last_report_at", reported))
	w.LeftAt, w.Since = fromMillis(row.number("left_at", left)), fromMillis(row.number("since", since))
	w.Loopback = row.within("loopback", loopback, 1) == 1
	w.AppliedGeneration = row.number("applied_generation", applied)
	if err := json.Unmarshal([]byte(labels), &w.Labels); err != nil || !utf8.ValidString(labels) {
		row.fault("labels", "are left out: they are no JSON object of texts")
		w.Labels = nil
	}
	if len(w.Labels) == 0 {
		w.Labels = nil
	}
	// A hash that cannot be read stays zero, which no credential has: the worker has to join again.
	if b, err := hex.DecodeString(hash); err == nil && len(b) == len(w.CredentialHash) {
		w.CredentialHash = [32]byte(b)
	} else {
		row.fault("credential_hash", "is no SHA-256 in hexadecimal: the worker has to join again")
	}
	return w, true
}

func scanInstance(r *fleet.Records, scan scanFunc) (rec fleet.InstanceRecord, ok bool) {
	var restarts, restarted, since any
	in := &rec.Reported
	row := rowOf(r, fleet.RowInstance, &rec.ID)
	if !row.read(scan, &rec.ID, &rec.ModelID, &rec.WorkerID, &in.Name, &in.Model, &in.URL, &in.Runtime, &in.RuntimeVersion, &in.State,
		&in.StateMessage, &in.Source, &in.SourceKey, &in.Category, &in.Role, &in.Group, &in.Upstreams, &in.Connector, &restarts, &restarted, &since) || !row.valid("id", rec.ID) {
		return rec, false
	}
	for name, text := range map[string]*string{
		"name": &in.Name, "url": &in.URL, "runtime": &in.Runtime, "runtime_version": &in.RuntimeVersion, "state_message": &in.StateMessage,
		"source": &in.Source, "source_key": &in.SourceKey, "category": &in.Category, "group_name": &in.Group, "upstreams": &in.Upstreams, "connector": &in.Connector,
	} {
		row.text(name, text)
	}
	if _, ok := fleet.ParseRole(string(in.Role)); !ok {
		row.fault("role", fmt.Sprintf("is %.60q, which is not known; it counts as none", string(in.Role)))
		in.Role = ""
	}
	in.Model = strings.ToValidUTF8(in.Model, string(utf8.RuneError)) // its own row's fault
	choice(row, "state", &in.State, fleet.InstanceUnreachable, in.State.Valid())
	in.RestartCount = int(row.within("restart_count", restarts, 1<<53))
	in.LastRestartAt, in.Since = fromMillis(row.number("last_restart_at", restarted)), fromMillis(row.number("since", since))
	return rec, true
}

// row is a row that is being read.
type row struct {
	records *fleet.Records
	kind    fleet.RowKind
	id      *int64
}

func rowOf(r *fleet.Records, kind fleet.RowKind, id *int64) row { return row{r, kind, id} }

// read scans the row into dest, the id first. It returns false for a row that is left out.
func (r row) read(scan scanFunc, dest ...any) bool {
	if err := scan(dest...); err != nil {
		detail := strings.TrimPrefix(err.Error(), "sql: ")
		r.records.Faults = append(r.records.Faults, fleet.RowFault{Kind: r.kind, ID: *r.id, Detail: detail, LeftOut: true})
		return false
	}
	return true
}

// valid returns false for a row that is left out because nothing can have that id.
func (r row) valid(column string, id int64) bool {
	if id >= 1 && id <= maxID {
		return true
	}
	r.records.Faults = append(r.records.Faults, fleet.RowFault{
		Kind: r.kind, ID: *r.id, Detail: fmt.Sprintf("%s is %d, which is not within 1 to %d", column, id, int64(maxID)), LeftOut: true,
	})
	return false
}

func (r row) fault(column, detail string) {
	r.records.Faults = append(r.records.Faults, fleet.RowFault{Kind: r.kind, ID: *r.id, Detail: column + " " + detail})
}

// text mends a text that no page or answer could have in it.
func (r row) text(column string, s *string) {
	if !utf8.ValidString(*s) {
		r.fault(column, fmt.Sprintf("is %.60q, which is not UTF-8", *s))
		*s = strings.ToValidUTF8(*s, string(utf8.RuneError))
	}
}

// number returns a whole number; 0 for what is none.
func (r row) number(column string, v any) int64 {
	n, ok := v.(int64)
	if !ok {
		r.fault(column, fmt.Sprintf("is %.60q, which is no whole number; it counts as 0", fmt.Sprint(v)))
	}
	return n
}

// within returns a whole number from 0 to most; 0 for what is none.
func (r row) within(column string, v any, most int64) int64 {
	n := r.number(column, v)
	if n < 0 || n > most {
		r.fault(column, fmt.Sprintf("is %d, which is not within 0 to %d; it counts as 0", n, most))
		return 0
	}
	return n
}

// choice puts instead in the place of a value that is none of those known.
func choice[T ~string](r row, column string, v *T, instead T, known bool) {
	if !known {
		r.fault(column, fmt.Sprintf("is %.60q, which is not known; it counts as %s", string(*v), instead))
		*v = instead
	}
}

type scanFunc = func(dest ...any) error

// scan calls row for each row of query.
func (s *Store) scan(ctx context.Context, query string, row func(scanFunc)) (err error) {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		row(rows.Scan)
	}
	return rows.Err()
}
