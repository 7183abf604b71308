package act

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestAllHasEveryAct: the walk over the failpoints goes by All.
func TestAllHasEveryAct(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "act.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed, names := map[string]bool{}, 0
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if typ, ok := n.Type.(*ast.Ident); ok && typ.Name == "Act" {
				names++
				listed[n.Names[0].Name] = listed[n.Names[0].Name] || false
			}
		case *ast.CompositeLit:
			if len(n.Elts) == 2 {
				if id, ok := n.Elts[0].(*ast.Ident); ok {
					listed[id.Name] = true
				}
			}
		}
		return true
	})
	if names == 0 || names != len(All) {
		t.Errorf("%d constants, %d rows", names, len(All))
	}
	for name, ok := range listed {
		if !ok {
			t.Errorf("%s is not in All", name)
		}
	}
	seen := map[Act]bool{}
	for _, r := range All {
		if seen[r.Act] || r.Does == "" {
			t.Errorf("%q stands twice or says nothing", r.Act)
		}
		seen[r.Act] = true
	}
}
