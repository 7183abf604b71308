package handshake

import (
	"strconv"
	"unicode/utf8"
)

// A scanner walks over JSON text without building anything. It is stricter than RFC 8259 where the
// C side needs it: no NUL in strings, no lone surrogates, valid UTF-8 alone, bounded depth, no key
// twice in one object.
type scanner struct {
	data  []byte
	pos   int
	depth int
}

// An envelope is a payload taken apart.
type envelope struct {
	typ, from string
	seq       uint32
	fds       int
	body      []byte
}

// Bits for the keys of an envelope that have been seen.
const (
	seenType = 1 << iota
	seenFrom
	seenSeq
	seenFDs
	seenBody
)

// parseEnvelope checks the whole payload and takes its envelope apart. The body is a part of p.
func parseEnvelope(p []byte) (e envelope, f *fault) {
	s := scanner{data: p}
	s.space()
	if s.peek() != '{' {
		return e, s.otherThan("one JSON object", KindNotObject)
	}
	seen := 0
	f = s.object(func(key []byte) *fault {
		bit, f := e.field(&s, key)
		seen |= bit
		return f
	})
	if f != nil {
		return e, f
	}
	if s.space(); s.pos < len(p) {
		return e, &fault{KindNotObject, "one JSON object and nothing behind it", s.here()}
	}
	for _, k := range [...]struct {
		bit  int
		name string
	}{{seenType, "type"}, {seenFrom, "from"}, {seenSeq, "seq"}} {
		if seen&k.bit == 0 {
			return e, &fault{KindMissingKey, k.name, ""}
		}
	}
	return e, nil
}

// field reads the value of one key of the envelope.
func (e *envelope) field(s *scanner, key []byte) (seen int, f *fault) {
	switch string(key) {
	case "type":
		e.typ, f = s.stringValue("type")
		return seenType, f
	case "from":
		e.from, f = s.stringValue("from")
		return seenFrom, f
	case "seq":
		var n uint64
		n, f = s.uintValue("seq", 1<<32-1)
		e.seq = uint32(n)
		return seenSeq, f
	case "fds":
		var n uint64
		n, f = s.uintValue("fds", 1<<32-1)
		e.fds = int(n)
		return seenFDs, f
	case "body":
		if s.peek() != '{' {
			return 0, s.mistyped("body", "an object")
		}
		start := s.pos
		f = s.value()
		e.body = s.data[start:s.pos]
		return seenBody, f
	}
	return 0, &fault{KindUnknownKey, "type, from, seq, fds or body", quote(key)}
}

func (s *scanner) syntax(want string) *fault { return &fault{KindSyntax, want, s.here()} }

func (s *scanner) mistyped(key, want string) *fault {
	return s.otherThan(key+" to be "+want, KindMistyped)
}

// otherThan is the fault of a place where a value of another type begins, or none at all.
func (s *scanner) otherThan(want string, kind Kind) *fault {
	switch s.peek() {
	case '{', '[', '"', 't', 'f', 'n', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return &fault{kind, want, s.here()}
	}
	return s.syntax("a value")
}

// here describes the place in the text for an error.
func (s *scanner) here() string {
	if s.pos >= len(s.data) {
		return "the end at byte " + strconv.Itoa(len(s.data))
	}
	return quote(s.data[s.pos:min(s.pos+16, len(s.data))]) + " at byte " + strconv.Itoa(s.pos)
}

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) enter() *fault {
	if s.depth++; s.depth > MaxDepth {
		return &fault{KindDepth, "at most " + strconv.Itoa(MaxDepth) + " levels", s.here()}
	}
	s.pos++
	s.space()
	return nil
}

func (s *scanner) leave() {
	s.pos++
	s.depth--
}

// object walks over an object. each is called with every key, unescaped, at its value, and leaves
// the scanner behind that value; nil skips the values.
func (s *scanner) object(each func(key []byte) *fault) *fault {
	if s.peek() != '{' {
		return s.mistyped("the value", "an object")
	}
	if f := s.enter(); f != nil {
		return f
	}
	if s.peek() == '}' {
		s.leave()
		return nil
	}
	var keys keySet
	for {
		key, f := s.key()
		if f != nil {
			return f
		}
		if !keys.add(key) {
			return &fault{KindDuplicateKey, "each key once", quote(key)}
		}
		if each == nil {
			f = s.value()
		} else {
			f = each(key)
		}
		if f != nil {
			return f
		}
		more, f := s.next('}')
		if f != nil || !more {
			return f
		}
	}
}

// key reads a key and its colon.
func (s *scanner) key() ([]byte, *fault) {
	if s.peek() != '"' {
		return nil, s.syntax("a key")
	}
	raw, escaped, f := s.str()
	if f != nil {
		return nil, f
	}
	if escaped {
		raw = unescape(raw)
	}
	s.space()
	if s.peek() != ':' {
		return nil, s.syntax("a colon")
	}
	s.pos++
	s.space()
	return raw, nil
}

// next moves behind a comma to the next element, or behind the end.
func (s *scanner) next(end byte) (more bool, f *fault) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case end:
		s.leave()
		return false, nil
	}
	return false, s.syntax("a comma or " + string(end))
}

// array walks over an array. each is called at every element and leaves the scanner behind it; nil
// skips the elements.
func (s *scanner) array(each func() *fault) *fault {
	if s.peek() != '[' {
		return s.mistyped("the value", "a list")
	}
	if f := s.enter(); f != nil {
		return f
	}
	if s.peek() == ']' {
		s.leave()
		return nil
	}
	for {
		f := s.element(each)
		if f != nil {
			return f
		}
		more, f := s.next(']')
		if f != nil || !more {
			return f
		}
	}
}

func (s *scanner) element(each func() *fault) *fault {
	if each != nil {
		return each()
	}
	return s.value()
}

// value walks over any value.
func (s *scanner) value() *fault {
	switch c := s.peek(); c {
	case '{':
		return s.object(nil)
	case '[':
		return s.array(nil)
	case '"':
		_, _, f := s.str()
		return f
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || isDigit(c) {
			_, f := s.number()
			return f
		}
		return s.syntax("a value")
	}
}

func (s *scanner) literal(word string) *fault {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return &fault{KindSyntax, word, s.here()}
	}
	s.pos += len(word)
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits walks over one or more digits.
func (s *scanner) digits() bool {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > start
}

// number walks over a number and says whether it is a plain one: no sign, fraction or exponent.
func (s *scanner) number() (plain bool, f *fault) {
	plain = true
	if s.peek() == '-' {
		plain = false
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false, s.syntax("a digit")
	}
	if s.peek() == '.' {
		plain = false
		s.pos++
		if !s.digits() {
			return false, s.syntax("a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		plain = false
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return false, s.syntax("a digit")
		}
	}
	return plain, nil
}

// uintValue reads a plain number up to limit.
func (s *scanner) uintValue(key string, limit uint64) (uint64, *fault) {
	want := "a number from 0 to " + strconv.FormatUint(limit, 10)
	if c := s.peek(); c != '-' && !isDigit(c) {
		return 0, s.mistyped(key, want)
	}
	start := s.pos
	plain, f := s.number()
	if f != nil {
		return 0, f
	}
	n, err := strconv.ParseUint(string(s.data[start:s.pos]), 10, 64)
	if !plain || err != nil || n > limit {
		return 0, &fault{KindMistyped, key + " to be " + want, quote(s.data[start:s.pos])}
	}
	return n, nil
}

// stringValue reads a string.
func (s *scanner) stringValue(key string) (string, *fault) {
	if s.peek() != '"' {
		return "", s.mistyped(key, "a string")
	}
	raw, escaped, f := s.str()
	if f != nil {
		return "", f
	}
	if escaped {
		raw = unescape(raw)
	}
	return string(raw), nil
}

// str walks over a string and returns what stands between its quotes, escapes and all.
func (s *scanner) str() (raw []byte, escaped bool, f *fault) {
	s.pos++
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			raw = s.data[start:s.pos]
			s.pos++
			return raw, escaped, nil
		case c == '\\':
			escaped = true
			if f := s.escape(); f != nil {
				return nil, false, f
			}
		case c == 0:
			return nil, false, &fault{KindNUL, "no NUL in a string", s.here()}
		case c < 0x20:
			return nil, false, s.syntax("no control character in a string")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return nil, false, &fault{KindUTF8, "valid UTF-8", s.here()}
			}
			s.pos += n
		}
	}
	return nil, false, s.syntax("the end of a string")
}

// escape walks over one escape, both halves of a surrogate pair together.
func (s *scanner) escape() *fault {
	start := s.pos
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
	default:
		return s.syntax("an escape")
	}
	s.pos++
	u, f := s.hex4()
	switch {
	case f != nil:
		return f
	case u == 0:
		s.pos = start
		return &fault{KindNUL, "no NUL in a string", s.here()}
	case 0xd800 <= u && u < 0xdc00:
		if s.peek() == '\\' && s.pos+1 < len(s.data) && s.data[s.pos+1] == 'u' {
			s.pos += 2
			low, f := s.hex4()
			if f != nil {
				return f
			}
			if 0xdc00 <= low && low < 0xe000 {
				return nil
			}
		}
		s.pos = start
		return &fault{KindUTF8, "a pair of surrogates", s.here()}
	case 0xdc00 <= u && u < 0xe000:
		s.pos = start
		return &fault{KindUTF8, "a pair of surrogates", s.here()}
	}
	return nil
}

func (s *scanner) hex4() (rune, *fault) {
	var u rune
	for range 4 {
		d := hexDigit(s.peek())
		if d < 0 {
			return 0, s.syntax("four hexadecimal digits")
		}
		u = u<<4 | d
		s.pos++
	}
	return u, nil
}

func hexDigit(c byte) rune {
	switch {
	case isDigit(c):
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// unescape resolves the escapes of a string that str has accepted.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		c := raw[i+1]
		i += 2
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			u := hexRune(raw[i:])
			i += 4
			if 0xd800 <= u && u < 0xdc00 {
				u = 0x10000 + (u-0xd800)<<10 + hexRune(raw[i+2:]) - 0xdc00
				i += 6
			}
			out = utf8.AppendRune(out, u)
		default:
			out = append(out, c)
		}
	}
	return out
}

func hexRune(b []byte) rune {
	var u rune
	for _, c := range b[:4] {
		u = u<<4 | hexDigit(c)
	}
	return u
}

// A keySet finds keys that come twice: by looking through a few, by a map through many, since an
// object of a hostile peer can have hundreds of thousands.
type keySet struct {
	few  [8][]byte
	n    int
	many map[string]struct{}
}

// add reports whether key is new.
func (k *keySet) add(key []byte) bool {
	for _, old := range k.few[:k.n] {
		if string(old) == string(key) {
			return false
		}
	}
	if k.n < len(k.few) {
		k.few[k.n] = key
		k.n++
		return true
	}
	if _, twice := k.many[string(key)]; twice {
		return false
	}
	if k.many == nil {
		k.many = make(map[string]struct{})
	}
	k.many[string(key)] = struct{}{}
	return true
}
