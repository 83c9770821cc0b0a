package access

// Kind is a kind of access that a worker may lack.
type Kind struct {
	ID string // value of label access; never changes
	// Unseen is what the worker does not see, and Needs what it needs for that, in a few words each.
	Unseen, Needs string
	// Lost says in sentences what the operator does not see without it.
	Lost string
	// Grant says in sentences how to grant it.
	Grant string
	// Slight says that most of what it gives is seen without it.
	Slight bool
}

// Kinds of access, in the order in which they are told.
var (
	HiddenProcesses = &Kind{
		ID: "hidden_processes", Unseen: "other users' processes, which are hidden", Needs: "CAP_SYS_PTRACE",
		Lost:  "Processes of other users are not listed, so their engines are found only as containers or by --engine, and no GPU memory is attributed to them.",
		Grant: "systemd: ProtectProc=default and AmbientCapabilities=CAP_SYS_PTRACE. Docker: --cap-add SYS_PTRACE. Or mount /proc without hidepid, or with gid= of a group that the worker is in.",
	}
	PIDNamespace = &Kind{
		ID: "pid_namespace", Unseen: "processes outside its container", Needs: "pid: host",
		Lost:  "Processes outside the worker's container have other numbers there or are not listed: engines are found only as containers or by --engine, and GPU memory and energy are attributed to no instance (gpustack:model_instance_gpu_memory_used_bytes).",
		Grant: "Docker: --pid host. Compose: pid: host. Kubernetes: hostPID: true.",
	}
	ProcessDetails = &Kind{
		ID: "process_details", Slight: true,
		Unseen: "variables, sockets and networks of other users' processes", Needs: "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
		Lost:  "Variables, open files and network namespaces of other users' processes cannot be read: ports and names that engines have from variables are not known, some engines in containers are not reached, and the use of Intel GPUs by each process is not known. gpustack:discovery_skipped_total counts such engines.",
		Grant: "Run the worker as root, or grant both capabilities. systemd: AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH. Docker, as root: --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH --security-opt apparmor=unconfined.",
	}
	ProcessFiles = &Kind{
		ID: "process_files", Slight: true,
		Unseen: "variables and sockets of other users' processes", Needs: "CAP_DAC_READ_SEARCH",
		Lost:  "Variables and open files of other users' processes cannot be read: ports and names that engines have from variables are not known, and which engine listens at a port is guessed. gpustack:discovery_skipped_total counts such engines.",
		Grant: "CAP_SYS_PTRACE alone is not enough, not even for root: grant CAP_DAC_READ_SEARCH, too. systemd: CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH. Docker: --cap-add DAC_READ_SEARCH.",
	}
	KernelLog = &Kind{
		ID: "kernel_log", Unseen: "GPU errors in the kernel log", Needs: "CAP_SYSLOG and /dev/kmsg",
		Lost:  "GPU errors that the kernel logs are not counted: of AMD and Intel GPUs none, of NVIDIA's only those that the driver reports while the worker runs (gpustack:gpu_error_events_total, gpustack:gpu_recommended_action).",
		Grant: "systemd: AmbientCapabilities=CAP_SYSLOG, ProtectKernelLogs=no. Docker: --cap-add SYSLOG --device /dev/kmsg:/dev/kmsg:r. A user who may not open /dev/kmsg needs CAP_DAC_READ_SEARCH, too.",
	}
	ContainerRuntime = &Kind{
		ID: "container_runtime", Unseen: "names and labels of containers", Needs: "the container daemon's socket",
		Lost:  "Names and labels of containers are not known. Engines in containers are still found as processes, under other names and without what stackscope.* labels set.",
		Grant: "Add the worker's user to the group that owns the socket (usermod -aG docker USER; Docker: --group-add GID), or mount it: -v /var/run/docker.sock:/var/run/docker.sock:ro. Who may use the socket can become root. --discover process does without it.",
	}
	GPUDevices = &Kind{
		ID: "gpu_devices", Unseen: "GPUs whose device files it cannot open", Needs: "the device files",
		Lost:  "All metrics of these GPUs are missing (gpustack:worker_node_gpu_*, gpustack:gpu_*), and what instances use of them.",
		Grant: "Let the worker's user read and write the device files (group video or render, or HwHiAiUser for Ascend). systemd: PrivateDevices=no and DeviceAllow= for them. Docker: --gpus all for NVIDIA, --device for others.",
	}
	GPUDriver = &Kind{
		ID: "gpu_driver", Unseen: "GPUs whose driver's library or tool it cannot use", Needs: "that library or tool",
		Lost:  "All metrics of these GPUs are missing (gpustack:worker_node_gpu_*, gpustack:gpu_*), and what instances use of them.",
		Grant: "NVIDIA: run a build with cgo, not a static one, where libnvidia-ml.so.1 is (in a container: NVIDIA's container toolkit). Others: the vendor's tool must be in the worker's PATH and may need root, so run the worker on the machine, without a container.",
	}
	HostRoot = &Kind{
		ID: "host_root", Unseen: "the machine's file systems", Needs: "--host-root",
		Lost:  "The file systems are the container's, not the machine's (gpustack:worker_node_filesystem_*).",
		Grant: "Docker: -v /:/host:ro,rslave and --host-root /host. systemd: no RootDirectory= and no RootImage=.",
	}
	NetworkNamespace = &Kind{
		ID: "network_namespace", Unseen: "the machine's network", Needs: "network_mode: host",
		Lost:  "Engines that listen only at the machine's 127.0.0.1 are not reached. Without the machine's processes, its network devices are not seen either (gpustack:worker_node_network_*).",
		Grant: "Docker: --network host. Compose: network_mode: host. Kubernetes: hostNetwork: true. systemd: PrivateNetwork=no.",
	}
)

// Kinds lists them.
var Kinds = []*Kind{
	HiddenProcesses, PIDNamespace, ProcessDetails, ProcessFiles, KernelLog, ContainerRuntime, GPUDevices, GPUDriver, HostRoot, NetworkNamespace,
}

// Of returns the kind with an id; nil: this version does not know it.
func Of(id string) *Kind {
	for _, k := range Kinds {
		if k.ID == id {
			return k
		}
	}
	return nil
}
