package bundle

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestParseRefuses has bytes in and the whole error out.
func TestParseRefuses(t *testing.T) {
	rows := []struct{ name, text, want string }{
		{"byte order mark", "\xef\xbb\xbf{}", "the file starts with a byte order mark (EF BB BF): remove it"},
		{"UTF-16 little", "\xff\xfe{\x00}\x00", "the file is UTF-16: JSON must be UTF-8"},
		{"UTF-16 big", "\xfe\xff\x00{\x00}", "the file is UTF-16: JSON must be UTF-8"},
		{"null", " null\n", "expected an object, got null"},
		{"list", "\n [1]", "expected an object, got a list (line 2, column 2, byte 2)"},
		{"string", `"x"`, "expected an object, got a string (line 1, column 1, byte 0)"},
		{"number", "12", "expected an object, got number (line 1, column 1, byte 0)"},
		{"true", "true", "expected an object, got true or false (line 1, column 1, byte 0)"},
		{"two documents", "{} {}", "invalid character '{' after top-level value (line 1, column 4, byte 3)"},
		{"rest of a longer file", `{"ociVersion":"1.0.0"}"}`, `invalid character '"' after top-level value (line 1, column 23, byte 22)`},
		{"not UTF-8", "{\"process\":{\"args\":[\"a\",\n\"\xff\"]}}", "process.args[1]: byte 0xff is not UTF-8 (line 2, column 2, byte 26)"},
		{"not UTF-8 in a key", "{\"a\xc3\":1}", "byte 0xc3 is not UTF-8 (line 1, column 4, byte 3)"},

		{"ends at once", "{", "the file ends in the middle of the document (line 1, column 2, byte 1)"},
		{"ends in a list", "{\n\"mounts\": [{}, {\"options\": [\"a\",", "mounts[1].options[1]: the file ends in the middle of the document (line 2, column 33, byte 34)"},
		{"ends in a string", `{"process":{"cwd":"/a`, "process.cwd: the file ends in the middle of the document (line 1, column 22, byte 21)"},
		{"ends in an escape", `{"process":{"cwd":"\`, "process.cwd: the file ends in the middle of the document (line 1, column 21, byte 20)"},
		{"ends in a key", `{"process":{"cwd":"/","ar`, "process: the file ends in the middle of the document (line 1, column 26, byte 25)"},
		{"ends in a word", `{"root":{"readonly":tr`, "root.readonly: the file ends in the middle of the document (line 1, column 23, byte 22)"},
		{"comma at the end", "{\"root\":{\"path\":\"x\",}}", "root: invalid character '}' looking for beginning of object key string (line 1, column 21, byte 20)"},
		{"comma at the end of a list", `{"mounts":[{},]}`, "mounts[1]: invalid character ']' looking for beginning of value (line 1, column 15, byte 14)"},
		{"comma missing", "{\"a\":1\n\"b\":2}", `a: invalid character '"' after object key:value pair (line 2, column 1, byte 7)`},
		{"comment", "{\n  // hello\n}", "invalid character '/' looking for beginning of object key string (line 2, column 3, byte 4)"},
		{"escape unknown", `{"hostname":"\x"}`, "hostname: invalid character 'x' in string escape code (line 1, column 15, byte 14)"},
		{"line inside a string", "{\"hostname\":\"a\nb\"}", "hostname: invalid character '\\n' in string literal (line 1, column 15, byte 14)"},
		{"column after wide letters", `{"hostname":"äö" x`, "hostname: invalid character 'x' after object key:value pair (line 1, column 18, byte 19)"},

		{"number for a string", `{"ociVersion": 1}`, "ociVersion: expected a string, got number (line 1, column 16, byte 15)"},
		{"string for a number", `{"process":{"user":{"uid":"root"}}}`, "process.user.uid: expected a whole number from 0 to 4294967295, got a string (line 1, column 27, byte 26)"},
		{"negative id", `{"process":{"user":{"uid": -1 }}}`, "process.user.uid: expected a whole number from 0 to 4294967295, got number -1 (line 1, column 28, byte 27)"},
		{"large id", `{"process":{"user":{"uid":4294967296}}}`, "process.user.uid: expected a whole number from 0 to 4294967295, got number 4294967296 (line 1, column 27, byte 26)"},
		{"large limit", `{"process":{"rlimits":[{},{"hard":18446744073709551616}]}}`, "process.rlimits[1].hard: expected a whole number from 0 to 18446744073709551615, got number 18446744073709551616 (line 1, column 35, byte 34)"},
		{"fraction", `{"process":{"oomScoreAdj":0.5}}`, "process.oomScoreAdj: expected a whole number of 64 bits, got number 0.5 (line 1, column 27, byte 26)"},
		{"list for a string", `{"process":{"cwd":["/"]}}`, "process.cwd: expected a string, got a list (line 1, column 19, byte 18)"},
		{"string for a list", `{"process":{"args":"sh"}}`, "process.args: expected a list, got a string (line 1, column 20, byte 19)"},
		{"object for a list", `{"process":{"args":{"0":"sh"}}}`, "process.args: expected a list, got an object (line 1, column 20, byte 19)"},
		{"list for an object", `{"linux":[]}`, "linux: expected an object, got a list (line 1, column 10, byte 9)"},
		{"string for a switch", `{"process":{"terminal":"yes"}}`, "process.terminal: expected true or false, got a string (line 1, column 24, byte 23)"},
		{"number in a list", `{"process":{"args":["a", "b" , 5 ]}}`, "process.args[2]: expected a string, got number (line 1, column 32, byte 31)"},
		{"number in a map", `{"linux":{"sysctl":{"net.ipv4.ip_forward": 1}}}`, `linux.sysctl["net.ipv4.ip_forward"]: expected a string, got number (line 1, column 44, byte 43)`},
		{"deep in a list of objects", "{\"mounts\":[{\"destination\":\"/\"},\n  {\"options\":[\"ro\",null,[\"rw\"]]}]}", "mounts[1].options[2]: expected a string, got a list (line 2, column 25, byte 56)"},
		{"after a quote in a key", `{"annotations":{"a\"b]}{":"x","c":2}}`, "annotations.c: expected a string, got number (line 1, column 35, byte 34)"},
		{"pointer", `{"linux":{"resources":{"memory":{"limit":"1g"}}}}`, "linux.resources.memory.limit: expected a whole number of 64 bits, got a string (line 1, column 42, byte 41)"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			_, err := Parse([]byte(r.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Error() != r.want {
				t.Errorf("got  %s\nwant %s", err, r.want)
			}
			checkWords(t, err)
		})
	}
}

// TestParseAccepts has what is unusual, and good.
func TestParseAccepts(t *testing.T) {
	for _, r := range []struct{ name, text string }{
		{"unknown properties", `{"x":{"y":[1,2]},"ociVersion":"1.0.0","process":{"z":null}}`},
		{"white space around", "\r\n\t {} \n\n"},
		{"nulls", `{"process":null,"mounts":null,"linux":null}`},
		{"escapes", `{"hostname":"\u00e4\ud83d\ude00"}`},
		{"numbers with an exponent where nobody reads", `{"x":1e400}`},
	} {
		t.Run(r.name, func(t *testing.T) {
			if _, err := Parse([]byte(r.text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTruncated cuts a configuration at every byte: no cut may be accepted, and every error names a
// position.
func TestTruncated(t *testing.T) {
	whole := marshal(t, DefaultSpec())
	for i := range whole {
		_, err := Parse(whole[:i])
		if err == nil {
			t.Fatalf("%d of %d bytes are accepted", i, len(whole))
		}
		var syntax *json.SyntaxError
		if i > 0 && (!errors.As(err, &syntax) || !strings.Contains(err.Error(), "ends in the middle of the document")) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
}

// TestLocate finds every value of a document by its offset.
func TestLocate(t *testing.T) {
	const text = `{"a":[1,{"b c":"x,]}"},[]],"d":{"e":true}, "f":"\"" }`
	for _, r := range []struct {
		value, path string
	}{
		{`[1`, "a"}, {`1`, "a[0]"}, {`{"b`, "a[1]"}, {`"x`, `a[1]["b c"]`}, {`[]]`, "a[2]"}, {`{"e`, "d"}, {`true`, "d.e"}, {`"\""`, "f"},
	} {
		at := strings.Index(text, r.value)
		if path, start := locate([]byte(text), at); path != r.path || start != at {
			t.Errorf("%s: got %s at %d, want %s at %d", r.value, path, start, r.path, at)
		}
	}
}
