package catalog

// EmbeddedPrometheus lists what the server says about its embedded Prometheus, besides Prometheus' own metrics. The embedded
// Prometheus exports them itself.
var EmbeddedPrometheus = []Metric{
	{Name: "stackscope_prometheus_up", Type: Gauge, Help: "Whether the embedded Prometheus has opened its data (1) or not (0)."},
	{Name: "stackscope_prometheus_problem", Type: Gauge, Labels: []string{"problem"}, Help: "Whether the embedded Prometheus has this problem (1) or not (0): its data can't be opened, its disk is full, scrapes can't be written, compaction fails, truncation of the head fails, blocks can't be read."},
	{Name: "stackscope_prometheus_scrapes_not_stored", Type: Counter, Help: "Scrapes of the embedded Prometheus that were not stored: its disk was full or could not be written to."},
	{Name: "stackscope_prometheus_samples_refused", Type: Counter, Labels: []string{"reason"}, Help: "Scraped samples that the embedded Prometheus did not store, by reason: worker (its worker_id and worker_name are not those of one worker that is registered at its address in its cluster), family (a worker sent a metric of the server), labels (its labels take more than 4 KiB), series (it would be a new series above the limit)."},
	{Name: "stackscope_prometheus_max_series", Type: Gauge, Help: "Series in the head of the embedded Prometheus from which on new ones are refused; 0 is no limit."},
	{Name: "stackscope_query_memory_limit_bytes", Type: Gauge, Help: "Memory that all queries together may hold: a quarter of what this process may use."},
	{Name: "stackscope_query_memory_reserved_bytes", Type: Gauge, Labels: []string{"class"}, Help: "Memory that is reserved for queries that run, and for answers that are being read."},
	{Name: "stackscope_query_running", Type: Gauge, Labels: []string{"class"}, Help: "Queries that hold memory."},
	{Name: "stackscope_query_waiting", Type: Gauge, Labels: []string{"class"}, Help: "Queries that wait for memory."},
	{Name: "stackscope_query_wait_seconds", Type: Histogram, Help: "Time that queries waited for memory."},
	{Name: "stackscope_query_refused", Type: Counter, Labels: []string{"class", "reason"}, Help: "Queries that were answered with 503, by reason: queue (the queue was full), timeout (no memory became free in time)."},
	{Name: "stackscope_query_restarts", Type: Counter, Help: "Queries that were restarted in a larger class because they needed more memory or time than their class allows."},
	{Name: "stackscope_query_slow_readers_cut", Type: Counter, Help: "Answers beyond 16 MiB that were cut off because their client read less than 1 MiB a second while other queries of the class waited."},
}
