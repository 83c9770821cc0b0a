// Package oldglibc makes programs that are built with cgo start on older systems than the one that built them: on those whose C
// library is glibc 2.17 or newer, which RHEL 8, Ubuntu 20.04 and Debian 11 have. Importing it is all. It takes effect with the build
// tag oldglibc, which needs a linker of GNU binutils and glibc on the machine that builds.
//
// Example: pthread_create moved from libpthread to libc in glibc 2.34 and got the version GLIBC_2.34 there. A program that is
// linked against that library asks for this version, and no older system has it. The library still has the function under its
// first version, too, as programs of before 2.34 need it. So this package makes the linker take the first version.
//
// tests/release holds what the built programs need to the bound. If a newer compiler or C library on the machine that builds gives
// another function a version above it, add that function to the lists in versions.c and link.go.
package oldglibc
