package container

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"runack/internal/specjson"
	"runack/internal/specjson/filled"
)

// records are a record with all fields, one with none, and one with each field alone.
func records() []*Record {
	whole := new(Record)
	filled.Value(whole)
	all := []*Record{new(Record), whole}
	for i := range reflect.TypeFor[Record]().NumField() {
		r := new(Record)
		reflect.ValueOf(r).Elem().Field(i).Set(reflect.ValueOf(whole).Elem().Field(i))
		all = append(all, r)
	}
	return all
}

func TestRecordIsWrittenAsEncodingJSONWritesIt(t *testing.T) {
	for _, r := range records() {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
		if got := string(r.marshal()) + "\n"; got != want.String() {
			t.Errorf("wrote         %sencoding/json %s", got, &want)
		}
	}
}

func TestRecordIsReadAsEncodingJSONReadsIt(t *testing.T) {
	for _, r := range records() {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		in, got, want := specjson.NewReader(data), new(Record), new(Record)
		if got.read(in); !in.Done() {
			t.Errorf("gave up on %s", data)
		}
		if err := json.Unmarshal(data, want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
	}
}

// What the reader gives up on is read by encoding/json, whose errors say what is wrong.
func TestRecordReaderGivesUp(t *testing.T) {
	for text, ok := range map[string]bool{`{"ID":"a"}`: true, `{"id":"a","x":{"y":[1]}}`: true, `{"id":1}`: false, `{"created":"x"}`: false, `{`: false} {
		if _, err := unmarshalRecord([]byte(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
