// A library in the place of libnvidia-ml.so.1 with one card and few functions, as old drivers have; with -DLATER it has more. The
// structures are those of nvml.h. A function that is called and not here ends the program that calls it.
#include <string.h>

typedef int ret;
typedef struct device *device;
enum { success = 0, not_supported = 3, timeout = 10 };

#define CARD ((device)0x10)

ret nvmlInit_v2(void) { return success; }
ret nvmlShutdown(void) { return success; }
const char *nvmlErrorString(ret r) { return r == not_supported ? "Not Supported" : "another error"; }
ret nvmlSystemGetDriverVersion(char *s, unsigned n) { strncpy(s, "418.226.00", n); return success; }
ret nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return success; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned i, device *d) { *d = CARD; return success; }
ret nvmlDeviceGetUUID(device d, char *s, unsigned n) { strncpy(s, "GPU-library", n); return success; }
ret nvmlDeviceGetName(device d, char *s, unsigned n) { strncpy(s, "Tesla T4", n); return success; }

struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char name[32]; };
ret nvmlDeviceGetPciInfo_v3(device d, struct pci *p) { memset(p, 0, sizeof *p); p->bus = 0x3b; return success; }

struct memory { unsigned long long total, free, used; };
ret nvmlDeviceGetMemoryInfo(device d, struct memory *m) { m->total = 16ull << 30; m->used = 4ull << 30; m->free = 12ull << 30; return success; }
ret nvmlDeviceGetPowerUsage(device d, unsigned *mw) { *mw = 70500; return success; }

struct process { unsigned pid; unsigned long long used; };
ret nvmlDeviceGetComputeRunningProcesses(device d, unsigned *n, struct process *p) { if (*n) { p->pid = 4242; p->used = 1 << 30; } *n = 1; return success; }
ret nvmlDeviceGetGraphicsRunningProcesses(device d, unsigned *n, struct process *p) { *n = 0; return success; }

#ifdef LATER
struct field { unsigned id, scope; long long at, took; unsigned type; ret ret; unsigned long long value; };
ret nvmlDeviceGetFieldValues(device d, int n, struct field *f) {
	for (int i = 0; i < n; i++) {
		f[i].ret = f[i].id == 82 ? success : not_supported; // the memory's temperature
		f[i].type = 1;
		f[i].value = 66;
	}
	return success;
}

struct support { unsigned version, is; };
ret nvmlGpmQueryDeviceSupport(device d, struct support *s) { s->is = 1; return s->version == 1 ? success : not_supported; }
static long made = 0x100;
ret nvmlGpmSampleAlloc(void **s) { *s = (void *)made++; return success; }
ret nvmlGpmSampleFree(void *s) { return success; }
ret nvmlGpmSampleGet(device d, void *s) { return success; }

struct metric { unsigned id; ret ret; double value; char *a, *b, *c; };
struct metrics { unsigned version, n; void *older, *newer; struct metric metrics[98]; }; // as many as the first driver with them knew
ret nvmlGpmMetricsGet(struct metrics *m) {
	for (unsigned i = 0; i < m->n; i++) { m->metrics[i].ret = success; m->metrics[i].value = m->metrics[i].id; m->metrics[i].a = "name"; }
	return m->version == 1 && m->older != m->newer ? success : not_supported;
}
#endif

ret nvmlEventSetCreate(void **set) { *set = (void *)0x5; return success; }
ret nvmlEventSetFree(void *set) { return success; }
ret nvmlDeviceGetSupportedEventTypes(device d, unsigned long long *types) { *types = 0x1f; return success; }
ret nvmlDeviceRegisterEvents(device d, unsigned long long types, void *set) { return success; }

struct event { device device; unsigned long long type, data; unsigned gi, ci; };
static int told;
ret nvmlEventSetWait_v2(void *set, struct event *e, unsigned ms) {
	if (told++) return timeout;
	e->device = CARD;
	e->type = 8;
	e->data = 79;
	return success;
}
