package sandbox

import (
	"errors"
	"syscall"
	"time"
)

// self is this binary, also when the file has been replaced since.
func self() string { return "/proc/self/exe" }

// bound gives the process the limits that the system keeps: processor time, memory,
// and no files to write.
func bound() error {
	limit := func(resource int, n uint64) error {
		return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: n, Max: n})
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	start := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return errors.Join(
		limit(syscall.RLIMIT_CPU, uint64((start+maxCPU+time.Second-1)/time.Second)), //nolint:gosec // no time is below 0
		limit(syscall.RLIMIT_DATA, maxMemory),
		limit(syscall.RLIMIT_FSIZE, 0),
		limit(syscall.RLIMIT_CORE, 0),
	)
}
