package bundle

import "slices"

// Mount options, by what they are. Kept in the order of `features`.

var flagOptions = []string{
	"async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion", "lazytime", "loud", "mand",
	"noatime", "nodev", "nodiratime", "noexec", "noiversion", "nolazytime", "nomand", "norelatime", "nostrictatime",
	"nosuid", "nosymfollow", "rbind", "relatime", "remount", "ro", "rw", "silent", "strictatime", "suid", "symfollow",
	"sync",
}

var propagations = []string{
	"private", "rprivate", "rshared", "rslave", "runbindable", "shared", "slave", "unbindable",
}

var recursiveOptions = []string{
	"ratime", "rdev", "rdiratime", "rexec", "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime",
	"rnostrictatime", "rnosuid", "rnosymfollow", "rrelatime", "rro", "rrw", "rstrictatime", "rsuid", "rsymfollow",
}

var otherOptions = []string{"idmap", "ridmap", "tmpcopyup"}

func propagationOptions() []string { return propagations }

func knownMountOption(name string) bool {
	return slices.Contains(flagOptions, name) || slices.Contains(propagations, name) ||
		slices.Contains(recursiveOptions, name) || slices.Contains(otherOptions, name)
}

func mountOptionNames() []string {
	all := slices.Concat(flagOptions, propagations, recursiveOptions, otherOptions)
	slices.Sort(all)
	return all
}
