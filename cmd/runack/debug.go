package main

import (
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"runack/handshake"
)

// transcript is where the frames of this command are kept: nowhere without --debug.
func transcript(c *cli.Context) *handshake.Transcript {
	if !c.Bool("debug") {
		return nil
	}
	return new(handshake.Transcript)
}

// logTranscript writes the frames to the debug log, one entry each.
func logTranscript(t *handshake.Transcript) {
	if t == nil {
		return
	}
	var text strings.Builder
	_ = t.WriteText(&text) // a Builder takes everything
	for line := range strings.Lines(text.String()) {
		logrus.Debug("frame " + strings.TrimSpace(line))
	}
}
