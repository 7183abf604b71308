package bundle

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/internal/specjson"
)

// decode reads one JSON document into v, which points to a type of the runtime specification.
//
// As the specification demands, unknown properties are ignored. Stricter than runc, which reads the
// first value of the file and stops: anything but white space after the document is an error, since
// it means that the file was not written whole; and so is text that is not UTF-8, since a path or an
// argument would silently become another one.
func decode(data []byte, v any) error {
	if err := checkText(data); err != nil {
		return err
	}
	if decodeFast(data, v) {
		return nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		return explain(data, err)
	}
	return nil
}

// decodeFast reads the documents of the start path, or leaves v as it is.
func decodeFast(data []byte, v any) bool {
	switch v := v.(type) {
	case *specs.Spec:
		spec, ok := specjson.Spec(data)
		if ok {
			*v = *spec
		}
		return ok
	case *specs.Process:
		process, ok := specjson.Process(data)
		if ok {
			*v = *process
		}
		return ok
	}
	return false
}
