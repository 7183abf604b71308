package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// hog takes 64 MiB, which is more than any limit here.
var hog = []string{"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"}

const smallMemory = 16 << 20

// Whoever runs a container in the foreground reads it in the log.
func TestRunSaysThatInitWasOOMKilled(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("others say nothing")
	needController(e, "memory")
	b := e.Bundle(harness.Args(hog...), memoryLimit(smallMemory))
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	if r.Code != 128+int(syscall.SIGKILL) || r.Signal != 0 {
		t.Errorf("want the exit code 137: %s", r)
	}
	harness.OneLine(t, r.Stderr, "container "+e.ID("c"), "init was killed for want of memory (the cgroup counted 1 OOM kill(s))")
}

// A container that was started in the background says in its state what has been killed in it. Whether
// that was init can be read until init is reaped; from then on it is an assumption, and said to be one.
func TestTheStateTellsOfAnOOM(t *testing.T) {
	for _, row := range []struct{ name, end, unreaped string }{
		{"of init", "exec " + strings.Join(hog, " "), "true"},
		{"of a child", strings.Join(hog, " ") + "; exit 0", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := harness.New(t)
			e.RunackOnly("others say nothing")
			needController(e, "memory")
			// It waits for a file, so that it is still running when it is looked at first.
			b := e.Bundle(harness.Shell("until test -e /go; do sleep 0.05; done; "+row.end),
				memoryLimit(smallMemory), harness.WritableRoot, annotate("own", "kept"))
			id, pidFile := e.ID("c"), e.Dir+"/pid"
			e.OK("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id)
			wantEqual(t, "annotations before", fmt.Sprint(stateOf(e, id).Annotations), "map[own:kept]")
			pid := e.ReadPid(pidFile)
			want := map[string]string{"own": "kept", "org.runack.oom.kills": "1"}
			harness.KeepingZombies(func() {
				e.Command("/bin/touch", b.Rootfs+"/go").OK()
				if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
					t.Fatal(err)
				}
				if row.unreaped != "" {
					want["org.runack.oom.killed"] = row.unreaped
				}
				wantEqual(t, "annotations of the unreaped", fmt.Sprint(stateOf(e, id).Annotations), fmt.Sprint(want))
			})
			e.WaitExit(pid)
			want["org.runack.oom.killed"] = "assumed"
			got := stateOf(e, id)
			wantEqual(t, "status", got.Status, "stopped")
			wantEqual(t, "annotations of the reaped", fmt.Sprint(got.Annotations), fmt.Sprint(want))
			e.OK("delete", id)
		})
	}
}

// An OOM kill of another process than init is counted, and is not taken for init's. The same is told
// by events, which end with the container.
func TestEventsTellOfAnOOM(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runc 1.1 has its own moment for the event")
	needController(e, "memory")
	id, pid := detached(e, memoryLimit(smallMemory))
	events := e.Runtime("events", "--interval", "100ms", id).Piped().Start()
	if first := nextEvent(e, events); first.Type != "stats" || first.ID != id {
		t.Errorf("the first event is %+v", first)
	}
	if r := e.Do(append([]string{"exec", id}, hog...)...); r.Code != 128+int(syscall.SIGKILL) || r.Signal != 0 {
		t.Errorf("want the exit code 137: %s", r)
	}
	for nextEvent(e, events).Type != "oom" {
	}
	got := stateOf(e, id)
	wantEqual(t, "status", got.Status, "running")
	wantEqual(t, "OOM kills", got.Annotations["org.runack.oom.kills"], "1")
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	if r := events.Wait(); r.Code != 0 || r.Stderr != "" {
		t.Errorf("events after the end of the container: %s", r)
	}
	e.OK("delete", id)
}

type event struct{ Type, ID string }

func nextEvent(e *harness.Env, events *harness.Proc) (out event) {
	e.T.Helper()
	if line := events.Line(); json.Unmarshal([]byte(line), &out) != nil {
		e.T.Fatalf("not an event: %s", line)
	}
	return out
}

// The kubelet has memory.oom.group=1: an OOM kills all that is in the container. The runtime is not
// in it, and neither is anything that shares memory with it. Every exec here takes a little of the
// memory that is left, until there is none; 1,000 in `make soak`.
func TestAnOOMOfTheGroupNeverCostsTheRuntimeItsLife(t *testing.T) {
	e := harness.New(t)
	if harness.CgroupVersion() != "v2" {
		t.Skip("memory.oom.group is of cgroup v2; the virtual machine has it")
	}
	needController(e, "memory")
	b := e.Bundle(harness.Shell("dd if=/dev/zero of=/dev/shm/full bs=1M count=6 2>/dev/null; echo ready; exec /bin/probe wait"),
		resources(func(r *specs.LinuxResources) {
			r.Unified = map[string]string{"memory.max": "8388608", "memory.swap.max": "0", "memory.oom.group": "1"}
		}))
	id, pidFile := e.ID("c"), e.Dir+"/pid"
	pid, outcomes := 0, map[int]int{}
	for i := range amount(1000, 100) {
		if pid == 0 {
			p := e.Runtime("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id).Piped().Start()
			p.Expect("ready")
			pid = e.ReadPid(pidFile)
		}
		r := e.Do("exec", id, "/bin/dd", "if=/dev/zero", fmt.Sprintf("of=/dev/shm/%d", i), "bs=4k", "count=24")
		if r.Signal != 0 {
			t.Fatalf("exec %d: the runtime was killed: %s", i, r)
		}
		outcomes[r.Code]++
		switch r.Code {
		case 0, 1: // dd has its own way to say that there is no memory
		case 128 + int(syscall.SIGKILL):
		case 255:
			wantContains(t, "the error", r.Stderr, "OOM kill(s)")
		default:
			t.Errorf("exec %d: %s", i, r)
		}
		if r.Code != 0 {
			e.WaitExit(pid)
			e.OK("delete", "-f", id)
			pid = 0
		}
	}
	t.Logf("exit codes of the execs: %v", outcomes)
	if outcomes[0] == 0 || len(outcomes) < 2 {
		t.Error("the container's memory was never near its limit")
	}
	e.OK("delete", "-f", id)
}
