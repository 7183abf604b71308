package stagewire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// strict are the reasons for which the stage refuses what RFC 8259 allows or leaves open.
var strict = []string{"NUL in a string", "lone surrogate", "invalid UTF-8", "nested too deeply"}

// decode is encoding/json, keeping numbers as they are written.
func decode(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// compareJSON asks both languages about one text: what C accepts is JSON and means the same in Go;
// what it refuses is no JSON, or falls to a rule of PROTOCOL.md.
func compareJSON(t *testing.T, s *server, data []byte) {
	t.Helper()
	answer := s.ask(t, 'j', data)
	valid := json.Valid(data)
	if why, refused := refusal(answer); refused {
		if valid && !slices.Contains(strict, why) {
			t.Fatalf("C refuses %q: %s", data, why)
		}
		return
	}
	if !valid || !utf8.Valid(data) {
		t.Fatalf("C accepts %q as %s", data, answer)
	}
	want, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode([]byte(answer))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%q is %#v in Go and %#v in C (%s), %v", data, want, got, answer, err)
	}
}

// texts returns the payloads of all vectors.
func texts(t testing.TB) (all [][]byte) {
	t.Helper()
	for _, file := range vectorFiles(t, "*.txt") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var raw []byte
		add := func() {
			if len(raw) > 0 {
				all = append(all, raw)
			}
			raw = nil
		}
		for line := range strings.Lines(string(text)) {
			word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			switch {
			case word == "vector":
				add()
			case word == "text":
				raw = append(raw, rest...)
			case word == "hex" && len(raw) > 0:
				b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
				if err != nil {
					t.Fatal(err)
				}
				raw = append(raw, b...)
			}
		}
		add()
	}
	return all
}

var awkward = []string{
	``, ` `, `null`, `true`, `false`, `tru`, `nul`, `truex`, `0`, `-0`, `-`, `1.`, `1.5e+10`, `1e400`, `0e0`, `00`, `-01`, `1E-2`, `.1`,
	`""`, `"\u0041\n\t\b\f\r\/\\\""`, `"\ud83d\udc0b"`, `"\uD83D\uDC0B"`, `"\ud83d"`, `"\udc0b"`, `"\ud83d\u0041"`, `"\ud83dx"`, `"\u0000"`, `"\u00"`, `"\uzzzz"`, `"\x"`, `"`, `"\`,
	"\"\x7f\"", "\"\x1f\"", "\"\x00\"", "\"\xc3\xa9\"", "\"\xc3\"", "\"\xe2\x82\xac\"", "\"\xe2\x82\"", "\"\xf0\x9f\x90\x8b\"", "\"\xf0\x9f\x90\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\"\xff\"", "\xef\xbb\xbf{}",
	`[]`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[[[]]]`, `[`, `]`, `[}`, `{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{1:1}`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"":{"":[{}]}}`, `{`, `}`, `[[[[I`, `{"a":1}}`, `{} {}`, `1 2`,
	"\t\r\n {\t\"a\"\r:\n[ 1 , 2 ] } ", "\v{}", "\u00a0{}", "/**/{}", "{}//",
}

func TestJSONAgrees(t *testing.T) {
	s := serve(t, "gcc")
	for _, text := range awkward {
		compareJSON(t, s, []byte(text))
	}
	for _, text := range texts(t) {
		compareJSON(t, s, text)
	}
	for depth := range 40 {
		text := strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth)
		compareJSON(t, s, []byte(text))
		if _, refused := refusal(s.ask(t, 'j', []byte(text))); refused != (depth > 16) {
			t.Errorf("%d levels: refused is %v", depth, refused)
		}
	}
}

// Every prefix of every text, and every text with one byte changed: no byte beyond the end is ever
// read (the sanitizer watches), and both languages stay of one mind.
func TestJSONAgreesOnMutations(t *testing.T) {
	s := serve(t, "gcc")
	for _, text := range append(texts(t), []byte(strings.Join(awkward, ","))) {
		if len(text) > 400 {
			text = text[:400]
		}
		for i := range text {
			compareJSON(t, s, text[:i])
			for _, b := range []byte{0, '"', '\\', '{', '}', 'x', 0x80, 0xff} {
				changed := bytes.Clone(text)
				changed[i] = b
				compareJSON(t, s, changed)
			}
		}
	}
}

// All code points come through, in UTF-8 and as escapes.
func TestJSONAgreesOnEveryCodePoint(t *testing.T) {
	s := serve(t, "gcc")
	for base := rune(0); base <= utf8.MaxRune; base += 256 {
		var raw, escaped strings.Builder
		for r := base; r < base+256; r++ {
			if r == 0 || !utf8.ValidRune(r) {
				continue
			}
			if r >= 0x20 && r != '"' && r != '\\' {
				raw.WriteRune(r)
			}
			if r < 0x10000 {
				escaped.WriteString(`\u` + hex4(r))
			} else {
				escaped.WriteString(`\u` + hex4(0xd800+(r-0x10000)>>10) + `\u` + hex4(0xdc00+(r-0x10000)&0x3ff))
			}
		}
		for _, text := range []string{raw.String(), escaped.String()} {
			data := []byte(`"` + text + `"`)
			compareJSON(t, s, data)
			if why, refused := refusal(s.ask(t, 'j', data)); refused {
				t.Fatalf("from U+%04X: %s", base, why)
			}
		}
	}
}

func hex4(r rune) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", 4-len(s)) + s
}

// Numbers: what fits is the same number as strconv's, what does not is ERANGE, what is not an
// integer is EBADMSG.
func TestIntegersAgree(t *testing.T) {
	s := serve(t, "gcc")
	for _, text := range []string{
		"0", "-0", "1", "-1", "10", "2147483647", "2147483648", "4294967295", "4294967296",
		"9223372036854775806", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"18446744073709551614", "18446744073709551615", "18446744073709551616", "18446744073709551620", "99999999999999999999", "1e3", "1.0", "0.5", "-1.5", "1E0",
		"340282366920938463463374607431768211456", "-340282366920938463463374607431768211456", strings.Repeat("9", 1000),
	} {
		i, u := "EBADMSG", "EBADMSG"
		if !strings.ContainsAny(text, ".eE") {
			i, u = "ERANGE", "ERANGE"
			if v, err := strconv.ParseInt(text, 10, 64); err == nil {
				i = strconv.FormatInt(v, 10)
			}
			if v, err := strconv.ParseUint(text, 10, 64); err == nil {
				u = strconv.FormatUint(v, 10)
			}
		} else if strings.HasPrefix(text, "-") {
			u = "ERANGE" // the sign is seen first
		}
		if got := s.ask(t, 'i', []byte(text)); got != i+" "+u {
			t.Errorf("%s: got %s, expected %s %s", text, got, i, u)
		}
	}
}

// FuzzJSON feeds the same bytes to the stage's JSON reader and to encoding/json.
func FuzzJSON(f *testing.F) {
	for _, text := range awkward {
		f.Add([]byte(text))
	}
	for _, text := range texts(f) {
		f.Add(text)
	}
	s := serve(f, "gcc")
	f.Fuzz(func(t *testing.T, data []byte) { compareJSON(t, s, data) })
}
