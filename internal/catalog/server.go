package catalog

// Metrics of the server (specification, "Server Metrics", and GPUStack's exporter).
var (
	Cluster                        = Metric{Name: Prefix + "cluster_info", Type: Gauge, Help: "Cluster; the value is 1.", Labels: []string{"cluster_id", "cluster_name", "provider"}}
	ClusterStatus                  = Metric{Name: Prefix + "cluster_status", Type: Gauge, Help: "State of a cluster: the current state has the value 1, others are absent.", Labels: []string{"cluster_id", "cluster_name", "state"}}
	WorkerInfo                     = Metric{Name: Prefix + "worker_info", Type: Gauge, Help: "Worker with its own labels; the value is 1.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name"}}
	WorkerStatus                   = Metric{Name: Prefix + "worker_status", Type: Gauge, Help: "State of a worker: the current state has the value 1, others are absent.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name", "state"}}
	WorkerHeartbeatAge             = Metric{Name: Prefix + "worker_heartbeat_age_seconds", Type: Gauge, Help: "Time since the worker last reported.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name"}}
	WorkerAppliedGeneration        = Metric{Name: Prefix + "worker_metrics_config_applied_generation", Type: Gauge, Help: "Generation of the metrics mapping that the worker said it applies.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name"}}
	MetricsConfigGeneration        = Metric{Name: Prefix + "metrics_config_generation", Type: Gauge, Help: "Generation of the metrics mapping that is active on the server; 0 is the built-in default."}
	Model                          = Metric{Name: Prefix + "model_info", Type: Gauge, Help: "Model; the value is 1.", Labels: []string{"cluster_id", "cluster_name", "model_id", "model_name", "runtime", "runtime_version", "source", "source_key", "category"}}
	ModelDesiredInstances          = Metric{Name: Prefix + "model_desired_instances", Type: Gauge, Help: "Instances that a model should have.", Labels: []string{"cluster_id", "cluster_name", "model_id", "model_name"}}
	ModelRunningInstances          = Metric{Name: Prefix + "model_running_instances", Type: Gauge, Help: "Instances of a model that are running.", Labels: []string{"cluster_id", "cluster_name", "model_id", "model_name"}}
	ModelRoleDesiredInstances      = Metric{Name: Prefix + "model_role_desired_instances", Type: Gauge, Help: "Instances of a role that a model should have, where prefill and decode are separate instances: those that are known.", Labels: []string{"cluster_id", "cluster_name", "model_id", "model_name", LabelRole}}
	ModelRoleReadyInstances        = Metric{Name: Prefix + "model_role_ready_instances", Type: Gauge, Help: "Instances of a role that are running.", Labels: []string{"cluster_id", "cluster_name", "model_id", "model_name", LabelRole}}
	PDModeInfo                     = Metric{Name: Prefix + "pd_mode_info", Type: Gauge, Help: "How the prefill instances of a model pass the KV cache to its decode instances (vllm-nixl, vllm-ascend-mooncake, sglang-mooncake, sglang-nixl, or custom, also where it is not known), and the role whose metrics count a transfer once; the value is 1.", Labels: []string{"cluster_id", "cluster_name", "model_id", "model_name", "mode", "kv_counted_role"}}
	ModelInstanceInfo              = Metric{Name: Prefix + "model_instance_info", Type: Gauge, Help: "Model instance with its engine and the engine's version; the value is 1.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name", "model_id", "model_name", "model_instance_name", "runtime", "runtime_version"}}
	ModelInstanceStatus            = Metric{Name: Prefix + "model_instance_status", Type: Gauge, Help: "State of a model instance: the current state has the value 1, others are absent.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name", "model_id", "model_name", "model_instance_name", "state"}}
	ModelInstanceRestartCount      = Metric{Name: Prefix + "model_instance_restart_count", Type: Gauge, Help: "Restarts of a model instance that were observed.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name", "model_id", "model_name", "model_instance_name"}}
	ModelInstanceLatestRestartTime = Metric{Name: Prefix + "model_instance_latest_restart_time", Type: Gauge, Help: "Unix time in seconds of a model instance's last restart; 0 if it never restarted.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name", "model_id", "model_name", "model_instance_name"}}
	BusSubscribers                 = Metric{Name: Prefix + "bus_subscribers", Type: Gauge, Help: "Subscribers of the server's event bus.", Labels: []string{"topic", "source"}}
	BusQueueDepth                  = Metric{Name: Prefix + "bus_queue_depth", Type: Gauge, Help: "Events that wait in the queues of the bus' subscribers.", Labels: []string{"topic", "source"}}
	BusQueueCapacity               = Metric{Name: Prefix + "bus_queue_capacity", Type: Gauge, Help: "Events that the queues of the bus' subscribers can hold.", Labels: []string{"topic", "source"}}
	BusQueueFull                   = Metric{Name: Prefix + "bus_queue_full", Type: Gauge, Help: "Subscribers of the bus whose queue is full.", Labels: []string{"topic", "source"}}
	BusQueueSaturation             = Metric{Name: Prefix + "bus_queue_saturation_ratio", Type: Gauge, Help: "Fill of the fullest subscriber queue, 0 to 1.", Labels: []string{"topic", "source"}}
	BusSubscriberLatestKeys        = Metric{Name: Prefix + "bus_subscriber_latest_keys", Type: Gauge, Help: "Distinct keys for which the bus' subscribers hold a coalesced event.", Labels: []string{"topic", "source"}}
	BusEvents                      = Metric{Name: Prefix + "bus_events", Type: Counter, Help: "Events on the server's event bus.", Labels: []string{"topic", "source", "kind", "event_type"}}
	WorkerVersion                  = Metric{Name: "stackscope_worker_version_info", Type: Gauge, Help: "Version that the worker said it has when it joined, and how it relates to the server's (skew): none (the same, or one of both is not known), older, newer, too_old, too_new (more than one minor version apart); the value is 1.", Labels: []string{"cluster_id", "cluster_name", "worker_id", "worker_name", "version", "skew"}}
	InventoryStored                = Metric{Name: "stackscope_inventory_stored", Type: Gauge, Help: "Whether the inventory could be stored when that was last tried (1) or not (0), as on a full disk."}
	InventoryUnsaved               = Metric{Name: "stackscope_inventory_unsaved_rows", Type: Gauge, Help: "Rows of the inventory that are in memory and not yet stored."}
	InventoryStoreFailures         = Metric{Name: "stackscope_inventory_store_failures", Type: Counter, Help: "Attempts to store the inventory or the metrics mapping that failed."}
	MetricsConfigPassedOver        = Metric{Name: "stackscope_metrics_config_passed_over_generations", Type: Gauge, Help: "Stored generations of the metrics mapping, newer than the active one, that could not be read at the start: they are damaged, or a newer version wrote them."}
	GrafanaUp                      = Metric{Name: "stackscope_grafana_up", Type: Gauge, Help: "Whether the embedded Grafana answers (1) or not (0); absent where there is none."}
	GrafanaStarts                  = Metric{Name: "stackscope_grafana_starts", Type: Counter, Help: "Times that the embedded Grafana was started."}
	GrafanaFailures                = Metric{Name: "stackscope_grafana_failures", Type: Counter, Help: "Times that the embedded Grafana failed, by reason: start (it never answered), exit (it ended by itself), unresponsive (it stopped answering and was killed).", Labels: []string{"reason"}}
	Connections                    = Metric{Name: "stackscope_connections", Type: Gauge, Help: "Connections that a listener has open.", Labels: []string{"listener"}}
	ConnectionsMax                 = Metric{Name: "stackscope_connections_max", Type: Gauge, Help: "Connections that a listener may have open.", Labels: []string{"listener"}}
	ConnectionsClosed              = Metric{Name: "stackscope_connections_closed", Type: Counter, Help: "Connections that a listener closed at its limit, by reason: evicted (idle and without a credential, replaced by a new one), refused (no connection could be evicted).", Labels: []string{"listener", "reason"}}
	WrongTokens                    = Metric{Name: "stackscope_wrong_tokens", Type: Counter, Help: "Requests with a wrong token, by the token that was needed: admin (for reading too), join, worker (a worker's credential), unknown_worker (the worker is not registered); and by status: 401, or 429 for an address with too many of them. An unknown worker always gets 401 and registers again.", Labels: []string{"needed", "status"}}
	RegistrationsRefused           = Metric{Name: "stackscope_registrations_refused", Type: Counter, Help: "Registrations of workers that were refused although their token was right, by reason: invalid, conflict (with another worker), revoked (by an operator), too_often (of one worker), other; and by the answer's status.", Labels: []string{"reason", "status"}}
	GrafanaStartDuration           = Metric{Name: "stackscope_grafana_start_duration_seconds", Type: Gauge, Help: "Time that the last start of the embedded Grafana took until it answered."}
)

// Server lists the metrics of the server in the order in which they are exported.
var Server = []Metric{
	Cluster, ClusterStatus, WorkerInfo, WorkerStatus, WorkerHeartbeatAge, WorkerAppliedGeneration, MetricsConfigGeneration,
	Model, ModelDesiredInstances, ModelRunningInstances, ModelRoleDesiredInstances, ModelRoleReadyInstances, PDModeInfo, ModelInstanceInfo, ModelInstanceStatus, ModelInstanceRestartCount, ModelInstanceLatestRestartTime,
	BusSubscribers, BusQueueDepth, BusQueueCapacity, BusQueueFull, BusQueueSaturation, BusSubscriberLatestKeys, BusEvents,
}

// ServerOwn lists what the server says about itself and the programs that it runs.
var ServerOwn = []Metric{WorkerVersion, InventoryStored, InventoryUnsaved, InventoryStoreFailures, MetricsConfigPassedOver, GrafanaUp, GrafanaStarts, GrafanaFailures, GrafanaStartDuration, Connections, ConnectionsMax, ConnectionsClosed, WrongTokens, RegistrationsRefused}
