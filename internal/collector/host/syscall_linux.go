package host

import (
	"context"
	"os"
	"syscall"
)

// kernelArch returns the machine's architecture as the kernel names it, such as x86_64.
func kernelArch() (string, error) {
	var name syscall.Utsname
	if err := syscall.Uname(&name); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	arch := make([]byte, 0, len(name.Machine))
	for _, c := range name.Machine { // int8 or uint8
		if c == 0 {
			break
		}
		arch = append(arch, byte(c))
	}
	return string(arch), nil
}

// uptime returns the whole seconds since the machine booted.
func uptime() (float64, error) {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0, os.NewSyscallError("sysinfo", err)
	}
	return float64(info.Uptime), nil
}

// usage returns the size and the used space of the filesystem at path in bytes. It may hang for as long as the filesystem does.
func usage(_ context.Context, path string) (total, used uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	block := uint64(s.Bsize) // positive; its type differs between architectures
	return s.Blocks * block, (s.Blocks - s.Bfree) * block, nil
}
