package seccomp

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BenchmarkLoad is what the kernel takes to load the same filter in the shape that libseccomp gives
// it and in ours. It runs the program for every system call number then, to know which it always
// allows.
func BenchmarkLoad(b *testing.B) {
	p := profile(b, "docker-default.json")
	linear := libseccomps(b, p)
	for _, r := range []struct {
		name    string
		program []unix.SockFilter
	}{{"libseccomp", linear}, {"table", reshaped(b, linear)}} {
		b.Run(r.name, func(b *testing.B) {
			var spent time.Duration
			for range b.N {
				spent += load(b, r.program)
			}
			b.ReportMetric(float64(len(r.program)), "instructions")
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/load")
		})
	}
}

// load loads a filter in a thread that ends with it.
func load(b *testing.B, program []unix.SockFilter) time.Duration {
	type result struct {
		took  time.Duration
		errno unix.Errno
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
		prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
		start := time.Now()
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
		done <- result{time.Since(start), errno}
	}()
	r := <-done
	if r.errno != 0 {
		b.Skipf("a filter cannot be loaded here: %v", r.errno)
	}
	return r.took
}
