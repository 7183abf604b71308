package shim

import (
	"errors"
	"io"
	"path/filepath"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"runack/container"
)

// Teardown is the binary's `delete`: containerd calls it when a shim has gone, or has never come up.
// It removes what is left of the container and writes a DeleteResponse. The status is the one that
// the shim saw; a container that outlived its shim dies here, of SIGKILL.
func Teardown(bundle, id string, out io.Writer) error {
	state, err := loadState(bundle)
	if err != nil {
		return err
	}
	resp := &taskapi.DeleteResponse{ExitStatus: 128 + uint32(unix.SIGKILL)}
	if state.ID == id {
		if resp.Pid, err = removeRemains(state); err != nil {
			return err
		}
	} else if err := unmountRootfs(filepath.Join(bundle, "rootfs")); err != nil {
		return err
	}
	resp.ExitedAt = timestamppb.New(time.Now())
	exit, err := loadExit(bundle)
	if err != nil {
		return err
	}
	if !exit.At.IsZero() {
		resp.Pid, resp.ExitStatus, resp.ExitedAt = uint32(exit.Pid), exit.Status, timestamppb.New(exit.At)
	}
	data, err := proto.Marshal(resp)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return err
}

// removeRemains removes a container by its state, and gives the pid that its init had.
func removeRemains(state containerState) (pid uint32, err error) {
	c, err := state.load()
	if err == nil {
		if init := c.Record().Init; init != nil {
			pid = uint32(init.Pid)
		}
		c.Close()
	} else if !errors.Is(err, container.ErrNotExist) {
		warn(state.ID, "%v", err) // removed all the same, by force
	}
	return pid, containers{}.remove(state)
}
