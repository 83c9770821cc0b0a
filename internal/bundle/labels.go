package bundle

import (
	"regexp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
)

// valueCheck says which values of a label stay.
type valueCheck int

const (
	number   valueCheck = iota // such as 0.5 and +Inf
	integer                    // at most six digits
	word                       // of the vocabulary, or an integer
	semantic                   // a version
	metric                     // a name that NewRedactor got
	device                     // of a disk or a network, as Linux names them
	product                    // of a GPU
	named                      // of a GPU that has a maker's word in it, or an operating system
	kernel                     // a release of Linux
	mounted                    // a mount point that every machine has
	machine                    // an architecture
)

// labelChecks are the labels of which some values stay, those of our own metrics and of engines.
var labelChecks = map[string]valueCheck{
	"le": number, "quantile": number,

	"cluster_id": integer, "worker_id": integer, "model_id": integer, "model_instance_id": integer, "generation": integer,
	"gpu_index": integer, "gpu_chip_index": integer, "index": integer, "chip_index": integer, "cpu": integer, "node": integer, "numa_node": integer,
	"engine": integer, "engine_index": integer, "rank": integer, "dp_rank": integer, "tp_rank": integer, "pp_rank": integer, "moe_ep_rank": integer, "tp_size": integer,
	"status_code": integer, "code": integer, "http_status": integer, "position": integer, "window": word,

	"state": word, "from": word, "to": word, "reason": word, "mode": word, "role": word, "runtime": word, "vendor": word, "collector": word,
	"source": word, "listener": word, "class": word, "kind": word, "type": word, "status": word, "method": word, "phase": word, "severity": word,
	"action": word, "recommended_action": word, "outcome": word, "result": word, "level": word, "category": word, "provider": word,
	"direction": word, "operation": word, "unit": word, "problem": word, "event": word, "error": word, "finished_reason": word,
	"finish_reason": word, "priority": word, "cache": word, "cache_type": word, "memory_type": word, "engine_type": word, "stage": word, "fstype": word,
	"format": word, "component": word, "slice": word, "pd_mode": word, "connector": word, "proxy_mode": word, "scheme": word, "ready": word,
	"link": word, "link_type": word, "link_layer": word, "clock": word, "share": word, "resource": word, "needed": word, "event_type": word, "cause": word,
	"worker_type": word, "kv_counted_role": word, "architecture": machine, "fan": integer, "gpu_instance": integer, "compute_instance": integer,
	"label": word, "dtype": word, "cache_dtype": word, "quantization": word,

	"version": semantic, "runtime_version": semantic, "goversion": semantic, "driver_version": semantic, "firmware_version": semantic,
	"cuda_version": semantic, "engine_version": semantic,

	"metric": metric, "native": metric, "native_metric": metric, "family": metric, "__name__": metric,

	"device": device, "interface": device, "port": device,
	"release": kernel, "gpu_name": product, "name": named,
	"mountpoint": mounted,
}

// valueKinds are the kinds of what the values of labels are about.
var valueKinds = map[string]string{
	"cluster_name": Cluster, "worker_name": Worker, "model_name": Model, "model": Model, "model_instance_name": Instance,
	"instance": Host, "host": Host, "hostname": Host, "url": Host, "address": Host, "endpoint": Host, "upstream": Host, "node_name": Host,
	"user": User, "user_id": User, "user_email": User, "end_user": User, "user_alias": User, "consumer": User, "team": User, "api_key_alias": User, "hashed_api_key": User,
	"path": Path, "file": Path, "mountpoint": Path,
}

var (
	shortInteger = regexp.MustCompile(`^-?[0-9]{1,6}$`)
	majorVersion = regexp.MustCompile(`^[0-9]{1,3}$`)
	deviceName   = regexp.MustCompile(`^(?:[shv]d[a-z]{1,2}[0-9]{0,3}|nvme[0-9]{1,3}(?:n[0-9]{1,3}(?:p[0-9]{1,3})?)?|(?:md|dm-|loop|eth|ib|bond|team|docker|br)[0-9]{1,3}|en[ops][a-f0-9]{1,4}(?:[sfdn][a-z0-9]{1,4}){0,3}|mlx[45]_[0-9]{1,3}|lo|cpu|mem|[0-9]{1,3})$`)
	// A part of a GPU's name: H100, 80GB, HBM3, SXM4, MI300X, 910B3, S4000.
	productPart = regexp.MustCompile(`^(?:[A-Z]{1,4}[0-9]{1,4}[A-Z]{0,3}|[0-9]{1,4}(?:GB|G|[A-Z][0-9]?)?|HBM[0-9][a-z]?)$`)
)

// maxProductParts is how many such parts a GPU's name has at most.
const maxProductParts = 4

// productWords are what GPUs' names are made of, besides such parts.
var productWords = []string{
	"nvidia", "tesla", "geforce", "rtx", "gtx", "quadro", "ti", "super", "amd", "radeon", "instinct", "pro", "intel", "data", "center", "gpu", "max", "flex", "arc",
	"ascend", "huawei", "hygon", "dcu", "metax", "moore", "threads", "mtt", "iluvatar", "bi", "cambricon", "mlu", "thead", "ppu", "pcie", "sxm", "nvl", "ada",
	"generation", "laptop", "graphics", "oam", "simulated", "mig", "grid", "fake", "hbm", "series",
}

// systems are the names of operating systems as their /etc/os-release has them, besides distributions.
var systems = []string{
	"Linux", "Debian GNU/Linux", "Red Hat Enterprise Linux", "Red Hat Enterprise Linux Server", "CentOS Linux", "CentOS Stream", "Rocky Linux", "Fedora Linux", "Alpine Linux",
	"Amazon Linux", "Oracle Linux Server", "Arch Linux", "Kylin Linux Advanced Server", "Anolis OS",
}

var architectures = []string{"x86_64", "amd64", "aarch64", "arm64", "riscv64", "loongarch64", "ppc64le", "s390x"}

// Label returns what becomes of the value of a label. Of a version with the name of a build, such as 0.11.1+gabcdef0, the version stays.
func (r *Redactor) Label(name, value string) string {
	check, listed := labelChecks[name]
	listed = listed && r.kinds[value] == ""
	if value == "" || listed && r.stayingValue(check, value) {
		return value
	}
	kind := valueKinds[name]
	if kind == "" {
		kind = Value
	}
	if i := strings.IndexAny(value, "+-"); listed && check == semantic && i > 0 && r.kinds[value[:i]] == "" && isVersion(value[:i]) {
		return value[:i+1] + r.Hash(kind, value)
	}
	return r.Hash(kind, value)
}

func (r *Redactor) stayingValue(check valueCheck, value string) bool {
	switch check {
	case number:
		return floatNumber.MatchString(value)
	case integer:
		return shortInteger.MatchString(value)
	case word:
		return shortInteger.MatchString(value) || r.word(value)
	case semantic:
		return isVersion(value) || majorVersion.MatchString(value) || value == buildinfo.Get().Version || r.word(value)
	case metric:
		return r.stays[value] || r.word(value)
	case device:
		return deviceName.MatchString(value)
	case product:
		return isProduct(value, true)
	case named:
		return isProduct(value, false) || slices.Contains(systems, value) || slices.Contains(distributions, strings.ToLower(value))
	case kernel:
		return kernelForm.MatchString(value)
	case machine:
		return slices.Contains(architectures, value)
	case mounted:
		return slices.Contains([]string{"/", "/boot", "/boot/efi", "/home", "/var", "/tmp", "/opt", "/data", "/mnt"}, value)
	}
	return false
}

// isProduct reports whether a text is the name of a GPU, as far as its words show it. bare is whether one part without
// such a word may be one, such as H100.
func isProduct(name string, bare bool) bool {
	if len(name) > 64 {
		return false
	}
	words, others := 0, 0
	for part := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == ' ' || c == '-' || c == '_' || c == '/' }) {
		switch {
		case slices.Contains(productWords, strings.ToLower(part)):
			words++
		case productPart.MatchString(part):
			others++
		default:
			return false
		}
	}
	return words > 0 && others <= maxProductParts || bare && words == 0 && others == 1
}
