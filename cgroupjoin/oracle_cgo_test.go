//go:build cgo

package cgroupjoin

import (
	"reflect"
	"testing"

	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// runc's own conversion, which needs cgo, says what a configuration means.
func TestSpecconv(t *testing.T) {
	for _, test := range []struct {
		name    string
		r       *specs.LinuxResources
		devices []specs.LinuxDevice
	}{
		{"nothing", nil, nil},
		{"empty", &specs.LinuxResources{}, nil},
		{"a typical one", sampleResources(), nil},
		{"everything", allResources(), nil},
		{"replaced devices", sampleResources(), []specs.LinuxDevice{
			{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}, {Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := convert(test.r, test.devices)
			if err != nil {
				t.Fatal(err)
			}
			config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
				CgroupName: "x",
				Spec: &specs.Spec{
					Root:  &specs.Root{Path: t.TempDir()},
					Linux: &specs.Linux{Resources: test.r, Devices: test.devices},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := config.Cgroups.Resources; !reflect.DeepEqual(got, want) {
				t.Errorf("converted\n%+v\nwant\n%+v", got, want)
				for i := range min(len(got.Devices), len(want.Devices)) {
					t.Logf("device %d: %+v, want %+v", i, got.Devices[i], want.Devices[i])
				}
			}
		})
	}
}
