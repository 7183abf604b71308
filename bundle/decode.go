package bundle

import (
	"encoding/json"
)

// decode reads one JSON document into v, which points to a type of the runtime specification. All
// of the room's decoding is behind this one function, so that another decoder can take its place.
//
// As the specification demands, unknown properties are ignored. Stricter than runc, which reads the
// first value of the file and stops: anything but white space after the document is an error, since
// it means that the file was not written whole; and so is text that is not UTF-8, since a path or an
// argument would silently become another one.
func decode(data []byte, v any) error {
	if err := checkText(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return explain(data, err)
	}
	return nil
}
