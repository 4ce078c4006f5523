package sandbox

import (
	"errors"
	"syscall"
)

// self is this binary, also when the file has been replaced since.
func self() string { return "/proc/self/exe" }

// bound gives the process the limits that the system keeps: processor time, memory,
// and no files to write.
func bound() error {
	limit := func(resource int, n uint64) error {
		return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: n, Max: n})
	}
	return errors.Join(
		limit(syscall.RLIMIT_CPU, maxCPU),
		limit(syscall.RLIMIT_DATA, maxMemory),
		limit(syscall.RLIMIT_FSIZE, 0),
		limit(syscall.RLIMIT_CORE, 0),
	)
}
