package handshake

import (
	"time"

	"golang.org/x/sys/unix"
)

// A Span is something that took time: a step of the stage, or one of the runtime's.
type Span struct {
	Side   Side
	Name   string
	Detail string // the object, the step's arguments; may be empty
	Start  int64  // nanoseconds of CLOCK_MONOTONIC
	End    int64
}

// A Mark is when a span begins, in nanoseconds of CLOCK_MONOTONIC; 0 where nobody wants to know.
type Mark int64

func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return ts.Nano()
}

// Timed tells whether spans are kept.
func (t *Transcript) Timed() bool { return t != nil && t.Times }

// Mark begins a span. It costs nothing where spans are not kept.
func (t *Transcript) Mark() Mark {
	if !t.Timed() {
		return 0
	}
	return Mark(monotonic())
}

// Took ends the span that began at m: one of the runtime's.
func (t *Transcript) Took(m Mark, name, detail string) {
	if m == 0 {
		return
	}
	end := monotonic()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, Span{Runtime, name, detail, int64(m), end})
}

// StagePlan tells what the steps are that a stage will report the times of, in their order, and by
// how much its clock is ahead of the host's: in a time namespace CLOCK_MONOTONIC has an offset.
func (t *Transcript) StagePlan(steps []string, ahead time.Duration) {
	if !t.Timed() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps, t.ahead = steps, ahead
}

// StageSteps keeps the times that came with a frame. A step that began before anything else here
// did, such as the wait for start, is cut off there: the rest belongs to another command.
//
// The error is Decode's.
func (t *Transcript) StageSteps(f *Frame) error {
	if !t.Timed() || len(f.Body) == 0 {
		return nil
	}
	var body TraceBody
	if err := f.Decode(&body); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	begin := t.begin()
	for _, s := range body.Steps {
		span := Span{Side: f.From, Name: s.Op, Start: s.Start - int64(t.ahead)}
		span.End = span.Start + s.Duration
		if s.Step < len(t.steps) {
			span.Detail = t.steps[s.Step]
		}
		if span.Start = max(span.Start, begin); span.End > span.Start {
			t.spans = append(t.spans, span)
		}
	}
	return nil
}

// begin is the time of the first thing that was kept.
//
// Preconditions: the caller holds mu.
func (t *Transcript) begin() int64 {
	first := int64(0)
	if len(t.entries) > 0 {
		first = t.entries[0].Mono
	}
	for i := range t.spans {
		if first == 0 || t.spans[i].Start < first {
			first = t.spans[i].Start
		}
	}
	return first
}

// Spans returns a copy of the spans, in the order in which they ended or were told.
func (t *Transcript) Spans() []Span {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Span(nil), t.spans...)
}
