package shim

import (
	"errors"
	"fmt"
	"os"
	"path"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/pelletier/go-toml/v2"
	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Options are the runtime's options of a container. The names are those of containerd's options for
// runc, so that a configuration needs no other words.
type Options struct {
	NoPivotRoot   bool
	NoNewKeyring  bool
	ShimCgroup    string
	IoUid         uint32 //nolint:revive // the spelling of config.toml
	IoGid         uint32 //nolint:revive // the spelling of config.toml
	Root          string
	SystemdCgroup bool
	BinaryName    string   // ignored: there is no binary
	LogBinaries   []string // programs that a binary:// URI may name; empty for all that only root can change
}

// The messages that options come in, by the last part of the type's URL.
const (
	runcOptionsType    = "containerd.runc.v1.Options"
	runtimeOptionsType = "runtimeoptions.v1.Options"
)

// parseOptions reads what containerd passes on: runc's own message, or, where containerd does not
// know the runtime's name, the TOML of its configuration, whole or as a path.
func parseOptions(msg *anypb.Any) (Options, error) {
	var o Options
	if msg == nil || msg.TypeUrl == "" && len(msg.Value) == 0 {
		return o, nil
	}
	var err error
	switch name := path.Base(msg.TypeUrl); name {
	case runcOptionsType:
		o, err = fromRunc(msg.Value)
	case runtimeOptionsType:
		o, err = fromTOML(msg.Value)
	default:
		err = fmt.Errorf("type %s is neither %s nor %s", name, runcOptionsType, runtimeOptionsType)
	}
	if err != nil {
		return o, refuse(errInvalid, "runtime options: %v", err)
	}
	return o, nil
}

func fromRunc(data []byte) (Options, error) {
	var r runcoptions.Options
	if err := proto.Unmarshal(data, &r); err != nil {
		return Options{}, err
	}
	return Options{
		NoPivotRoot: r.NoPivotRoot, NoNewKeyring: r.NoNewKeyring, ShimCgroup: r.ShimCgroup,
		IoUid: r.IoUid, IoGid: r.IoGid, Root: r.Root, SystemdCgroup: r.SystemdCgroup, BinaryName: r.BinaryName,
	}, nil
}

func fromTOML(data []byte) (Options, error) {
	var o Options
	var r runtimeoptions.Options
	if err := proto.Unmarshal(data, &r); err != nil {
		return o, err
	}
	body := r.ConfigBody
	if len(body) == 0 && r.ConfigPath != "" {
		var err error
		if body, err = os.ReadFile(r.ConfigPath); err != nil {
			return o, err
		}
	}
	if err := toml.Unmarshal(body, &o); err != nil {
		var d *toml.DecodeError
		if errors.As(err, &d) {
			row, column := d.Position()
			return o, fmt.Errorf("line %d, column %d: %w", row, column, err)
		}
		return o, err
	}
	return o, nil
}

// logIgnored names what an option cannot mean here.
func (o *Options) logIgnored(id string) {
	if o.BinaryName != "" {
		logrus.Warnf("container %s: option BinaryName = %q is ignored: this shim runs no runtime binary", id, o.BinaryName)
	}
}
