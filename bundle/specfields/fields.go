// Package specfields lists the fields that the runtime specification's Go types have for Linux, by
// their JSON paths. It owns the walk over the types, for the tests that compare a document or a
// validator with them, and refuses to be part of the runtime: only tests import it.
package specfields

import (
	"reflect"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Config lists the paths of config.json on Linux, sorted: "process.rlimits[].type". An element of a
// list is marked by [], a value of an object with free keys by {}. Objects and lists are listed
// themselves, too.
func Config() []string {
	w := walker{}
	w.structure("", reflect.TypeFor[specs.Spec]())
	slices.Sort(w.paths)
	return w.paths
}

type walker struct{ paths []string }

// structure lists the fields of a struct. A field whose platform tag does not name Linux belongs to
// another system; one without a tag belongs to all.
func (w *walker) structure(path string, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if platform := f.Tag.Get("platform"); platform != "" && !slices.Contains(strings.Split(platform, ","), "linux") {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && name == "":
			w.structure(path, f.Type) // encoding/json lifts the fields of an embedded struct
		default:
			w.field(strings.TrimPrefix(path+"."+name, "."), f.Type)
		}
	}
}

// field lists a field and what is inside of it.
func (w *walker) field(path string, t reflect.Type) {
	w.paths = append(w.paths, path)
	w.inside(path, t)
}

func (w *walker) inside(path string, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		w.inside(path, t.Elem())
	case reflect.Slice, reflect.Array:
		w.inside(path+"[]", t.Elem())
	case reflect.Map:
		w.inside(path+"{}", t.Elem())
	case reflect.Struct:
		w.structure(path, t)
	}
}
