package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// checkText refuses what cannot be a JSON document of a runtime, with better words than a parser's.
func checkText(data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return refuse("", "the file starts with a byte order mark (EF BB BF): remove it")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return refuse("", "the file is UTF-16: JSON must be UTF-8")
	}
	text := bytes.Trim(data, " \t\r\n")
	if len(text) == 0 {
		return refuse("", "the file holds nothing but white space")
	}
	if string(text) == "null" {
		return refuse("", "expected an object, got null")
	}
	if !utf8.Valid(data) {
		at := invalidUTF8(data)
		path, _ := locate(data, at)
		return refuse(path, "byte %#02x is not UTF-8 (%s)", data[at], position(data, at))
	}
	return nil
}

// invalidUTF8 is the offset of the first byte that is not UTF-8.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// explain turns an error of encoding/json into one that names the JSON path and the position.
func explain(data []byte, err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return explainSyntax(data, syntax)
	case errors.As(err, &mismatch):
		// The offset is that of the byte after the value, or after the bracket that opens it.
		path, start := locate(data, int(mismatch.Offset)-1)
		return &FieldError{
			Path:   path,
			Reason: fmt.Sprintf("expected %s, got %s (%s)", wanted(mismatch.Type), got(mismatch.Value), position(data, start)),
			Err:    err,
		}
	}
	return &FieldError{Reason: err.Error(), Err: err}
}

func explainSyntax(data []byte, err *json.SyntaxError) error {
	if cutShort(data, err) {
		path, _ := locate(data, len(data))
		return &FieldError{Path: path, Reason: fmt.Sprintf("the file ends in the middle of the document (%s)", position(data, len(data))), Err: err}
	}
	path, _ := locate(data, int(err.Offset)-1)
	return &FieldError{Path: path, Reason: fmt.Sprintf("%s (%s)", err.Error(), position(data, int(err.Offset)-1)), Err: err}
}

// cutShort tells whether the document only lacks its end. encoding/json has two answers to that: a
// sentence of its own, and, within a word or an escape, a complaint about the blank that it tries
// in place of the end.
func cutShort(data []byte, err *json.SyntaxError) bool {
	if err.Error() == "unexpected end of JSON input" {
		return true
	}
	last := len(data) - 1
	return int(err.Offset) == len(data) && strings.HasPrefix(err.Error(), "invalid character ' '") && data[last] != ' '
}

// position is where offset lies, for people and for tools.
func position(data []byte, offset int) string {
	offset = max(0, min(offset, len(data)))
	before := data[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d, byte %d", line, column, offset)
}

// got names the JSON value of an UnmarshalTypeError.
func got(value string) string {
	switch value {
	case "bool":
		return "true or false"
	case "object":
		return "an object"
	case "array":
		return "a list"
	case "string":
		return "a string"
	}
	return value // "number", "number -1"
}

// wanted names a Go type in JSON's terms.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<(t.Bits()-1)-1+uint64(1)<<(t.Bits()-1))
	}
	return "a " + t.String()
}

// A level is one object or list that is open at some offset of a document.
type level struct {
	object bool
	key    string // of an object: the key whose value is being read
	named  bool   // key is set
	wants  bool   // of an object: the next string is a key
	index  int    // of a list
}

// locate gives the JSON path of the value at offset, and where that value starts. It assumes that
// the document is valid up to there, and is right about valid documents alone; it serves messages.
func locate(data []byte, offset int) (path string, start int) {
	offset = max(0, min(offset, len(data)))
	var open []level
	start = offset
	for i := 0; i < offset; {
		end := tokenEnd(data, i, offset)
		if end == offset && !strings.ContainsRune("{}[],: \t\r\n", rune(data[i])) {
			start = i
		}
		open = follow(open, data[i:end])
		i = end
	}
	return render(open), start
}

// tokenEnd is where the token at i ends: a whole string or literal, or a single byte.
func tokenEnd(data []byte, i, limit int) int {
	switch c := data[i]; {
	case c == '"':
		for j := i + 1; j < limit; j++ {
			switch data[j] {
			case '\\':
				j++
			case '"':
				return j + 1
			}
		}
		return limit
	case literalByte(c):
		j := i
		for j < limit && literalByte(data[j]) {
			j++
		}
		return j
	}
	return i + 1
}

func literalByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// follow applies one token to the stack of open objects and lists.
func follow(open []level, token []byte) []level {
	top := len(open) - 1
	switch token[0] {
	case '{':
		return append(open, level{object: true, wants: true})
	case '[':
		return append(open, level{})
	case '}', ']':
		if top >= 0 {
			return open[:top]
		}
	case ',':
		if top >= 0 && open[top].object {
			open[top] = level{object: true, wants: true}
		} else if top >= 0 {
			open[top].index++
		}
	case '"':
		if top >= 0 && open[top].wants {
			key, whole := unquote(token)
			open[top] = level{object: true, key: key, named: whole}
		}
	}
	return open
}

// unquote reads a string, if it is a whole one.
func unquote(token []byte) (s string, whole bool) {
	err := json.Unmarshal(token, &s)
	return s, err == nil
}

// maxDepth is how much of a path is shown; the specification's own go half as deep.
const maxDepth = 16

func render(open []level) string {
	path := ""
	for depth, l := range open {
		if depth == maxDepth {
			return path + "..."
		}
		switch {
		case !l.object:
			path += "[" + strconv.Itoa(l.index) + "]"
		case l.named:
			path = member(path, l.key)
		}
	}
	return path
}

// member appends a key to a JSON path: with a dot where it is a plain word, quoted elsewhere.
func member(path, key string) string {
	if !plainKey(key) {
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func plainKey(key string) bool {
	for i := range len(key) {
		c := key[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return key != ""
}
