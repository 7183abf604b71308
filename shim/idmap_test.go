package shim

import (
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestIDMapsAmongTheOptions(t *testing.T) {
	m, rest, err := takeIDMaps([]string{"ro", "uidmap=0:1000:10,10:5:1", "gidmap=0:2000:10", "lowerdir=/a:/b"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"ro", "lowerdir=/a:/b"}; !slices.Equal(rest, want) {
		t.Errorf("the others are %q, want %q", rest, want)
	}
	uids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}, {ContainerID: 10, HostID: 5, Size: 1}}
	gids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 2000, Size: 10}}
	if !slices.Equal(m.uids, uids) || !slices.Equal(m.gids, gids) {
		t.Errorf("maps %v", m)
	}
	if m, rest, err := takeIDMaps([]string{"ro"}); m != nil || err != nil || len(rest) != 1 {
		t.Errorf("without maps: %v, %v, %v", m, rest, err)
	}
	for options, words := range map[string]string{
		"uidmap=0:0:1":              "belong together",
		"uidmap=0:0,gidmap=":        "container:host:size",
		"uidmap=0:-1:1":             "invalid syntax",
		"uidmap=0:0:4294967296":     "out of range",
		"gidmap=":                   "container:host:size",
		"uidmap=0:0:1,gidmap=0:x:1": "invalid syntax",
	} {
		_, _, err := takeIDMaps(strings.Split(options, ","))
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: error %v, want one that says %q", options, err, words)
		}
	}
}
