//go:build oldglibc && linux && cgo && (amd64 || arm64)

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

// The versions that the functions had first: those of glibc's first release for the architecture, except dlinfo's on amd64.
#if defined(__x86_64__)
#define FIRST "GLIBC_2.2.5"
#define FIRST_DLINFO "GLIBC_2.3.3"
#elif defined(__aarch64__)
#define FIRST "GLIBC_2.17"
#define FIRST_DLINFO "GLIBC_2.17"
#endif

// OLD defines __wrap_NAME, which calls a version of the function NAME.
#define OLD(version, result, name, parameters, arguments)        \
	result old_##name parameters;                                \
	__asm__(".symver old_" #name ", " #name "@" version);        \
	result __wrap_##name parameters { return old_##name arguments; }

OLD(FIRST, int, dlclose, (void *handle), (handle))
OLD(FIRST, char *, dlerror, (void), ())
OLD(FIRST_DLINFO, int, dlinfo, (void *handle, int request, void *result), (handle, request, result))
OLD(FIRST, void *, dlopen, (const char *file, int mode), (file, mode))
OLD(FIRST, void *, dlsym, (void *handle, const char *name), (handle, name))
OLD(FIRST, int, pthread_attr_getstack, (const pthread_attr_t *attr, void **address, size_t *size), (attr, address, size))
OLD(FIRST, int, pthread_attr_getstacksize, (const pthread_attr_t *attr, size_t *size), (attr, size))
OLD(FIRST, int, pthread_create, (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument),
	(thread, attr, start, argument))
OLD(FIRST, int, pthread_getattr_np, (pthread_t thread, pthread_attr_t *attr), (thread, attr))
OLD(FIRST, int, pthread_key_create, (pthread_key_t * key, void (*destructor)(void *)), (key, destructor))
OLD(FIRST, int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value))
OLD(FIRST, int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *before), (how, set, before))

// The program's first function calls __libc_start_main. Before glibc 2.34 it passed a function there that runs the program's own
// constructors; since then the C library finds them by itself, and NULL is passed. An older C library would not run them. One of
// any age runs them by the function that is passed, so one is.

typedef void constructor(int argc, char **argv, char **env);

extern constructor *__preinit_array_start[] __attribute__((visibility("hidden")));
extern constructor *__preinit_array_end[] __attribute__((visibility("hidden")));
extern constructor *__init_array_start[] __attribute__((visibility("hidden")));
extern constructor *__init_array_end[] __attribute__((visibility("hidden")));
extern void _init(void);

static void run_constructors(int argc, char **argv, char **env) {
	for (constructor **c = __preinit_array_start; c < __preinit_array_end; c++)
		(*c)(argc, argv, env);
	_init();
	for (constructor **c = __init_array_start; c < __init_array_end; c++)
		(*c)(argc, argv, env);
}

int old_libc_start_main(int (*program)(int, char **, char **), int argc, char **argv, constructor *init, void (*fini)(void),
						void (*rtld_fini)(void), void *stack_end);
__asm__(".symver old_libc_start_main, __libc_start_main@" FIRST);

int __wrap___libc_start_main(int (*program)(int, char **, char **), int argc, char **argv, constructor *init, void (*fini)(void),
							 void (*rtld_fini)(void), void *stack_end) {
	return old_libc_start_main(program, argc, argv, init ? init : run_constructors, fini, rtld_fini, stack_end);
}
