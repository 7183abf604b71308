package container

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseUser(t *testing.T) {
	gid := func(n uint32) *uint32 { return &n }
	for in, want := range map[string]struct {
		uid uint32
		gid *uint32
	}{
		"0": {0, nil}, "1000": {1000, nil}, "1000:0": {1000, gid(0)}, "0:1000": {0, gid(1000)},
		"4294967294:4294967294": {4294967294, gid(4294967294)}, "007": {7, nil},
	} {
		uid, g, err := parseUser(in)
		if err != nil || uid != want.uid || !reflect.DeepEqual(g, want.gid) {
			t.Errorf("%q: %d, %v, %v", in, uid, g, err)
		}
	}
	for _, in := range []string{
		"", ":", "0:", ":0", "root", "root:root", "0:root", "-1", "0:-1", "+1", "1 ", " 1", "1\n", "0x10", "1e3", "1_000",
		"4294967295", "0:4294967295", "4294967296", "18446744073709551616", "1:2:3", "1:2:", "1,2", "¹",
	} {
		if uid, g, err := parseUser(in); err == nil {
			t.Errorf("%q was taken for %d, %v", in, uid, g)
		}
	}
}

// TestParseUserProperty: whatever is accepted is what it says, digit by digit (CVE-2026-30892).
func TestParseUserProperty(t *testing.T) {
	const alphabet = "0123456789:+-_ x,"
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, r.IntN(9))
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		uid, gid, err := parseUser(string(b))
		if err != nil {
			continue
		}
		text := trimZeros(fmt.Sprint(uid))
		if gid != nil {
			text += ":" + fmt.Sprint(*gid)
		}
		if got := normal(string(b)); got != text {
			t.Fatalf("%q was taken for %s", b, text)
		}
	}
}

func trimZeros(s string) string {
	n, _ := strconv.ParseUint(s, 10, 64)
	return strconv.FormatUint(n, 10)
}

// normal drops leading zeros of each number.
func normal(s string) string {
	for i := range s {
		if s[i] == ':' {
			return trimZeros(s[:i]) + ":" + trimZeros(s[i+1:])
		}
	}
	return trimZeros(s)
}

func baseProcess() *specs.Process {
	return &specs.Process{
		Args: []string{"/sbin/init"}, Cwd: "/", Terminal: true, ConsoleSize: &specs.Box{Height: 1, Width: 2},
		Env:             append(make([]string, 0, 8), "A=1"),
		User:            specs.User{UID: 1, GID: 2, AdditionalGids: append(make([]uint32, 0, 8), 3)},
		ApparmorProfile: "p", SelinuxLabel: "l", NoNewPrivileges: true,
		Capabilities: &specs.LinuxCapabilities{
			Bounding: append(make([]string, 0, 8), "CAP_CHOWN"), Effective: append(make([]string, 0, 8), "CAP_CHOWN"),
			Permitted: append(make([]string, 0, 8), "CAP_CHOWN"), Inheritable: []string{}, Ambient: nil,
		},
	}
}

func TestOverride(t *testing.T) {
	no := false
	for name, row := range map[string]struct {
		v    Override
		want func(*specs.Process)
	}{
		"nothing but args": {Override{Args: []string{"x"}}, func(*specs.Process) {}},
		"terminal":         {Override{Args: []string{"x"}, Terminal: true}, func(p *specs.Process) { p.Terminal = true }},
		"cwd and labels": {Override{Args: []string{"x"}, Cwd: "/tmp", SELinuxLabel: "m", AppArmor: "q"},
			func(p *specs.Process) { p.Cwd, p.SelinuxLabel, p.ApparmorProfile = "/tmp", "m", "q" }},
		"environment": {Override{Args: []string{"x"}, Env: []string{"A=2", "B=3"}},
			func(p *specs.Process) { p.Env = []string{"A=1", "A=2", "B=3"} }},
		"user keeps the group": {Override{Args: []string{"x"}, User: "9"}, func(p *specs.Process) { p.User.UID = 9 }},
		"user and group":       {Override{Args: []string{"x"}, User: "9:8"}, func(p *specs.Process) { p.User.UID, p.User.GID = 9, 8 }},
		"additional groups": {Override{Args: []string{"x"}, AdditionalGIDs: []int64{4, 5}},
			func(p *specs.Process) { p.User.AdditionalGids = []uint32{3, 4, 5} }},
		"no_new_privs off": {Override{Args: []string{"x"}, NoNewPrivs: &no}, func(p *specs.Process) { p.NoNewPrivileges = false }},
		"capabilities": {Override{Args: []string{"x"}, Caps: []string{"CAP_KILL"}}, func(p *specs.Process) {
			both := []string{"CAP_CHOWN", "CAP_KILL"}
			p.Capabilities = &specs.LinuxCapabilities{Bounding: both, Effective: both, Permitted: both,
				Inheritable: []string{}, Ambient: []string{"CAP_KILL"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			base := baseProcess()
			spec := &specs.Spec{Process: base}
			o := ExecOptions{Override: row.v}
			got, err := o.process(spec)
			if err != nil {
				t.Fatal(err)
			}
			want := baseProcess()
			want.Args, want.Terminal, want.ConsoleSize = row.v.Args, false, nil
			row.want(want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if !reflect.DeepEqual(base, baseProcess()) {
				t.Errorf("the configuration's process was changed: %+v", base)
			}
			// Room behind the base's slices must not be written to either.
			if s := base.Env[:2]; s[1] != "" {
				t.Errorf("wrote %q behind the configuration's environment", s[1])
			}
		})
	}
}

func TestOverrideRefuses(t *testing.T) {
	for name, v := range map[string]Override{
		"no args":         {},
		"bad user":        {Args: []string{"x"}, User: "root"},
		"negative group":  {Args: []string{"x"}, AdditionalGIDs: []int64{-1}},
		"group (gid_t)-1": {Args: []string{"x"}, AdditionalGIDs: []int64{1<<32 - 1}},
		"relative cwd":    {Args: []string{"x"}, Cwd: "tmp"},
	} {
		o := ExecOptions{Override: v}
		if p, err := o.process(&specs.Spec{Process: baseProcess()}); err == nil {
			t.Errorf("%s: accepted %+v", name, p)
		}
	}
}

func TestParseSubCgroups(t *testing.T) {
	for name, row := range map[string]struct {
		args []string
		want map[string]string
		err  string
	}{
		"none":             {nil, nil, ""},
		"one for all":      {[]string{"sub"}, map[string]string{"": "sub"}, ""},
		"one controller":   {[]string{"memory:sub"}, map[string]string{"memory": "sub"}, ""},
		"several at once":  {[]string{"cpu,cpuacct:a", "memory:b"}, map[string]string{"cpu": "a", "cpuacct": "a", "memory": "b"}, ""},
		"two without":      {[]string{"a", "b"}, nil, "invalid --cgroup argument: a (missing <controller>: prefix)"},
		"empty controller": {[]string{":a"}, nil, "invalid --cgroup argument: :a (empty <controller> prefix)"},
		"twice":            {[]string{"cpu:a", "cpu:b"}, nil, "invalid --cgroup argument(s): controller cpu specified multiple times"},
	} {
		got, err := ParseSubCgroups(row.args)
		if row.err != "" {
			if err == nil || err.Error() != row.err {
				t.Errorf("%s: %v, want %s", name, err, row.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, row.want)
		}
	}
}
