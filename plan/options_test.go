package plan

import (
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOptionTableIsSorted(t *testing.T) {
	names := MountOptions()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not sorted, or one twice: %q", names)
	}
	for _, n := range names {
		if o, ok := findOption(n); !ok || o.name != n {
			t.Errorf("%q is not found", n)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []string
		want    mountOptions
	}{
		{"none", nil, mountOptions{}},
		{"defaults says nothing", []string{"defaults"}, mountOptions{}},
		{"later wins", []string{"ro", "rw", "nosuid", "suid", "noexec"},
			mountOptions{flags: unix.MS_NOEXEC, cleared: unix.MS_RDONLY | unix.MS_NOSUID}},
		{"set again", []string{"rw", "ro"}, mountOptions{flags: unix.MS_RDONLY}},
		{"propagation in order", []string{"rshared", "slave"},
			mountOptions{propagation: []uint64{unix.MS_SHARED | unix.MS_REC, unix.MS_SLAVE}}},
		{"recursive", []string{"rro", "rnosuid", "rsuid"},
			mountOptions{recursive: true, recSet: unix.MOUNT_ATTR_RDONLY, recClear: unix.MOUNT_ATTR_NOSUID}},
		{"recursive time modes replace each other", []string{"rnoatime", "rstrictatime"},
			mountOptions{recursive: true, recSet: unix.MOUNT_ATTR_STRICTATIME, recClear: unix.MOUNT_ATTR__ATIME}},
		{"rrelatime is a mode too", []string{"rnoatime", "rrelatime"},
			mountOptions{recursive: true, recClear: unix.MOUNT_ATTR__ATIME}},
		{"ratime", []string{"ratime"}, mountOptions{recursive: true, recClear: unix.MOUNT_ATTR__ATIME}},
		{"idmap", []string{"idmap"}, mountOptions{idmap: true}},
		{"ridmap", []string{"idmap", "ridmap"}, mountOptions{idmap: true, idmapRec: true}},
		{"copy up", []string{"tmpcopyup"}, mountOptions{copyUp: true}},
		{"data", []string{"size=1k", "mode=755,nr_inodes=5", ""}, mountOptions{data: []string{"size=1k", "mode=755", "nr_inodes=5"}}},
		{"quoted commas", []string{`context="system_u:object_r:t:s0:c1,c2",size=1k`},
			mountOptions{data: []string{"context=system_u:object_r:t:s0:c1,c2", "size=1k"}}},
		{"quotes of others stay", []string{`x="a,b"`}, mountOptions{data: []string{`x="a,b"`}}},
		{"escaped commas", []string{`lowerdir=/a\,b:/c,upperdir=/u`}, mountOptions{data: []string{`lowerdir=/a\,b:/c`, "upperdir=/u"}}},
		{"trailing backslash", []string{`x\`}, mountOptions{data: []string{`x\`}}},
		{"a known word inside data belongs to the file system", []string{"size=1k,ro"}, mountOptions{data: []string{"size=1k", "ro"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := parseOptions(test.options); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%q:\n got %+v\nwant %+v", test.options, got, test.want)
			}
		})
	}
}

func TestAttrs(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []string
		want    uint64
	}{
		{"default is relatime", nil, unix.MOUNT_ATTR_RELATIME},
		{"noatime", []string{"noatime"}, unix.MOUNT_ATTR_NOATIME},
		{"strictatime wins over noatime", []string{"noatime", "strictatime"}, unix.MOUNT_ATTR_STRICTATIME},
		{"relatime does not undo noatime", []string{"noatime", "relatime"}, unix.MOUNT_ATTR_NOATIME},
		{"all", []string{"ro", "nosuid", "nodev", "noexec", "nosymfollow", "nodiratime"}, plainAttrs | unix.MOUNT_ATTR_NODIRATIME},
		{"super block flags are none", []string{"sync", "dirsync", "mand", "lazytime", "silent", "iversion"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := parseOptions(test.options)
			if got := attrs(o.flags); got != test.want {
				t.Errorf("%q: %#x, want %#x", test.options, got, test.want)
			}
		})
	}
}

func TestChange(t *testing.T) {
	const (
		ro, nosuid, nodev = unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_NODEV
		time, nodiratime  = unix.MOUNT_ATTR__ATIME, unix.MOUNT_ATTR_NODIRATIME
	)
	for _, test := range []struct {
		name    string
		options []string
		want    attrChange
	}{
		{"nothing asked, nothing changed", []string{"rbind"}, attrChange{}},
		{"propagation is no attribute", []string{"rbind", "rprivate"}, attrChange{}},
		{"recursive ones are apart", []string{"rbind", "rro"}, attrChange{}},
		{"ro replaces all others", []string{"bind", "ro"}, attrChange{set: ro, clear: plainAttrs &^ ro}},
		{"rw clears and insists", []string{"bind", "rw"}, attrChange{clear: plainAttrs, must: ro}},
		{"rw nosuid", []string{"bind", "rw", "nosuid"}, attrChange{set: nosuid, clear: plainAttrs &^ nosuid, must: ro}},
		{"dev suid", []string{"bind", "dev", "suid"}, attrChange{clear: plainAttrs, must: nodev | nosuid}},
		{"noatime", []string{"bind", "noatime"},
			attrChange{set: unix.MOUNT_ATTR_NOATIME, clear: plainAttrs | time | nodiratime, must: time}},
		{"nodiratime", []string{"bind", "nodiratime"}, attrChange{set: nodiratime, clear: plainAttrs | time, must: time}},
		{"atime", []string{"bind", "atime"}, attrChange{clear: plainAttrs | time, must: time}},
		{"diratime", []string{"bind", "diratime"}, attrChange{clear: plainAttrs | nodiratime, must: nodiratime}},
		{"norelatime keeps the mode", []string{"bind", "norelatime"}, attrChange{clear: plainAttrs}},
		{"a super block flag counts as asked", []string{"bind", "sync"}, attrChange{clear: plainAttrs}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := parseOptions(test.options)
			got := o.change()
			if got != test.want {
				t.Errorf("%q:\n got %#x\nwant %#x", test.options, got, test.want)
			}
			// mount_setattr(2) refuses part of a mode in attr_clr, and a mode in attr_set without it.
			if m := got.clear & time; m != 0 && m != time {
				t.Errorf("clears part of the time mode: %#x", m)
			}
			if got.set&time != 0 && got.clear&time != time {
				t.Errorf("sets a time mode without clearing it")
			}
		})
	}
}
