package shim

import (
	"os"
	"strings"
	"testing"
)

// The tables of docs/shim.md are those of the code.
func TestTheDocumentHasTheTables(t *testing.T) {
	text, err := os.ReadFile("../docs/shim.md")
	if err != nil {
		t.Fatal(err)
	}
	var tables []map[state]map[event]state
	var columns []event
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[0] == `state \ event`:
			tables = append(tables, map[state]map[event]state{})
			columns = nil
			for _, c := range cells[1:] {
				columns = append(columns, event(index(t, eventNames[:], c)))
			}
		case columns == nil || !strings.HasPrefix(line, "|"):
			columns = nil
		case !strings.HasPrefix(cells[0], "-"):
			row := map[event]state{}
			for i, c := range cells[1:] {
				if c != "" {
					row[columns[i]] = state(index(t, stateNames[:], c))
				}
			}
			tables[len(tables)-1][state(index(t, stateNames[:], cells[0]))] = row
		}
	}
	if len(tables) != len(transitions) {
		t.Fatalf("%d tables in the document, %d in the code", len(tables), len(transitions))
	}
	for k, table := range transitions {
		for s := range stateNames {
			for e := range eventNames {
				code, inCode := table[state(s)][event(e)]
				doc, inDoc := tables[k][state(s)][event(e)]
				if inCode != inDoc || code != doc {
					t.Errorf("kind %d, %s in the state %s: the code says %v (%v), the document %v (%v)",
						k, event(e), state(s), code, inCode, doc, inDoc)
				}
			}
		}
	}
}

func index(t *testing.T, names []string, name string) int {
	t.Helper()
	for i, n := range names {
		if n == name {
			return i
		}
	}
	t.Fatalf("%q is none of %q", name, names)
	return -1
}
