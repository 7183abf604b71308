package nsexec

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

const codesPage = "../docs/exit-codes.md"

// codeRow is a row of the page's table of stage codes: | 64 | words | op |, the op in backquotes
// where it is a step of a plan, and a dash where it is not.
var codeRow = regexp.MustCompile("(?m)^\\| (\\d+) \\| ([^|]+) \\| (?:`([^`]+)`|–) \\|$")

// TestCodesPage holds docs/exit-codes.md to the stage's own list.
func TestCodesPage(t *testing.T) {
	page, err := os.ReadFile(codesPage)
	if err != nil {
		t.Fatal(err)
	}
	var told []StepCode
	for _, m := range codeRow.FindAllStringSubmatch(string(page), -1) {
		code, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, StepCode{Code: code, Op: m[3], Step: m[2]})
	}
	want := Steps()
	if len(want) == 0 {
		t.Fatal("steps.def: no step read")
	}
	for _, s := range want {
		if !slices.Contains(told, s) {
			t.Errorf("%s: no row %s", codesPage, row(s))
		}
	}
	for _, s := range told {
		if !slices.Contains(want, s) {
			t.Errorf("%s: a row that steps.def does not have: %s", codesPage, row(s))
		}
	}
	if len(told) != len(want) {
		t.Errorf("%s: %d rows for %d steps", codesPage, len(told), len(want))
	}
}

func row(s StepCode) string {
	op := "–"
	if s.Op != "" {
		op = "`" + s.Op + "`"
	}
	return fmt.Sprintf("| %d | %s | %s |", s.Code, s.Step, op)
}
