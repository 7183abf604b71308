package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/api/types"
	"github.com/moby/sys/mount"
	"golang.org/x/sys/unix"
)

// mountRootfs mounts what containerd's snapshotter says over the bundle's rootfs, in order. If one
// fails those before it are taken away again.
func mountRootfs(dir string, mounts []*types.Mount) error {
	if len(mounts) == 0 {
		return nil
	}
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("root file system: %w", err)
	}
	for i, m := range mounts {
		target := filepath.Join(dir, filepath.Join("/", m.Target))
		if err := mount.Mount(m.Source, target, m.Type, strings.Join(m.Options, ",")); err != nil {
			return errors.Join(fmt.Errorf("root file system: mount %d of %d: %w", i+1, len(mounts), err), unmountRootfs(dir))
		}
	}
	return nil
}

// unmountRootfs takes everything away that is mounted there. Detached, so that a mount in use does
// not hold the caller.
func unmountRootfs(dir string) error {
	for {
		err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil: // there may be another below it
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
}
