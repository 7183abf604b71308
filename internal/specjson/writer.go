package specjson

import (
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// A Writer appends JSON to Buf. Commas come by themselves: before a key or an element that does not
// follow an opening bracket.
type Writer struct{ Buf []byte }

func (w *Writer) raw(s string) { w.Buf = append(w.Buf, s...) }

// Open begins an object.
func (w *Writer) Open() { w.Buf = append(w.Buf, '{') }

// Close ends an object.
func (w *Writer) Close() { w.Buf = append(w.Buf, '}') }

// Key begins a field. The name needs no escape.
func (w *Writer) Key(name string) {
	if n := len(w.Buf); n > 0 && w.Buf[n-1] != '{' {
		w.Buf = append(w.Buf, ',')
	}
	w.Buf = append(w.Buf, '"')
	w.Buf = append(w.Buf, name...)
	w.Buf = append(w.Buf, '"', ':')
}

// String appends a string.
func (w *Writer) String(s string) { w.Buf = AppendString(w.Buf, s) }

// Int appends a number.
func (w *Writer) Int(n int64) { w.Buf = strconv.AppendInt(w.Buf, n, 10) }

// Uint appends a number.
func (w *Writer) Uint(n uint64) { w.Buf = strconv.AppendUint(w.Buf, n, 10) }

// Bool appends true or false.
func (w *Writer) Bool(b bool) { w.Buf = strconv.AppendBool(w.Buf, b) }

// Null appends null.
func (w *Writer) Null() { w.raw("null") }

// The forms of a field that is left out where it is zero, as the tag omitempty says.

// OptString appends a field, unless it is empty.
func (w *Writer) OptString(name, s string) {
	if s != "" {
		w.Key(name)
		w.String(s)
	}
}

// OptTrue appends a field, unless it is false.
func (w *Writer) OptTrue(name string, b bool) {
	if b {
		w.Key(name)
		w.Bool(true)
	}
}

// OptStrings appends a field, unless the map is empty.
func (w *Writer) OptStrings(name string, m map[string]string) {
	if len(m) > 0 {
		w.Key(name)
		WriteDict(w, m, func(w *Writer, s *string) { w.String(*s) })
	}
}

// WriteList appends an array, or null for a nil slice.
func WriteList[T any](w *Writer, list []T, write func(*Writer, *T)) {
	if list == nil {
		w.Null()
		return
	}
	w.Buf = append(w.Buf, '[')
	for i := range list {
		if i > 0 {
			w.Buf = append(w.Buf, ',')
		}
		write(w, &list[i])
	}
	w.Buf = append(w.Buf, ']')
}

// WriteDict appends an object, its keys sorted, or null for a nil map.
func WriteDict[T any](w *Writer, m map[string]T, write func(*Writer, *T)) {
	if m == nil {
		w.Null()
		return
	}
	w.Open()
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			w.Buf = append(w.Buf, ',')
		}
		w.String(k)
		w.Buf = append(w.Buf, ':')
		v := m[k]
		write(w, &v)
	}
	w.Close()
}

// WritePointer appends a value, or null for nil.
func WritePointer[T any](w *Writer, v *T, write func(*Writer, *T)) {
	if v == nil {
		w.Null()
		return
	}
	write(w, v)
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string (RFC 8259): quotes, backslashes and control characters
// escaped. Bytes that are not UTF-8 become U+FFFD, as with encoding/json; a configuration has none.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		b = appendEscape(b, c)
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
