package handshake

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// PROTOCOL.md repeats the tables in words and pictures; here it is held to them.

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	must(t, err)
	return string(text)
}

// section returns the page from one heading to the next.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(page(t), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

func TestPageNumbers(t *testing.T) {
	text := section(t, "Frame")
	for _, want := range []string{fmt.Sprintf("1 to %d |", MaxPayload), fmt.Sprintf("0 to %d;", MaxDescriptors),
		"`" + hexBytes(magic[:3]) + "`", fmt.Sprintf("version: `%02x`", Version), fmt.Sprintf("at most %d levels", MaxDepth)} {
		if !strings.Contains(text, want) {
			t.Errorf("the section on frames lacks %q", want)
		}
	}
}

// Each message of the table has its row, with its writers and its number of descriptors.
func TestPageMessages(t *testing.T) {
	text := section(t, "Messages")
	for _, m := range messages {
		from := map[Side]bool{}
		for _, r := range rows {
			if r.typ == m.typ {
				from[r.side] = true
			}
		}
		var writers []string
		for _, s := range sides {
			if from[s] {
				writers = append(writers, string(s))
			}
		}
		count := fmt.Sprint(m.minimum)
		if m.maximum > m.minimum {
			count = fmt.Sprintf("%d to %d", m.minimum, m.maximum)
		}
		row := fmt.Sprintf(`(?m)^\| %s \| %s \| %s( \||: )`, m.typ, strings.Join(writers, ", "), count)
		if !regexp.MustCompile(row).MatchString(text) {
			t.Errorf("no row matches %s", row)
		}
	}
	if n := strings.Count(text, "\n| "); n != len(messages)+1 {
		t.Errorf("%d rows for %d messages", n-1, len(messages))
	}
}

func TestPageKinds(t *testing.T) {
	text := section(t, "Errors")
	for _, k := range kindTexts {
		if !regexp.MustCompile(`(?m)^\|.*\b` + string(k.kind) + `\b.*\|.*\|$`).MatchString(text) {
			t.Errorf("no row for %s", string(k.kind))
		}
	}
}

// diagram returns the lines of one column of the picture of the order.
func diagram(t *testing.T, p Protocol) (lines []string) {
	t.Helper()
	column := -1
	for _, line := range strings.Split(section(t, "Order"), "\n") {
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		if column < 0 {
			column = strings.Index(line, p.String()+" ")
			column += len(line[column:]) - len(strings.TrimLeft(line[column+len(p.String()):], " "))
		}
		if len(line) <= column {
			continue
		}
		cell, _, _ := strings.Cut(line[column:], "  ")
		lines = append(lines, strings.TrimSpace(cell))
	}
	return lines
}

// The picture of the order, followed line by line with and without what stands in brackets, is a
// way through the table from its begin to an end, and takes in every message of the protocol.
func TestPageOrder(t *testing.T) {
	for _, p := range []Protocol{CreateProtocol, StartProtocol, ExecProtocol} {
		used := map[Type]bool{Error: true}
		for _, optional := range []bool{false, true} {
			state := Begun
			for _, line := range diagram(t, p) {
				side, rest, _ := strings.Cut(line, ": ")
				inBrackets := strings.HasPrefix(rest, "[")
				word, _, _ := strings.Cut(strings.Trim(rest, "[]"), " ")
				typ := Type(strings.TrimSuffix(word, ","))
				if inBrackets && !optional || typ == "end" || typ == "" {
					continue
				}
				r, kind := allowed(p, state, Side(side), typ)
				if r == nil {
					t.Fatalf("%s: in state %s the table has no %q (%s)", p, state, line, string(kind))
				}
				if fds := messages[messageIndex(typ)]; fds.minimum > 0 && !strings.Contains(rest, "+") {
					t.Errorf("%s: %q does not show its descriptor", p, line)
				}
				used[typ] = true
				state = r.next
			}
			if state != Waiting && state != Committed && state != Supervised {
				t.Errorf("%s: the picture ends in state %s", p, state)
			}
		}
		for _, r := range rows {
			if r.protocol == p && !used[r.typ] {
				t.Errorf("%s: the picture lacks %s", p, r.typ)
			}
		}
	}
}

// The table itself: every state can be reached and left, but for the ends; nothing leaves an end;
// wherever a stage may speak it may fail.
func TestOrderIsSound(t *testing.T) {
	for _, p := range []Protocol{CreateProtocol, StartProtocol, ExecProtocol} {
		reached := map[State]bool{Begun: true}
		leaves := map[State]bool{}
		fails := map[State]bool{}
		for _, r := range rows {
			if r.protocol != p {
				continue
			}
			if !reached[r.state] {
				t.Errorf("%s: %s comes before it is reached", p, r.state)
			}
			reached[r.next] = true
			leaves[r.state] = true
			fails[r.state] = fails[r.state] || r.side != Runtime && r.typ == Error
			if (r.typ == Error) != (r.next == Failed) {
				t.Errorf("%s: row %+v", p, r)
			}
		}
		for s := range reached {
			end := s == Waiting || s == Failed
			if leaves[s] == end {
				t.Errorf("%s: state %s: an end is %v, can be left is %v", p, s, end, leaves[s])
			}
			if leaves[s] && speaker(p, s) != Runtime && !fails[s] {
				t.Errorf("%s: nobody may fail in %s", p, s)
			}
		}
	}
}
