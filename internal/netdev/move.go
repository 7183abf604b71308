package netdev

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"runack/handshake"
)

// An Error is a device that could not be moved.
type Error struct {
	Device string // its name on the host
	Step   string
	Err    error
}

// Error names the field of config.json, the step and the errno.
func (e *Error) Error() string {
	text := e.Err.Error()
	var errno unix.Errno
	if errors.As(e.Err, &errno) {
		text = handshake.ErrnoName(errno)
	}
	return fmt.Sprintf("linux.netDevices[%q]: %s: %s", e.Device, e.Step, text)
}

// Unwrap gives the errno, where a system call failed.
func (e *Error) Unwrap() error { return e.Err }

func failed(device, step string, err error) error {
	if err == nil {
		return nil
	}
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		err = unix.ENODEV
	}
	return &Error{device, step, err}
}

// A place is a network namespace and a socket in it.
type place struct {
	ns     netns.NsHandle
	handle *netlink.Handle
}

func openPlace(path string) (*place, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		_ = ns.Close()
		return nil, err
	}
	return &place{ns, h}, nil
}

func (p *place) close() {
	p.handle.Close()
	_ = p.ns.Close()
}

// A device on the move, with what the kernel takes from it on the way.
type device struct {
	name      string // on the host
	inside    string // in the container; may have a %d for the kernel to fill in
	index     int    // where it is now
	up        bool   // on the host
	addresses []netlink.Addr
}

// Moved are devices that are in the container now. It holds the namespace, so that they can come back
// even if the container's process has ended. Close it.
type Moved struct {
	passage *passage
	devices []device
}

// A passage is open between two namespaces.
type passage struct{ host, container *place }

func openPassage(path string) (*passage, error) {
	host, err := openPlace("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("linux.netDevices: open the network namespace of the host: %w", err)
	}
	container, err := openPlace(path)
	if err != nil {
		host.close()
		return nil, fmt.Errorf("linux.netDevices: open the network namespace of the container: %w", err)
	}
	return &passage{host, container}, nil
}

func (p *passage) close() {
	p.host.close()
	p.container.close()
}

// Move moves devices, by their names, from this process's network namespace to the one at path.
// All of them are looked at before the first is touched; if one fails all the same, those before
// it are moved back. Errors are *Error where a device is at fault.
func Move(path string, devices map[string]specs.LinuxNetDevice) (*Moved, error) {
	p, err := openPassage(path)
	if err != nil {
		return nil, err
	}
	m := &Moved{passage: p}
	if err := m.move(devices); err != nil {
		err = errors.Join(err, m.Back())
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close lets go of the namespace. The devices stay where they are. Nothing moved is nothing to close.
func (m *Moved) Close() {
	if m != nil {
		m.passage.close()
	}
}

func (m *Moved) move(wanted map[string]specs.LinuxNetDevice) error {
	p := m.passage
	var devices []device
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		d, err := p.look(name, wanted[name].Name)
		if err != nil {
			return err
		}
		devices = append(devices, d)
	}
	for _, d := range devices {
		if err := d.transfer(p.host, p.container, d.inside); err != nil {
			return err
		}
		m.devices = append(m.devices, d)
		if err := d.restore(p.container, true); err != nil {
			return err
		}
	}
	return nil
}

// look finds a device and what is to be kept of it, and checks that its new name is free.
func (p *passage) look(name, inside string) (device, error) {
	d := device{name: name, inside: inside}
	if inside == "" {
		d.inside = name
	}
	link, err := p.host.handle.LinkByName(name)
	if err != nil {
		return d, failed(name, "find it on the host", err)
	}
	d.index = link.Attrs().Index
	d.up = link.Attrs().RawFlags&unix.IFF_UP != 0
	if d.addresses, err = permanent(p.host.handle, link); err != nil {
		return d, failed(name, "read its addresses", err)
	}
	if strings.Contains(d.inside, "%d") {
		return d, nil
	}
	_, err = p.container.handle.LinkByName(d.inside)
	var missing netlink.LinkNotFoundError
	if err == nil {
		return d, failed(name, fmt.Sprintf("the container has a device %q", d.inside), unix.EEXIST)
	}
	if !errors.As(err, &missing) {
		return d, failed(name, "look for its name in the container", err)
	}
	return d, nil
}

// permanent lists the addresses that the specification wants kept: permanent ones of global scope.
// Read while the device is up: the kernel drops those of IPv6 with that state.
func permanent(h *netlink.Handle, link netlink.Link) ([]netlink.Addr, error) {
	all, err := h.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(a netlink.Addr) bool {
		return a.Flags&unix.IFA_F_PERMANENT == 0 || a.Scope != unix.RT_SCOPE_UNIVERSE
	}), nil
}

// transfer moves and renames a device, in one request. It gets an index that is free where it goes,
// by which it is found again: a name with %d is the kernel's choice.
func (d *device) transfer(from, to *place, name string) error {
	index, err := freeIndex(to.handle, d.index)
	if err != nil {
		return failed(d.name, "list devices", err)
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(d.index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(to.ns))))
	req.AddData(nl.NewRtAttr(unix.IFLA_NEW_IFINDEX, nl.Uint32Attr(uint32(index))))
	socket, err := nl.GetNetlinkSocketAt(from.ns, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return failed(d.name, "open a socket", err)
	}
	defer socket.Close()
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return failed(d.name, fmt.Sprintf("move it as %q", name), err)
	}
	d.index = index
	return nil
}

func freeIndex(h *netlink.Handle, wanted int) (int, error) {
	links, err := h.LinkList()
	if err != nil {
		return 0, err
	}
	highest, taken := 0, false
	for _, l := range links {
		highest = max(highest, l.Attrs().Index)
		taken = taken || l.Attrs().Index == wanted
	}
	if taken {
		return highest + 1, nil
	}
	return wanted, nil
}

// addressFlags are those of an address that a request can set; the kernel sets the others.
const addressFlags = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR |
	unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN

// restore gives a device its addresses back, and its state.
func (d *device) restore(at *place, up bool) error {
	link, err := at.handle.LinkByIndex(d.index)
	if err != nil {
		return failed(d.name, "find it after the move", err)
	}
	for _, a := range d.addresses {
		// Without the label, which has the old name in it.
		kept := &netlink.Addr{IPNet: a.IPNet, Peer: a.Peer, Broadcast: a.Broadcast, Flags: a.Flags & addressFlags}
		if err := at.handle.AddrAdd(link, kept); err != nil {
			return failed(d.name, "restore address "+a.IPNet.String(), err)
		}
	}
	if !up {
		return nil
	}
	return failed(d.name, "set it up", at.handle.LinkSetUp(link))
}

// Back moves the devices back to the host, as they were: for a container that was never created.
func (m *Moved) Back() error {
	var errs []error
	p := m.passage
	for _, d := range slices.Backward(m.devices) {
		err := d.transfer(p.container, p.host, d.name)
		if err == nil {
			err = d.restore(p.host, d.up)
		}
		errs = append(errs, err)
	}
	m.devices = nil
	return errors.Join(errs...)
}
