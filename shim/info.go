package shim

import (
	"encoding/json"
	"io"

	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"runack/bundle"
)

// Name is the runtime's name in containerd's configuration.
const Name = "io.containerd.runack.v2"

// featuresType is the type URL of the specification's features, as JSON.
const featuresType = "types.containerd.io/opencontainers/runtime-spec/1/features/Features"

// Info is the binary's `-info`: options on in, a RuntimeInfo with the OCI features on out.
func Info(version, revision string, in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(io.LimitReader(in, maxParams))
	if err != nil {
		return err
	}
	info := &types.RuntimeInfo{
		Name: Name, Version: &types.RuntimeVersion{Version: version, Revision: revision},
	}
	if len(data) > 0 {
		info.Options = new(anypb.Any)
		if err := proto.Unmarshal(data, info.Options); err != nil {
			return err
		}
		if _, err := parseOptions(info.Options); err != nil {
			return err
		}
	}
	features, err := json.Marshal(bundle.Features())
	if err != nil {
		return err
	}
	info.Features = &anypb.Any{TypeUrl: featuresType, Value: features}
	if data, err = proto.Marshal(info); err != nil {
		return err
	}
	_, err = out.Write(data)
	return err
}
