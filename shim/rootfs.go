package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
		if err := mountOne(m, filepath.Join(dir, filepath.Join("/", m.Target))); err != nil {
			return errors.Join(fmt.Errorf("root file system: mount %d of %d: %w", i+1, len(mounts), err), unmountRootfs(dir))
		}
	}
	return nil
}

// maxOptions is what mount(2) takes: a page, with a zero at the end.
const maxOptions = 4096 - 1

func mountOne(m *types.Mount, target string) error {
	maps, list, err := takeIDMaps(m.Options)
	if err != nil {
		return err
	}
	if maps != nil {
		return maps.mount(m, list, target)
	}
	options := strings.Join(m.Options, ",")
	if m.Type != "overlay" || len(options) <= maxOptions {
		return mount.Mount(m.Source, target, m.Type, options)
	}
	// An image with many layers. Their paths have most in common, and may be relative to it.
	dir, shorter := shorten(m.Options)
	return inDirectory(dir, func() error {
		return mount.Mount(m.Source, target, m.Type, strings.Join(shorter, ","))
	})
}

// shorten makes the paths of overlay's lower layers relative to the directory that all of them are
// below. Where there is none it is "/".
func shorten(options []string) (dir string, shorter []string) {
	const lower = "lowerdir="
	shorter = slices.Clone(options)
	for i, o := range options {
		list, ok := strings.CutPrefix(o, lower)
		if !ok {
			continue
		}
		layers := strings.Split(list, ":")
		dir = filepath.Dir(layers[0])
		for _, l := range layers {
			for dir != "/" && !strings.HasPrefix(l, dir+"/") {
				dir = filepath.Dir(dir)
			}
		}
		for j, l := range layers {
			layers[j] = strings.TrimPrefix(strings.TrimPrefix(l, dir), "/")
		}
		shorter[i] = lower + strings.Join(layers, ":")
	}
	return dir, shorter
}

// inDirectory runs f on a thread with a working directory of its own. The thread lives on, in "/": one
// that ended would take along the stages it is the parent of (PR_SET_PDEATHSIG).
func inDirectory(dir string, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare working directory: %w", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("change directory to %s: %w", dir, err)
	}
	return errors.Join(f(), unix.Chdir("/"))
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
