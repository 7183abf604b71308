package integration

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// resources edits linux.resources.
func resources(edit func(*specs.LinuxResources)) harness.Edit {
	return func(s *spec) {
		if s.Linux.Resources == nil {
			s.Linux.Resources = &specs.LinuxResources{}
		}
		edit(s.Linux.Resources)
	}
}

func pidsLimit(limit int64) harness.Edit {
	return resources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: &limit} })
}

func needController(e *harness.Env, name string) {
	e.T.Helper()
	if !harness.HasController(name) {
		e.T.Skipf("no %s controller in this view (%s) of the cgroups", name, harness.CgroupVersion())
	}
}

// again is amount for what the views of one host have in common: only the first of them does all.
func again(soak, short int) int {
	if os.Getenv("RUNACK_VIEW") != "" && !harness.Soak() {
		short = max(short/5, 2)
	}
	return amount(soak, short)
}

// execsPerRow is how many execs each row of the table below has: in `make soak`, where another view of
// the same host has them all, and otherwise, on an emulated machine too, which alone has v2's pids.
func execsPerRow() int {
	switch {
	case harness.Soak():
		return 500
	case os.Getenv("RUNACK_VIEW") != "":
		return 10
	}
	return 50
}

// Garden's flake, the story that this project starts from: an exec into a container with a small
// limit of pids must come to the same end every time. Here with every limit from 1 to 20, one after
// the other and 8 at a time.
func TestExecAtEveryPidsLimit(t *testing.T) {
	atEveryPidsLimit(t, pidsExecs{})
}

// With the annotation an exec is refused, in words, where no slot is free, and only there.
func TestStrictExecAtEveryPidsLimit(t *testing.T) {
	atEveryPidsLimit(t, pidsExecs{strict: true}, annotate("org.runack.exec.pids", "strict"))
}

func atEveryPidsLimit(t *testing.T, x pidsExecs, edits ...harness.Edit) {
	e := harness.New(t)
	if x.strict {
		e.RunackOnly("the annotation is runack's own")
	}
	needController(e, "pids")
	cgroup := e.Cgroup("c")
	id, pid := detached(e, append(edits, pidsLimit(1), harness.CgroupsPath(cgroup))...)
	for x.limit = 1; x.limit <= 20; x.limit++ {
		e.OK("update", "--pids-limit", fmt.Sprint(x.limit), id)
		for _, width := range []int{1, 8} {
			t.Run(fmt.Sprintf("limit %d, %d at a time", x.limit, width), func(t *testing.T) {
				x.e, x.id = e.On(t), id
				x.run(t, width)
				if x.strict {
					wantPeakWithin(x.e, cgroup, x.limit)
				}
			})
		}
		wantInitAlone(e, id, pid, cgroup)
	}
	remove(e, id)
}

// pidsExecs are execs into a container with a limit of pids whose init is alone.
type pidsExecs struct {
	e      *harness.Env
	id     string
	limit  int64
	strict bool
}

// run has width execs at a time.
func (x pidsExecs) run(t *testing.T, width int) {
	admitted, refused := 0, 0
	results := make(chan harness.Result, 1000)
	parallel(t, width, execsPerRow(), func(int) error {
		r, err := x.e.Runtime("exec", x.id, "/bin/true").Try()
		if err == nil {
			results <- r
		}
		return err
	})
	close(results)
	for r := range results {
		switch {
		case r.Code == 0 && r.Stdout == "" && r.Stderr == "":
			admitted++
		case x.strict && x.isRefusal(r):
			refused++
		default:
			t.Errorf("neither admitted nor refused in words: %s", r)
		}
	}
	free := int(x.limit) - 1
	switch {
	case !x.strict || free >= width:
		if refused > 0 {
			t.Errorf("%d refused where a slot was free", refused)
		}
	case free == 0 && admitted > 0:
		t.Errorf("%d admitted where no slot was free", admitted)
	case free > 0 && admitted < free:
		t.Errorf("%d admitted into %d free slots", admitted, free)
	}
}

var refusal = regexp.MustCompile(`pids limit reached \((\d+) of (\d+) in use\)"\n$`)

func (x pidsExecs) isRefusal(r harness.Result) bool {
	m := refusal.FindStringSubmatch(r.Stderr)
	limit := fmt.Sprint(x.limit)
	return r.Code == 255 && r.Signal == 0 && m != nil && m[1] == limit && m[2] == limit && strings.Count(r.Stderr, "\n") == 1
}

// wantPeakWithin: the kernel has never counted more than the limit, the highest so far.
func wantPeakWithin(e *harness.Env, cgroup string, limit int64) {
	e.T.Helper()
	file := harness.ControlFile("pids", cgroup, "pids.peak", "pids.peak")
	if _, err := os.Stat(file); err != nil {
		return // before Linux 6.6
	}
	peak, err := strconv.ParseInt(strings.TrimSpace(e.Read(file)), 10, 64)
	if err != nil || peak > limit {
		e.T.Errorf("%s: %d, %v; the limit is %d", file, peak, err, limit)
	}
}

// wantInitAlone: nothing that the execs started is left, in the container or in the kernel's count.
func wantInitAlone(e *harness.Env, id string, pid int, cgroup string) {
	e.T.Helper()
	wantEqual(e.T, "pids of the container", e.OK("ps", "-f", "json", id), fmt.Sprintf("[%d]\n", pid))
	current := harness.ControlFile("pids", cgroup, "pids.current", "pids.current")
	wantEqual(e.T, current, e.Read(current), "1\n")
}
