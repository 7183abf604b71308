package cgroupjoin

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func init() {
	roles["hog"] = func([]string) error {
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return err
		}
		var kept [][]byte
		for range 256 {
			kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
		}
		return os.WriteFile("/dev/null", kept[0], 0)
	}
}

// hog starts a process in c that takes 256 MiB when it is told to.
func hog(t testing.TB, c *Cgroup) (cmd *exec.Cmd, start func()) {
	t.Helper()
	cmd = role("hog")
	return cmd, onHold(t, c, cmd)
}

func memoryLimited(t testing.TB, bytes int64) *Cgroup {
	t.Helper()
	c := created(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &bytes, Swap: &bytes}})
	needController(t, c, "memory")
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOOMKills(t *testing.T) {
	c := memoryLimited(t, 32<<20)
	if kills, err := c.OOMKills(); kills != 0 || err != nil {
		t.Fatalf("OOMKills = %d, %v before anything ran", kills, err)
	}
	watch, err := c.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if oom, _, err := watch.Read(); oom || err != nil {
		t.Errorf("Read = %v, %v before anything ran", oom, err)
	}
	cmd, start := hog(t, c)
	start()
	if got := killedBy(ended(t, cmd)); got != unix.SIGKILL {
		t.Errorf("died of %v", got)
	}
	if kills, err := c.OOMKills(); kills != 1 || err != nil {
		t.Errorf("OOMKills = %d, %v; want 1", kills, err)
	}
	ready(t, watch)
	if oom, _, err := watch.Read(); !oom || err != nil {
		t.Errorf("Read = %v, %v after the kill", oom, err)
	}
	if oom, _, err := watch.Read(); oom || err != nil {
		t.Errorf("Read = %v, %v: the same kill twice", oom, err)
	}
}

// ready waits until the watch has something to say, and no longer than it should take.
func ready(t testing.TB, w *OOMWatch) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(w.FD()), Events: unix.POLLIN}}
	if err := pollUntil(fds, time.Now().Add(10*time.Second)); err != nil {
		t.Fatalf("the watch says nothing: %v", err)
	}
}

// The watch tells when there is nothing more to come, and init's end does in any case.
func TestWatchEnds(t *testing.T) {
	c := memoryLimited(t, 32<<20)
	cmd := member(t, c)
	pidfd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	watch, err := c.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var oom, gone bool
	for stopped := false; !stopped; {
		if stopped, err = watch.Wait(pidfd); err != nil {
			t.Fatal(err)
		}
		if oom, gone, err = watch.Read(); oom || err != nil {
			t.Fatalf("Read = %v, %v", oom, err)
		}
	}
	if c.Layout() != V2 {
		// Here it is the removal that is reported.
		if err := c.Destroy(); err != nil {
			t.Fatal(err)
		}
	}
	for !gone {
		ready(t, watch)
		if _, gone, err = watch.Read(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatchWaitStops(t *testing.T) {
	c := memoryLimited(t, 32<<20)
	watch, err := c.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if stopped, err := watch.Wait(int(r.Fd())); !stopped || err != nil {
		t.Errorf("Wait = %v, %v; want stopped", stopped, err)
	}
}

func TestOOMWithoutMemoryController(t *testing.T) {
	c := &Cgroup{}
	if kills, err := c.OOMKills(); kills != 0 || err != nil {
		t.Errorf("OOMKills = %d, %v", kills, err)
	}
	if _, err := c.WatchOOM(); err == nil {
		t.Error("WatchOOM without a memory controller")
	}
}

func init() {
	roles["fill"] = func([]string) error {
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return err
		}
		kept := bytes.Repeat([]byte{1}, 64<<20)
		if _, err := os.Stdout.WriteString("full\n"); err != nil {
			return err
		}
		_, err := os.Stdin.Read(kept[:1])
		return err
	}
}

// fillMemory starts a process that holds 64 MiB in c.
func fillMemory(t testing.TB, c *Cgroup) *exec.Cmd {
	t.Helper()
	cmd := role("fill")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	onHold(t, c, cmd)()
	if _, err := stdout.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return cmd
}
