package handshake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// Decode reads the body into v, a pointer to the body type of the frame's message. Fields that v
// does not have are refused, and so are bodies of ready and error that lack what they must have.
// The error is a *ProtocolError.
//
// What stages send is read by hand: without reflection, which would cost the first use 0.2 ms, and
// with keys compared to the letter. All else goes through encoding/json.
func (f *Frame) Decode(v any) error {
	var bad *fault
	var err error
	switch b := v.(type) {
	case *ReadyBody:
		bad = b.decode(f.Body)
	case *ListenerBody:
		bad = b.decode(f.Body)
	case *ErrorBody:
		bad = b.decode(f.Body)
	case *TraceBody:
		bad = b.decode(f.Body)
	default:
		err = decodeStrict(f.Body, v)
	}
	switch {
	case bad != nil:
		return &ProtocolError{Side: f.reader, From: f.From, Type: f.Type, Kind: KindBody, Expected: bad.expected, Got: bad.got}
	case err != nil:
		return &ProtocolError{Side: f.reader, From: f.From, Type: f.Type, Kind: KindBody, Err: err}
	}
	return nil
}

func decodeStrict(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &fault{KindNotObject, "one JSON object", "more"}
	}
	return nil
}

// Error lets a fault stand behind a ProtocolError.
func (f *fault) Error() string {
	s := f.kind.String()
	if f.expected != "" {
		s += ": expected " + f.expected
	}
	if f.got != "" {
		s += ", got " + f.got
	}
	return s
}

// unknownField is the fault of a key that an object does not have.
func unknownField(key []byte) *fault {
	return &fault{KindUnknownKey, "", "unknown field " + quote(key)}
}

// decode reads {"pid":1,"born":true}; both are required.
func (b *ReadyBody) decode(body []byte) *fault {
	*b = ReadyBody{}
	seen := 0
	s := scanner{data: body}
	f := s.object(func(key []byte) (f *fault) {
		switch string(key) {
		case "pid":
			var n uint64
			n, f = s.uintValue("pid", 1<<31-1)
			b.Pid = int(n)
			seen++
		case "born":
			b.Born, f = s.boolValue("born")
			seen++
		default:
			f = unknownField(key)
		}
		return f
	})
	if f == nil && (seen != 2 || b.Pid == 0) {
		f = &fault{KindMissingKey, "pid and born", quote(body)}
	}
	return f
}

// decode reads {"fd":7}; it is required, and no standard descriptor.
func (b *ListenerBody) decode(body []byte) *fault {
	*b = ListenerBody{}
	s := scanner{data: body}
	f := s.object(func(key []byte) (f *fault) {
		if string(key) != "fd" {
			return unknownField(key)
		}
		var n uint64
		n, f = s.uintValue("fd", 1<<31-1)
		b.FD = int(n)
		return f
	})
	if f == nil && b.FD < 3 {
		f = &fault{KindMissingKey, "fd, from 3 on", quote(body)}
	}
	return f
}

// maxErrno is the kernel's MAX_ERRNO.
const maxErrno = 4095

// decode reads the fields of an error; side and step are required.
func (b *ErrorBody) decode(body []byte) *fault {
	*b = ErrorBody{}
	s := scanner{data: body}
	f := s.object(func(key []byte) (f *fault) {
		switch string(key) {
		case "side":
			var side string
			side, f = s.stringValue("side")
			b.Side = Side(side)
		case "step":
			b.Step, f = s.stringValue("step")
		case "object":
			b.Object, f = s.stringValue("object")
		case "errno":
			var n uint64
			n, f = s.uintValue("errno", maxErrno)
			b.Errno = int(n)
		case "detail":
			b.Detail, f = s.stringValue("detail")
		default:
			f = unknownField(key)
		}
		return f
	})
	if f == nil && (b.Side == "" || b.Step == "") {
		f = &fault{KindMissingKey, "side and step", quote(body)}
	}
	return f
}

// decode reads the rows of a trace.
func (b *TraceBody) decode(body []byte) *fault {
	*b = TraceBody{}
	s := scanner{data: body}
	return s.object(func(key []byte) *fault {
		if string(key) != "steps" {
			return unknownField(key)
		}
		return s.array(func() *fault {
			t, f := s.stepTime()
			b.Steps = append(b.Steps, t)
			return f
		})
	})
}

func (s *scanner) stepTime() (t StepTime, f *fault) {
	if s.peek() != '{' {
		return t, s.mistyped("steps", "a list of objects")
	}
	f = s.object(func(key []byte) (f *fault) {
		var to *int64
		var step int64
		switch string(key) {
		case "op":
			t.Op, f = s.stringValue("op")
			return f
		case "step":
			to = &step
		case "start":
			to = &t.Start
		case "duration":
			to = &t.Duration
		default:
			return unknownField(key)
		}
		n, f := s.uintValue(string(key), 1<<63-1)
		*to = int64(n)
		if to == &step {
			t.Step = int(step)
		}
		return f
	})
	return t, f
}

// boolValue reads true or false.
func (s *scanner) boolValue(key string) (bool, *fault) {
	switch s.peek() {
	case 't':
		return true, s.literal("true")
	case 'f':
		return false, s.literal("false")
	}
	return false, s.mistyped(key, "true or false")
}

// AppendJSON implements Appender.
func (b SpawnBody) AppendJSON(to []byte) []byte {
	to = append(to, '{')
	if len(b.Actions) > 0 {
		to = appendActions(to, b.Actions)
		to = append(to, ',')
	}
	to = append(to, `"clone":`...)
	to = strconv.AppendUint(to, b.Clone, 10)
	if b.Cgroup != nil {
		to = append(to, `,"cgroup":`...)
		to = strconv.AppendInt(to, int64(*b.Cgroup), 10)
	}
	if b.Dumpable {
		to = append(to, `,"dumpable":true`...)
	}
	return append(to, '}')
}

// AppendJSON implements Appender.
func (b JoinBody) AppendJSON(to []byte) []byte {
	to = append(to, '{')
	if len(b.Tasks) > 0 {
		to = append(to, `"tasks":`...)
		for i, n := range b.Tasks {
			to = append(to, "[,"[min(i, 1)])
			to = strconv.AppendInt(to, int64(n), 10)
		}
		to = append(to, ']')
	}
	if len(b.Actions) > 0 {
		if len(b.Tasks) > 0 {
			to = append(to, ',')
		}
		to = appendActions(to, b.Actions)
	}
	return append(to, '}')
}

// AppendJSON implements Appender. Steps are taken as they are; the stage checks them.
func (b PlanBody) AppendJSON(to []byte) []byte {
	to = append(to, '{')
	if b.Trace {
		to = append(to, `"trace":true,`...)
	}
	to = append(to, `"steps":`...)
	if b.Steps == nil {
		to = append(to, "null"...)
	}
	to = append(to, b.Steps...)
	return append(to, '}')
}

// AppendJSON implements Appender.
func (b StateBody) AppendJSON(to []byte) []byte {
	to = append(to, `{"state":`...)
	to = AppendString(to, b.State)
	return append(to, '}')
}

func appendActions(to []byte, actions []Action) []byte {
	to = append(to, `"actions":`...)
	for i := range actions {
		to = append(to, "[,"[min(i, 1)])
		to = actions[i].appendJSON(to)
	}
	return append(to, ']')
}

func (a *Action) appendJSON(to []byte) []byte {
	to = append(to, `{"do":`...)
	to = AppendString(to, a.Do)
	if a.Flags != 0 {
		to = append(to, `,"flags":`...)
		to = strconv.AppendUint(to, a.Flags, 10)
	}
	if a.FD != nil {
		to = append(to, `,"fd":`...)
		to = strconv.AppendInt(to, int64(*a.FD), 10)
	}
	if a.Value != "" {
		to = append(to, `,"value":`...)
		to = AppendString(to, a.Value)
	}
	if a.Object != "" {
		to = append(to, `,"object":`...)
		to = AppendString(to, a.Object)
	}
	return append(to, '}')
}

// AppendString appends s as a JSON string, as every writer of bodies should. Invalid UTF-8 becomes
// U+FFFD, as with encoding/json. NUL is escaped, and refused by whoever reads it.
func AppendString(to []byte, s string) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	start := 0 // of what needs no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				to = append(to, s[start:i]...)
				to = append(to, "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		to = append(to, s[start:i]...)
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, '\\', 'n')
		case '\t':
			to = append(to, '\\', 't')
		default:
			to = append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		start = i
	}
	to = append(to, s[start:]...)
	return append(to, '"')
}
