package cgroupjoin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/types"
)

func TestStats(t *testing.T) {
	c := created(t, nil)
	member(t, c)
	s, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if hasController(c, "pids") && s.PidsStats.Current != 1 {
		t.Errorf("%d pids, want 1", s.PidsStats.Current)
	}
	if hasController(c, "memory") && s.MemoryStats.Usage.Limit == 0 {
		t.Error("no memory limit, and 0 in its place")
	}
	e, err := c.EventStats(nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(types.Event{Type: "stats", ID: "x", Data: e})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"type":"stats"`, `"cpu":`, `"memory":`, `"pids":`, `"blkio":`, `"hugetlb":`, `"intel_rdt":`} {
		if !strings.Contains(string(data), key) {
			t.Errorf("%s is missing in %s", key, data)
		}
	}
}

// Every number of the library's that runc's JSON has a place for gets there.
func TestEventStatsAreComplete(t *testing.T) {
	in := cgroups.NewStats()
	in.HugetlbStats["2MB"] = cgroups.HugetlbStats{}
	next := uint64(1000)
	fill(reflect.ValueOf(in).Elem(), &next)
	in.HugetlbStats["2MB"] = cgroups.HugetlbStats{Usage: 1, MaxUsage: 2, Failcnt: 3}
	out := eventStats(in)
	out.IntelRdt = types.IntelRdt{L3CacheSchema: "-"}
	out.NetworkInterfaces = []*types.NetworkInterface{nil}
	for _, path := range zeros(reflect.ValueOf(*out), "stats") {
		if !strings.HasPrefix(path, "stats.IntelRdt.") {
			t.Errorf("%s was not filled in", path)
		}
	}
	if got, want := out.Memory.Swap.Max, in.MemoryStats.SwapUsage.MaxUsage; got != want {
		t.Errorf("memory.swap.max = %d, want %d", got, want)
	}
}

// fill gives every number another value, every slice one element.
func fill(v reflect.Value, next *uint64) {
	*next++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), next)
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.Uint64 && v.Type().Key().Kind() == reflect.String {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf("x"), reflect.ValueOf(*next))
		}
	case reflect.Uint64, reflect.Uint16, reflect.Uint8, reflect.Uint32:
		v.SetUint(*next)
	case reflect.Int64:
		v.SetInt(int64(*next))
	case reflect.Float64:
		v.SetFloat(float64(*next))
	case reflect.String:
		v.SetString(fmt.Sprint(*next))
	case reflect.Bool:
		v.SetBool(true)
	}
}

func zeros(v reflect.Value, path string) []string {
	var out []string
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			out = append(out, zeros(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
		return out
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, zeros(v.Index(i), path)...)
		}
	}
	if v.IsZero() && v.Kind() != reflect.Pointer {
		out = append(out, path)
	}
	return out
}
