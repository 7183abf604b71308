package handshake

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write order.def from the Go tables")

// cName makes a C identifier of a side.
func cName(s Side) string { return strings.ReplaceAll(string(s), "-", "") }

// orderDef renders the Go tables as order.def.
func orderDef() string {
	var b strings.Builder
	b.WriteString(`/*
 * What both ends of the sync socket must agree on, for the C stage. Made from the tables of package
 * handshake by "go test ./handshake -update"; a test fails when the two differ.
 *
 * Before including it, define any of (the others are left out):
 *	PROTOCOL_LIMIT(name, value)
 *	PROTOCOL_SIDE(symbol, text)
 *	PROTOCOL_STATE(symbol)
 *	PROTOCOL_MESSAGE(symbol, descriptors at least, at most)   the symbol is the text
 *	PROTOCOL_ROW(protocol, state, side, message, next state)
 *	PROTOCOL_KIND(symbol, text)   kinds of errors, in the order in which a reader looks for them
 * They are undefined at the end.
 */
`)
	params := map[string]string{"LIMIT": "name, value", "SIDE": "symbol, text", "STATE": "symbol",
		"MESSAGE": "symbol, minimum, maximum", "ROW": "protocol, state, side, message, next", "KIND": "symbol, text"}
	names := []string{"LIMIT", "SIDE", "STATE", "MESSAGE", "ROW", "KIND"}
	for _, n := range names {
		fmt.Fprintf(&b, "#ifndef PROTOCOL_%s\n#define PROTOCOL_%s(%s)\n#endif\n", n, n, params[n])
	}
	b.WriteString("\n")
	for _, l := range []struct {
		name  string
		value int
	}{{"version", Version}, {"header_size", HeaderSize}, {"max_payload", MaxPayload},
		{"max_descriptors", MaxDescriptors}, {"max_depth", MaxDepth}} {
		fmt.Fprintf(&b, "PROTOCOL_LIMIT(%s, %d)\n", l.name, l.value)
	}
	b.WriteString("\n")
	for _, s := range sides {
		fmt.Fprintf(&b, "PROTOCOL_SIDE(%s, %q)\n", cName(s), s)
	}
	b.WriteString("\n")
	for _, s := range states {
		fmt.Fprintf(&b, "PROTOCOL_STATE(%s)\n", s)
	}
	b.WriteString("\n")
	for _, m := range messages {
		fmt.Fprintf(&b, "PROTOCOL_MESSAGE(%s, %d, %d)\n", m.typ, m.minimum, m.maximum)
	}
	b.WriteString("\n")
	for i, r := range rows {
		if i > 0 && rows[i-1].protocol != r.protocol {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "PROTOCOL_ROW(%s, %s, %s, %s, %s)\n", r.protocol, r.state, cName(r.side), r.typ, r.next)
	}
	b.WriteString("\n")
	for _, k := range kindTexts {
		fmt.Fprintf(&b, "PROTOCOL_KIND(%s, %q)\n", string(k.kind), k.text)
	}
	b.WriteString("\n")
	for _, n := range names {
		fmt.Fprintf(&b, "#undef PROTOCOL_%s\n", n)
	}
	return b.String()
}

func TestOrderDefAgrees(t *testing.T) {
	want := orderDef()
	if *update {
		if err := os.WriteFile("order.def", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("order.def")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatal("order.def differs from the Go tables: run go test ./handshake -run TestOrderDefAgrees -update")
	}
}
