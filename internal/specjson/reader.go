package specjson

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Reader reads one JSON document from its front to its end. Its methods each read one value. Once it
// has given up, they return zero values, and Done says so.
//
// null leaves a value as it is, which is zero: a key that comes twice makes the reader give up.
type Reader struct {
	s   string // strings of the document are parts of it
	at  int
	bad bool
}

// NewReader makes a reader of a document.
func NewReader(data []byte) *Reader {
	r := &Reader{s: string(data)}
	if !utf8.ValidString(r.s) {
		r.GiveUp()
	}
	return r
}

// Done says whether the document was read whole, with nothing but white space left.
func (r *Reader) Done() bool { return !r.bad && r.next() == 0 && r.at == len(r.s) }

// GiveUp leaves the document to encoding/json.
func (r *Reader) GiveUp() { r.bad, r.at = true, len(r.s) }

// next is the first byte of the next token, 0 at the end.
func (r *Reader) next() byte {
	for ; r.at < len(r.s); r.at++ {
		switch c := r.s[r.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// skip moves past c, if that is the next token.
func (r *Reader) skip(c byte) bool {
	if r.next() != c {
		return false
	}
	r.at++
	return true
}

func (r *Reader) want(c byte) {
	if !r.skip(c) {
		r.GiveUp()
	}
}

// word moves past a literal name, if that comes next. What follows it is checked by whoever reads on.
func (r *Reader) word(w string) bool {
	r.next()
	if !strings.HasPrefix(r.s[r.at:], w) {
		return false
	}
	r.at += len(w)
	return true
}

// Null moves past a null, if that comes next.
func (r *Reader) Null() bool { return r.word("null") }

// An Object is an object that is being read.
type Object struct {
	Key  string // of the current field
	seen uint64 // fields that have come, by number
	some bool
}

// Field moves to the next field of the object and says whether there is one:
//
//	for o := (Object{}); r.Field(&o); {
//		switch o.Key {
//		case "name":
//			r.Once(&o, 0)
//			name = r.String()
//		default:
//			r.Unknown(&o, []string{"name"})
//		}
//	}
func (r *Reader) Field(o *Object) bool {
	if !o.some {
		if r.Null() {
			return false
		}
		r.want('{')
		if r.skip('}') {
			return false
		}
		o.some = true
	} else if !r.skip(',') {
		r.want('}')
		return false
	}
	o.Key = r.String()
	r.want(':')
	return !r.bad
}

// Once gives up where field n (below 64) of the object came before: encoding/json then merges the two
// values in ways of its own.
func (r *Reader) Once(o *Object, n uint) {
	if o.seen&(1<<n) != 0 {
		r.GiveUp()
	}
	o.seen |= 1 << n
}

// Unknown passes over the value of a field that is not known, and gives up where encoding/json would
// take it for a known one whose letters have another case.
func (r *Reader) Unknown(o *Object, known []string) {
	for _, k := range known {
		if strings.EqualFold(k, o.Key) {
			r.GiveUp()
		}
	}
	r.pass(maxDepth)
}

// maxDepth bounds the nesting of unknown values; encoding/json goes on to 10,000.
const maxDepth = 64

// pass moves past one value of any type.
func (r *Reader) pass(depth int) {
	if depth == 0 {
		r.GiveUp()
	}
	switch c := r.next(); {
	case c == '{':
		for o := (Object{}); r.Field(&o); {
			r.pass(depth - 1)
		}
	case c == '[':
		for first := true; r.Element(&first); {
			r.pass(depth - 1)
		}
	case c == '"':
		_ = r.String()
	case c == '-' || '0' <= c && c <= '9':
		if n := r.number(); !json.Valid([]byte(n)) {
			r.GiveUp()
		}
	case r.word("true"), r.word("false"), r.word("null"):
	default:
		r.GiveUp()
	}
}

// Element moves to the next element of an array and says whether there is one. first is true before
// the first call.
func (r *Reader) Element(first *bool) bool {
	if *first {
		*first = false
		r.want('[')
		return !r.skip(']') && !r.bad
	}
	if r.skip(',') {
		return !r.bad
	}
	r.want(']')
	return false
}

// String reads a string. What has an escape in it is left to encoding/json, whose first use for a
// string costs next to nothing.
func (r *Reader) String() string {
	if !r.skip('"') {
		r.GiveUp()
		return ""
	}
	start, escaped := r.at, false
	for ; r.at < len(r.s); r.at++ {
		switch c := r.s[r.at]; {
		case c == '"':
			r.at++
			if escaped {
				return r.unescape(r.s[start-1 : r.at])
			}
			return r.s[start : r.at-1]
		case c == '\\':
			escaped = true
			r.at++
		case c < ' ':
			r.GiveUp()
			return ""
		}
	}
	r.GiveUp()
	return ""
}

func (r *Reader) unescape(quoted string) string {
	var s string
	if err := json.Unmarshal([]byte(quoted), &s); err != nil {
		r.GiveUp()
	}
	return s
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	switch {
	case r.word("true"):
		return true
	case r.word("false"), r.Null():
	default:
		r.GiveUp()
	}
	return false
}

// number is the text of a number: everything up to what cannot be part of one.
func (r *Reader) number() string {
	r.next()
	start := r.at
	for r.at < len(r.s) && strings.IndexByte("+-.0123456789Ee", r.s[r.at]) >= 0 {
		r.at++
	}
	return r.s[start:r.at]
}

// plain says whether text is a whole number as JSON writes it: without a fraction or an exponent, which
// encoding/json refuses for integers, and without leading zeros, which it refuses everywhere.
func plain(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits == "0" || digits != "" && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

// Int reads a whole number of at most bits bits.
func (r *Reader) Int(bits int) int64 {
	if r.Null() {
		return 0
	}
	text := r.number()
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil || !plain(text) {
		r.GiveUp()
		return 0
	}
	return n
}

// Uint reads a number from 0 of at most bits bits.
func (r *Reader) Uint(bits int) uint64 {
	if r.Null() {
		return 0
	}
	text := r.number()
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil || !plain(text) {
		r.GiveUp()
		return 0
	}
	return n
}

// Text reads a string or null into any type of strings.
func Text[T ~string](r *Reader, v *T) {
	if !r.Null() {
		*v = T(r.String())
	}
}

// List reads an array or null, each element by read.
func List[T any](r *Reader, read func(*Reader, *T)) []T {
	if r.Null() {
		return nil
	}
	list := []T{}
	for first := true; r.Element(&first); {
		var zero T
		list = append(list, zero)
		read(r, &list[len(list)-1])
	}
	return list
}

// Pointer reads a value or null.
func Pointer[T any](r *Reader, read func(*Reader, *T)) *T {
	if r.Null() {
		return nil
	}
	v := new(T)
	read(r, v)
	return v
}

// Dict reads an object with any keys, or null. Of a key that comes twice the last value counts.
func Dict[T any](r *Reader, read func(*Reader, *T)) map[string]T {
	if r.Null() {
		return nil
	}
	m := map[string]T{}
	for o := (Object{}); r.Field(&o); {
		var v T
		read(r, &v)
		m[o.Key] = v
	}
	return m
}
