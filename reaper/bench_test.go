package reaper

import (
	"fmt"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// live starts n children that wait for ever, watched by r. Their pidfds are the Reaper's alone. The
// caller ends them.
func live(b *testing.B, r *Reaper, n int) []int {
	b.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(n)+1000 {
		b.Skipf("skipped: RLIMIT_NOFILE %d is too small for %d pidfds", limit.Cur, n)
	}
	pids := make([]int, 0, n)
	for range n {
		s := r.Starting("")
		p := fork(b, "p", false)
		if err := s.Started(p.pidfd, p.pid); err != nil {
			b.Fatal(err)
		}
		p.close()
		pids = append(pids, p.pid)
	}
	return pids
}

// endAll kills children that are watched and alive, so that their numbers are theirs.
func endAll(b *testing.B, pids []int) {
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkExit is the cost of one exit among many live processes: the time from the kill until a
// subscriber has it, and the CPU time of this process. ns/op also holds the fork of the next.
func BenchmarkExit(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("live=%d", n), func(b *testing.B) {
			r := newReaper(b, Options{Subreaper: true})
			pids := live(b, r, n)
			defer endAll(b, pids)
			sub := r.Subscribe()
			defer sub.Close()
			var latency, cpu time.Duration
			for b.Loop() {
				s := r.Starting("")
				p := fork(b, "p", false)
				if err := s.Started(p.pidfd, p.pid); err != nil {
					b.Fatal(err)
				}
				begin, used := time.Now(), cpuTime(b)
				if err := p.kill(unix.SIGKILL); err != nil {
					b.Fatal(err)
				}
				if e, err := sub.Next(ctxForever); err != nil || e.Pid != p.pid {
					b.Fatalf("got %v, %v", e, err)
				}
				latency += time.Since(begin)
				cpu += cpuTime(b) - used
				p.close()
			}
			st := r.Stats()
			b.ReportMetric(float64(st.ScanTime.Nanoseconds())/float64(st.Scans), "ns/scan")
			b.ReportMetric(float64(st.Scans), "scans")
			b.ReportMetric(float64(latency.Nanoseconds())/float64(b.N), "latency-ns/exit")
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/exit")
		})
	}
}

// BenchmarkExits is a crowd's end: all die at once.
func BenchmarkExits(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("live=%d", n), func(b *testing.B) {
			r := newReaper(b, Options{Subreaper: true})
			sub := r.Subscribe()
			defer sub.Close()
			var took, cpu time.Duration
			for b.Loop() {
				pids := live(b, r, n)
				begin, used := time.Now(), cpuTime(b)
				endAll(b, pids)
				for range pids {
					if _, err := sub.Next(ctxForever); err != nil {
						b.Fatal(err)
					}
				}
				took += time.Since(begin)
				cpu += cpuTime(b) - used
			}
			exits := float64(b.N * n)
			b.ReportMetric(float64(took.Nanoseconds())/exits, "ns/exit")
			b.ReportMetric(float64(cpu.Nanoseconds())/exits, "cpu-ns/exit")
		})
	}
}

// BenchmarkOSExec is os/exec beside 1,000 watched processes: what our looking at its zombies costs.
func BenchmarkOSExec(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("reaper=%t", with), func(b *testing.B) {
			if with {
				pids := live(b, newReaper(b, Options{Subreaper: true}), 1000)
				defer endAll(b, pids)
			}
			used := cpuTime(b)
			for b.Loop() {
				if err := exec.Command(childPath, "r").Run(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkMemory reports the heap of a watched process and of an exit that nobody has read.
func BenchmarkMemory(b *testing.B) {
	const n = 5000
	for b.Loop() {
		r := newReaper(b, Options{})
		empty := heap()
		pids := live(b, r, n)
		watched := heap()
		sub := r.Subscribe()
		endAll(b, pids)
		waitUntil(b, "all are told", func() bool { return r.Stats().Watched == 0 })
		unread := heap()
		sub.Close()
		read := heap()
		b.ReportMetric(float64(watched-empty)/n, "B/watched")
		b.ReportMetric(float64(unread-read)/n, "B/unread-exit")
		runtime.KeepAlive(r)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
