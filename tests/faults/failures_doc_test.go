package faults

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/internal/act"
	"runack/nsexec"
)

const failuresPage = "../../docs/failures.md"

// generated begins what the page takes from the code's lists; all before it is written by hand.
const generated = "<!-- From here on: go test ./tests/faults -run TestFailuresPage -update -->\n"

// TestFailuresPage holds docs/failures.md to the lists of steps, frames and acts, and to what the
// walk passes.
func TestFailuresPage(t *testing.T) {
	page, err := os.ReadFile(failuresPage)
	if err != nil {
		t.Fatal(err)
	}
	byHand, _, found := strings.Cut(string(page), generated)
	if !found {
		t.Fatalf("%s: no line %s", failuresPage, generated)
	}
	var b strings.Builder
	b.WriteString(byHand + generated)
	verbs := verbsOf(readLines(t, pointsFile))
	stageTable(&b, verbs)
	frameTable(&b, listed(t), verbs)
	runtimeTable(&b, verbs)
	if *update {
		if err := os.WriteFile(failuresPage, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if b.String() != string(page) {
		t.Errorf("%s is not what the lists say; go test ./tests/faults -run TestFailuresPage -update writes it", failuresPage)
	}
}

// verbsOf gives the verbs that pass a point: create, start, exec and delete, and others only for
// what those do not pass.
func verbsOf(lines []string) map[string][]string {
	verbs, others := map[string][]string{}, map[string][]string{}
	for _, l := range lines {
		verb, name, _ := strings.Cut(l, "\t")
		switch verb {
		case "create", "start", "exec", "delete":
			verbs[name] = append(verbs[name], verb)
		case "run": // create and start
		default:
			others[name] = append(others[name], verb)
		}
	}
	for name, list := range others {
		if len(verbs[name]) == 0 {
			verbs[name] = list
		}
	}
	return verbs
}

func words(verbs []string, name string) string {
	if len(verbs) > 0 {
		return strings.Join(verbs, ", ")
	}
	if why := unreached[name]; why != "" {
		return "– (" + why + ")"
	}
	return "–"
}

func stageTable(w io.Writer, verbs map[string][]string) {
	_, _ = fmt.Fprint(w, "\n## Steps of the stage\n\n| code | in | a call that fails | a death there |\n|---|---|---|---|\n")
	for _, s := range nsexec.Steps() {
		side := handshake.Stage1
		if s.Code <= codeOf("clone stage-1") {
			side = handshake.Stage0
		}
		name := string(side) + ": " + s.Step
		if s.Step == "clean signals" {
			name = "hook: " + s.Step
		}
		in := verbs[name]
		if s.Step == "read frame" || s.Step == "write frame" {
			in = []string{"all conversations"}
		}
		failed := handshake.StageError{Side: side, Step: s.Step, Object: "OBJECT", Errno: unix.ENOSPC}
		death := nsexec.Death{Side: side, Step: s.Step, When: "while …", Status: new(unix.WaitStatus(unix.SIGKILL))}
		texts := []string{"`" + failed.Error() + "`", "`" + death.Error() + "`"}
		if s.Step == "clean signals" {
			texts = []string{fmt.Sprintf("`hook POINT[N] PATH: exit status %d`", s.Code), "`hook POINT[N] PATH: signal 9`"}
		}
		_, _ = fmt.Fprintf(w, "| %d | %s | %s | %s |\n", s.Code, words(in, name), texts[0], texts[1])
	}
}

func frameTable(w io.Writer, listed []string, verbs map[string][]string) {
	_, _ = fmt.Fprint(w, "\n## Frames\n\n| failpoint | in |\n|---|---|\n")
	for _, name := range listed {
		if (point{name: name}).frame() != "" {
			_, _ = fmt.Fprintf(w, "| `%s` | %s |\n", name, words(verbs[name], name))
		}
	}
}

func runtimeTable(w io.Writer, verbs map[string][]string) {
	_, _ = fmt.Fprint(w, "\n## Acts of the runtime\n\n| act | in | what it does | if the runtime dies there |\n|---|---|---|---|\n")
	for i, r := range act.All {
		_, _ = fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r.Act, words(verbs["runtime: "+string(r.Act)], "runtime: "+string(r.Act)), r.Does, leftBy(i, verbs["runtime: "+string(r.Act)]))
	}
}

// leftBy is what a runtime leaves that dies at an act.
func leftBy(i int, verbs []string) string {
	claim := slices.IndexFunc(act.All[:], func(r act.Row) bool { return r.Act == act.ClaimID })
	start := slices.IndexFunc(act.All[:], func(r act.Row) bool { return r.Act == act.StartSocket })
	end := slices.IndexFunc(act.All[:], func(r act.Row) bool { return r.Act == act.Kill })
	switch {
	case i < claim:
		return "nothing"
	case i >= end:
		return "what is not removed yet; `delete` again"
	case i >= start:
		return "the container, which goes on; `state` asks the stage or the program itself"
	case len(verbs) == 1 && verbs[0] == "exec":
		return "nothing: the stage dies with the runtime"
	}
	return "a container in state creating, then stopped once its stage has seen the end and left: `delete --force`"
}
