package handshake

import (
	"bytes"
	"encoding/json"
)

// Decode reads the body into v and refuses fields that v does not have. The error is a
// *ProtocolError.
func (f *Frame) Decode(v any) error {
	d := json.NewDecoder(bytes.NewReader(f.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &ProtocolError{Side: f.reader, From: f.From, Type: f.Type, Kind: KindBody, Err: err}
	}
	return nil
}
