//go:build oldglibc && linux && cgo && (amd64 || arm64)

package oldglibc

// A call of a wrapped function, wherever it is in the program, reaches the function __wrap_NAME of versions.c.
//
// Before glibc 2.34 some of them were in libraries of their own, which the program therefore names. Newer systems have these
// libraries, too, without content.

/*
#cgo LDFLAGS: -Wl,-wrap,__libc_start_main
#cgo LDFLAGS: -Wl,-wrap,dlclose -Wl,-wrap,dlerror -Wl,-wrap,dlinfo -Wl,-wrap,dlopen -Wl,-wrap,dlsym
#cgo LDFLAGS: -Wl,-wrap,pthread_attr_getstack -Wl,-wrap,pthread_attr_getstacksize -Wl,-wrap,pthread_create
#cgo LDFLAGS: -Wl,-wrap,pthread_getattr_np -Wl,-wrap,pthread_key_create -Wl,-wrap,pthread_setspecific -Wl,-wrap,pthread_sigmask
#cgo LDFLAGS: -Wl,--push-state,--no-as-needed -l:libpthread.so.0 -l:libdl.so.2 -Wl,--pop-state
*/
import "C"
