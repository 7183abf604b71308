package handshake

import (
	"io"
	"strconv"
)

// Rows of the trace: one thread for each side, in one process.
const chromePid = 1

func chromeRow(s Side) int { return sideIndex(s) + 1 }

// WriteChrome writes what was kept as one JSON object in the Chrome trace event format, which
// chrome://tracing, Perfetto and speedscope show: a row for the runtime and for each stage, spans
// as slices, frames as instants on their writer's row. Times are microseconds since the first of
// all. name is the process's in the viewer. The error is w's.
func (t *Transcript) WriteChrome(w io.Writer, name string) error {
	c := chrome{buf: []byte(`{"displayTimeUnit":"ms","traceEvents":[`)}
	c.names(name)
	if t != nil {
		t.mu.Lock()
		c.start = t.begin()
		for i := range t.spans {
			c.span(&t.spans[i])
		}
		for i := range t.entries {
			c.frame(&t.entries[i])
		}
		t.mu.Unlock()
	}
	c.buf = append(c.buf, "\n]}\n"...)
	_, err := w.Write(c.buf)
	return err
}

// chrome writes one event a line.
type chrome struct {
	buf   []byte
	start int64
	n     int
}

// event begins an event: phase, row, name.
func (c *chrome) event(phase byte, row int, name string) {
	if c.n++; c.n > 1 {
		c.buf = append(c.buf, ',')
	}
	c.buf = append(c.buf, "\n{\"ph\":\""...)
	c.buf = append(c.buf, phase, '"')
	c.number("pid", chromePid)
	c.number("tid", int64(row))
	c.text("name", name)
}

func (c *chrome) text(key, value string) {
	c.buf = append(c.buf, ',')
	c.buf = AppendString(c.buf, key)
	c.buf = append(c.buf, ':')
	c.buf = AppendString(c.buf, value)
}

func (c *chrome) number(key string, value int64) {
	c.buf = append(c.buf, ',')
	c.buf = AppendString(c.buf, key)
	c.buf = append(c.buf, ':')
	c.buf = strconv.AppendInt(c.buf, value, 10)
}

// micro writes nanoseconds as microseconds, which need not be whole.
func (c *chrome) micro(key string, nanoseconds int64) {
	c.buf = append(c.buf, ',')
	c.buf = AppendString(c.buf, key)
	c.buf = append(c.buf, ':')
	c.buf = strconv.AppendFloat(c.buf, float64(nanoseconds)/1e3, 'f', 3, 64)
}

// args writes the arguments, which a viewer shows beside the event: all that f appends.
func (c *chrome) args(f func()) {
	c.buf = append(c.buf, `,"args":{`...)
	at := len(c.buf)
	f()
	if len(c.buf) > at { // the first has no comma
		c.buf = append(c.buf[:at], c.buf[at+1:]...)
	}
	c.buf = append(c.buf, '}')
}

func (c *chrome) end() { c.buf = append(c.buf, '}') }

func (c *chrome) names(process string) {
	c.event('M', 0, "process_name")
	c.args(func() { c.text("name", process) })
	c.end()
	for _, s := range sides {
		c.event('M', chromeRow(s), "thread_name")
		c.args(func() { c.text("name", string(s)) })
		c.end()
		c.event('M', chromeRow(s), "thread_sort_index")
		c.args(func() { c.number("sort_index", int64(chromeRow(s))) })
		c.end()
	}
}

func (c *chrome) span(s *Span) {
	c.event('X', chromeRow(s.Side), s.Name)
	c.micro("ts", s.Start-c.start)
	c.micro("dur", s.End-s.Start)
	if s.Detail != "" {
		c.args(func() { c.text("object", s.Detail) })
	}
	c.end()
}

func (c *chrome) frame(e *Entry) {
	c.event('i', chromeRow(e.Side), "frame "+string(e.Type))
	c.micro("ts", e.Mono-c.start)
	c.text("s", "t") // an instant of its thread
	c.args(func() {
		c.text("conversation", e.Protocol)
		c.number("seq", int64(e.Seq))
		c.number("bytes", int64(e.Length))
		c.number("descriptors", int64(e.FDs))
	})
	c.end()
}
