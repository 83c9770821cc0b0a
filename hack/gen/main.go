// Command gen writes what is generated: the dashboards, docs/metrics.md from the catalog, docs/flags.md and the configuration files in
// packaging/etc from the programs, docs/access.md, and the tables of vendors and their metrics from the pages that the vendors' tests
// compare with. docs/troubleshooting.md has the doctor's findings.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	if err := os.WriteFile(filepath.Join("docs", "metrics.md"), metrics(), 0o644); err != nil { //nolint:gosec // a page for everybody
		return err
	}
	if err := writeDashboards(filepath.Join("docker-compose", "grafana", "grafana_dashboards")); err != nil {
		return err
	}
	if err := writeSchema(); err != nil {
		return err
	}
	short, full, err := vendorTables()
	if err != nil {
		return err
	}
	if err := errors.Join(splice("README.md", "vendors", short), splice(filepath.Join("docs", "gpus.md"), "vendors", full)); err != nil {
		return err
	}
	engines, err := engineTables()
	if err != nil {
		return err
	}
	gateways, err := gatewayTable()
	if err != nil {
		return err
	}
	page := filepath.Join("docs", "engines.md")
	if err := errors.Join(splice(page, "engines", engines), splice(page, "gateways", gateways)); err != nil {
		return err
	}
	if err := splice(filepath.Join("docs", "prefill-decode.md"), "roles", roles()); err != nil {
		return err
	}
	if err := splice(filepath.Join("docs", "troubleshooting.md"), "findings", findingTables()); err != nil {
		return err
	}
	accessPage, err := access()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join("docs", "access.md"), accessPage, 0o644); err != nil { //nolint:gosec // a page for everybody
		return err
	}
	return fromPrograms()
}

func metrics() []byte {
	var b bytes.Buffer
	b.WriteString("# Metrics\n\nGenerated from `internal/catalog` by `make gen`.\n")
	section(&b, "Inference engines", `On a worker's page, with cluster_id, cluster_name, worker_id, worker_name, model_id, model_name, model_instance_id,
model_instance_name and runtime, followed by the engine's own labels. What an engine doesn't measure is absent. These are
the metrics of the built-in [mapping](mapping.md); another mapping can define others. [Engines](engines.md) says which engine has what.`, catalog.Runtime)
	section(&b, "Inference engines, GPUStack's newer metrics", `As above; these are not counted in metrics_mapping_coverage_ratio. pd_ stands for prefill and decode in
separate instances, and pd_router_ for the router in front of them: it is an instance of the model whose metrics page has the router's own metrics.`, catalog.RuntimeNewer)
	section(&b, "Inference engines, beyond GPUStack", "As above; these are not counted in metrics_mapping_coverage_ratio.", catalog.RuntimeOwn)
	section(&b, "Gateways", `On a worker's page, with the identity labels of an engine except model_id and model_name: a gateway has no model, model_name
is the one of its requests. No other labels of the gateway are exported, and a label that it does not have is absent. Gateways have metrics of
their own because engines count the requests that come through a gateway, too. [Engines](engines.md#gateways) says which gateway
has what, and what status and user are.`, catalog.Gateway)
	section(&b, "Worker node", "On a worker's page, with cluster_id, cluster_name, worker_id and worker_name. Rates are 0 to 100.", catalog.WorkerNode)
	section(&b, "GPUs", "On a worker's page, with cluster_id, cluster_name, worker_id and worker_name. What a GPU doesn't report is absent; [GPUs](gpus.md) has a table of the vendors.", catalog.GPU)
	section(&b, "Model instances", "On a worker's page, with the identity labels of the worker and the instance. The worker measures these itself.", catalog.Instance)
	section(&b, "The worker about itself", "On a worker's page; the runtime metrics carry the identity labels of the engine. Metrics of Go and the process are there too.", catalog.WorkerOwn)
	section(&b, "Server", "On the server's metrics page. Metrics of Go, the process and the embedded Prometheus (prometheus_*) are there too.", catalog.Server)
	section(&b, "The server about itself", "On the server's metrics page; those of Grafana only if the server runs one.", catalog.ServerOwn)
	section(&b, "The embedded Prometheus", `On the server's metrics page and at /prometheus/metrics. The label class is small, medium or
large for users' queries, by the memory that they need. It is listings for series, labels, federation and remote read, rules for queries of rules, and
answers for replies that clients still read.`, catalog.EmbeddedPrometheus)
	return b.Bytes()
}

func section(b *bytes.Buffer, title, text string, list []catalog.Metric) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| metric | type | meaning | labels |\n|---|---|---|---|\n", title, text)
	for _, m := range list {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", m.WireName(), m.Type, strings.ReplaceAll(m.Help, "|", `\|`), labels)
	}
}
