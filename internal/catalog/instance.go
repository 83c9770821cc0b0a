package catalog

// Metrics of a model instance that its worker measures itself. All carry the identity labels of the worker and the
// instance.
var (
	InstanceGPUMemory    = Metric{Name: Prefix + "model_instance_gpu_memory_used_bytes", Type: Gauge, Help: "GPU memory that the processes of a model instance use.", Labels: gpuLabels()}
	InstanceGPUUse       = Metric{Name: Prefix + "model_instance_gpu_utilization_ratio", Type: Gauge, Help: "Share of a GPU that the processes of a model instance used, 0 to 1, where the driver measures it for each process.", Labels: gpuLabels()}
	InstanceGPUEnergy    = Metric{Name: Prefix + "model_instance_gpu_energy_joules", Type: Counter, Help: "GPU energy allocated to a model instance, by its share of utilization or, where the driver does not measure utilization for each process, of memory. No GPU measures energy for each process.", Labels: gpuLabels()}
	InstanceLastProgress = Metric{Name: Prefix + "model_instance_last_progress_timestamp_seconds", Type: Gauge, Help: "Unix time at which a token or request counter of a model instance last changed."}
	InstanceStalled      = Metric{Name: Prefix + "model_instance_stalled", Type: Gauge, Help: "Whether a model instance has work and makes no progress (1) or not (0)."}
	InstanceNoMetrics    = Metric{Name: Prefix + "model_instance_no_metrics", Type: Gauge, Help: "Why a model instance gives no metrics; the value is 1. Absent when it gives some, and while it starts. Reasons of an instance that runs: empty_page (no samples), no_engine_metrics (only others, such as python_*), unmapped (the mapping uses none of them). Others: refused, timeout, dns, lost, tls, unauthorized, not_found, http_status, not_metrics, process_ended.", Labels: []string{"reason"}}
	InstanceImbalance    = Metric{Name: Prefix + "data_parallel_imbalance_ratio", Type: Gauge, Help: "Requests of the busiest data-parallel rank of a model instance, running and waiting, divided by the mean of its ranks; 1 is even. Absent with fewer than two ranks, without requests, and for a page of several models."}
	InstancePhase        = Metric{Name: Prefix + "model_instance_phase_duration_seconds", Type: Histogram, Help: "Time that the phases of a model instance's start took: initializing (process started, no GPU memory yet), loading (uses GPU memory, does not listen yet), starting (listens, exports no metrics yet) and all of them together.", Labels: []string{"phase"}}
	InstanceTransitions  = Metric{Name: Prefix + "model_instance_state_transitions", Type: Counter, Help: "State changes of a model instance, as its worker observed them.", Labels: []string{"from", "to", "reason"}}
)

// Instance lists the metrics of model instances in the order in which they are exported.
var Instance = []Metric{
	InstanceGPUMemory, InstanceGPUUse, InstanceGPUEnergy, InstanceLastProgress, InstanceStalled, InstanceNoMetrics, InstanceImbalance, InstancePhase, InstanceTransitions,
}
