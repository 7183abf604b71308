package spec

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"

	"runack/tests/harness"
)

var vethCount atomic.Int32

// veth makes a pair of devices on the host and returns the name of one of them. The other goes with
// it, and both with the namespace that the first is moved to.
func veth(t *testing.T, addresses ...string) string {
	t.Helper()
	n := vethCount.Add(1)
	name, peer := fmt.Sprintf("rk%d-%da", os.Getpid(), n), fmt.Sprintf("rk%d-%db", os.Getpid(), n)
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: 1400}, PeerName: peer}
	if err := netlink.LinkAdd(link); err != nil {
		t.Skipf("this kernel has no veth devices: %v", err)
	}
	t.Cleanup(func() {
		other, err := netlink.LinkByName(peer)
		if err == nil {
			err = netlink.LinkDel(other)
		}
		var gone netlink.LinkNotFoundError
		if err != nil && !errors.As(err, &gone) && !strings.Contains(err.Error(), "no such device") {
			t.Error(err)
		}
	})
	for _, a := range addresses {
		addr, err := netlink.ParseAddr(a)
		if err == nil {
			err = netlink.AddrAdd(link, addr)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func netDevices(devices map[string]specs.LinuxNetDevice) harness.Edit {
	return func(s *specs.Spec) { s.Linux.NetDevices = devices }
}

func TestANetworkDeviceMoves(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly(newerThanRunc)
	up, down := veth(t, "192.0.2.7/24", "198.51.100.9/32", "2001:db8::7/64"), veth(t)
	link, err := netlink.LinkByName(up)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	id, _ := e.Detached(netDevices(map[string]specs.LinuxNetDevice{up: {Name: "uplink"}, down: {}}))
	out := e.OK("exec", id, "ip", "addr", "show", "dev", "uplink")
	wantContains(t, "the device", out, "UP", "mtu 1400", "inet 192.0.2.7/24", "inet 198.51.100.9/32", "inet6 2001:db8::7/64",
		"link/ether "+link.Attrs().HardwareAddr.String())
	wantContains(t, "the device without a new name", e.OK("exec", id, "ip", "link", "show", "dev", down), "UP")
	if _, err := netlink.LinkByName(up); err == nil {
		t.Errorf("%s is still on the host", up)
	}
	e.Remove(id)
}

// The kernel fills in the first number that is free.
func TestANetworkDeviceGetsANumber(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly(newerThanRunc)
	a, b := veth(t, "192.0.2.7/24"), veth(t, "192.0.2.8/24")
	id, _ := e.Detached(netDevices(map[string]specs.LinuxNetDevice{a: {Name: "eth%d"}, b: {Name: "eth%d"}}))
	wantContains(t, "eth0", e.OK("exec", id, "ip", "addr", "show", "dev", "eth0"), "192.0.2.7")
	wantContains(t, "eth1", e.OK("exec", id, "ip", "addr", "show", "dev", "eth1"), "192.0.2.8")
	e.Remove(id)
}

// wantOnHost: the device is back as it was.
func wantOnHost(t *testing.T, name, address string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil || len(addresses) != 1 || addresses[0].IPNet.String() != address {
		t.Errorf("%s has the addresses %v (%v), want %s", name, addresses, err, address)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		t.Errorf("%s is down", name)
	}
}

func TestADeviceThatCannotMoveIsNamed(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly(newerThanRunc)
	const address = "192.0.2.7/24"
	good := veth(t, address)
	link, err := netlink.LinkByName(good)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		name    string
		devices map[string]specs.LinuxNetDevice
		edit    harness.Edit
		want    string
	}{
		{"not there", map[string]specs.LinuxNetDevice{good: {}, "zz-missing": {}}, nil,
			`config.json: linux.netDevices["zz-missing"]: find it on the host: ENODEV (19)`},
		{"name taken", map[string]specs.LinuxNetDevice{good: {Name: "lo"}}, nil,
			`config.json: linux.netDevices["` + good + `"]: the container has a device "lo": EEXIST (17)`},
		{"a later step fails", map[string]specs.LinuxNetDevice{good: {Name: "eth0"}}, harness.Args("/no/such/program"),
			"no such file or directory"},
	} {
		t.Run(r.name, func(t *testing.T) {
			e := e.On(t)
			b := e.Bundle(netDevices(r.devices))
			if r.edit != nil {
				b.Edit(r.edit)
			}
			res := e.Do("create", "-b", b.Dir, e.ID("c"))
			if res.Code == 0 {
				t.Errorf("got %v", res)
			}
			wantContains(t, "create", strings.ReplaceAll(res.Stderr, `\"`, `"`), r.want)
			wantOnHost(t, good, address)
		})
	}
}

// Into a namespace that is joined, as containers of a pod do: it is not the runtime's to end.
func TestANetworkDeviceMovesIntoAJoinedNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly(newerThanRunc)
	id, pid := e.Detached()
	name := veth(t, "192.0.2.7/24")
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	out := e.Run(harness.Namespace(specs.NetworkNamespace, path), netDevices(map[string]specs.LinuxNetDevice{name: {Name: "eth0"}}),
		harness.Args("ip", "addr", "show", "dev", "eth0"))
	wantContains(t, "inside", out, "192.0.2.7/24", "UP")
	wantContains(t, "in the pod, afterwards", e.OK("exec", id, "ip", "addr", "show", "dev", "eth0"), "192.0.2.7/24")
	// A create that fails gives it back to the host.
	other := veth(t, "192.0.2.8/24")
	b := e.Bundle(harness.Namespace(specs.NetworkNamespace, path), netDevices(map[string]specs.LinuxNetDevice{other: {Name: "eth1"}}),
		harness.Args("/no/such/program"))
	e.Fails(1, "create", "-b", b.Dir, e.ID("c"))
	if _, err := netlink.LinkByName(other); err != nil {
		t.Errorf("%s is not back: %v", other, err)
	}
	e.Remove(id)
}
