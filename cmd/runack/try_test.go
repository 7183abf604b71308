package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runack/container"
)

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		err  string
	}{
		{text: "1", want: 1},
		{text: "512b", want: 512},
		{text: "4k", want: 4 << 10},
		{text: "64M", want: 64 << 20},
		{text: "2g", want: 2 << 30},
		{text: "8589934591g", want: 8589934591 << 30},
		{text: "8589934592g", err: "too large"},
		{text: "9223372036854775808", err: "want a number"},
		{text: "0", err: "not above 0"},
		{text: "-1m", err: "not above 0"},
		{text: "", err: "want a number"},
		{text: "m", err: "want a number"},
		{text: "1.5g", err: "want a number"},
		{text: "1mb", err: "want a number"},
	} {
		got, err := parseSize(c.text)
		if c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%q: got %d, %v, want %d", c.text, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: got %d, %v, want an error that says %q", c.text, got, err, c.err)
		}
	}
}

func TestParseVolume(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		want container.TryBind
		err  string
	}{
		{text: "/tmp:/data", want: container.TryBind{Source: "/tmp", Destination: "/data"}},
		{text: "/tmp:/data:rw", want: container.TryBind{Source: "/tmp", Destination: "/data"}},
		{text: "/tmp:/data:ro", want: container.TryBind{Source: "/tmp", Destination: "/data", ReadOnly: true}},
		{text: "doc.go:/f", want: container.TryBind{Source: filepath.Join(here, "doc.go"), Destination: "/f"}},
		{text: ".:/src:ro", want: container.TryBind{Source: here, Destination: "/src", ReadOnly: true}},
		{text: "/tmp", err: "want HOST:CONTAINER[:ro]"},
		{text: "/tmp:", err: "want HOST:CONTAINER[:ro]"},
		{text: ":/data", err: "want HOST:CONTAINER[:ro]"},
		{text: "/tmp:/data:ro:x", err: "want HOST:CONTAINER[:ro]"},
		{text: "/tmp:/data:z", err: "neither ro nor rw"},
		{text: "/tmp:data", err: "not absolute"},
		{text: "/no-such-source:/data", err: "/no-such-source: ENOENT (2)"},
	} {
		got, err := parseVolume(c.text)
		if c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%q: got %+v, %v, want %+v", c.text, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: got %+v, %v, want an error that says %q", c.text, got, err, c.err)
		}
	}
}
