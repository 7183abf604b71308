package shim

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Params are what containerd gives on the command line and in the environment.
type Params struct {
	Namespace string
	ID        string
	Address   string // of containerd's gRPC API; only part of the socket's name
	Bundle    string
	Debug     bool
	// MaxVersion is the newest shim API that containerd knows, 0 where it does not say (1.6).
	MaxVersion int
}

// taskVersion is the newest version of the task API that the shim serves.
const taskVersion = 3

// maxParams bounds what is read from containerd.
const maxParams = 10 << 20

// groupAnnotations name the group whose containers share a shim; the first that is there counts.
var groupAnnotations = []string{"io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"}

// A request is `start`'s input, whichever form it came in.
type request struct {
	protobuf  bool       // BootstrapParams (containerd 2.3 and later)
	options   *anypb.Any // nil for none
	socketDir string
	debug     bool
}

// readRequest tells the two forms of `start`'s input apart. Runtime options can be read as
// BootstrapParams too, so it is the identity in them that counts.
func readRequest(in io.Reader, p *Params) (request, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxParams))
	if err != nil {
		return request{}, fmt.Errorf("read bootstrap parameters: %w", err)
	}
	r := request{socketDir: defaultSocketDir, debug: p.Debug}
	var params bootapi.BootstrapParams
	if proto.Unmarshal(data, &params) == nil && params.InstanceID == p.ID && params.Namespace == p.Namespace {
		r.protobuf = true
		r.debug = r.debug || params.LogLevel <= bootapi.LogLevel_LOG_LEVEL_DEBUG
		if dir := params.GetSocketDir(); dir != "" {
			r.socketDir = dir
		}
		for _, e := range params.Extensions {
			if isOptions(e.GetValue()) {
				r.options = e.GetValue()
			}
		}
		return r, nil
	}
	if len(data) > 0 {
		r.options = new(anypb.Any)
		if err := proto.Unmarshal(data, r.options); err != nil {
			return r, fmt.Errorf("read runtime options: %w", err)
		}
	}
	return r, nil
}

func isOptions(msg *anypb.Any) bool {
	name := path.Base(msg.GetTypeUrl())
	return name == runcOptionsType || name == runtimeOptionsType
}

// defaultSocketDir is where containerd's own shim has its sockets.
const defaultSocketDir = "/run/containerd/s"

// A Launcher starts the shim with a listening socket.
type Launcher func(socket *os.File, debug bool) (*os.Process, error)

// Bootstrap is the binary's `start`: it finds the shim of the container's group, or starts one, and
// answers with its address.
func Bootstrap(p Params, in io.Reader, out io.Writer, launch Launcher) error {
	req, err := readRequest(in, &p)
	if err != nil {
		return err
	}
	opts, err := parseOptions(req.options)
	if err != nil {
		return err
	}
	group, err := groupOf(p.Bundle, p.ID)
	if err != nil {
		return err
	}
	address := socketAddress(req.socketDir, &p, group)
	socket, err := listen(address)
	if err != nil {
		return err
	}
	if socket != nil {
		defer socket.Close()
		if err := launchShim(socket, req.debug, &opts, launch); err != nil {
			return errors.Join(err, os.Remove(socketPath(address)))
		}
	}
	// containerd 1.6 finds the shim again by this file, and the shim its own socket.
	if err := os.WriteFile(filepath.Join(p.Bundle, addressFile), []byte(address), 0o600); err != nil {
		return err
	}
	return writeAnswer(out, &req, address, p.MaxVersion)
}

// groupOf reads from the bundle which group a container belongs to: its own where it has none.
func groupOf(bundle, id string) (string, error) {
	var spec struct {
		Annotations map[string]string `json:"annotations"`
	}
	data, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return "", fmt.Errorf("config.json: %w", err)
	}
	for _, a := range groupAnnotations {
		if group := spec.Annotations[a]; group != "" {
			return group, nil
		}
	}
	return id, nil
}

// socketAddress has the form that containerd's own shim gives it, under a name of its own: a group
// may have containers of both runtimes.
func socketAddress(dir string, p *Params, group string) string {
	name := sha256.Sum256([]byte("runack/" + filepath.Join(p.Address, p.Namespace, group)))
	return fmt.Sprintf("unix://%s/%x", dir, name)
}

func socketPath(address string) string { return strings.TrimPrefix(address, "unix://") }

// listen makes the socket; nil where a shim listens there already. It is a path and never an abstract
// name, which others could reach (CVE-2020-15257), in a directory and with a mode that only root gets
// through.
func listen(address string) (*os.File, error) {
	name := socketPath(address)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	for {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err == nil {
			l.SetUnlinkOnClose(false)
			defer l.Close()
			if err := os.Chmod(name, 0o600); err != nil {
				return nil, err
			}
			return l.File()
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("listen: %w", err)
		}
		conn, err := net.DialTimeout("unix", name, time.Second)
		if err == nil {
			return nil, conn.Close()
		}
		if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("listen: there is a shim that does not answer: %w", err)
		}
		// What a killed shim has left behind.
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

// launchShim starts the shim and puts it where the options and its importance want it.
func launchShim(socket *os.File, debug bool, o *Options, launch Launcher) error {
	process, err := launch(socket, debug)
	if err != nil {
		return fmt.Errorf("start the shim: %w", err)
	}
	err = joinShimCgroup(o.ShimCgroup, process.Pid)
	if err == nil {
		err = adjustOOMScore(process.Pid)
	}
	if err != nil {
		return errors.Join(err, process.Kill())
	}
	return nil
}

// adjustOOMScore makes the shim die a little sooner than containerd where memory runs out.
func adjustOOMScore(pid int) error {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(os.Getppid()) + "/oom_score_adj")
	if err != nil {
		return err
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return err
	}
	const highest = 1000
	return os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(strconv.Itoa(min(score+1, highest))), 0)
}

// writeAnswer answers in the form of the question: BootstrapResult, JSON where containerd says that
// it knows versions (1.7 to 2.2), or the bare address (1.6).
func writeAnswer(out io.Writer, req *request, address string, maxVersion int) error {
	var data []byte
	var err error
	switch {
	case req.protobuf:
		data, err = proto.Marshal(&bootapi.BootstrapResult{Version: taskVersion, Address: address, Protocol: "ttrpc"})
	case maxVersion > 0:
		data, err = json.Marshal(struct {
			Version  int    `json:"version"`
			Address  string `json:"address"`
			Protocol string `json:"protocol"`
		}{min(taskVersion, maxVersion), address, "ttrpc"})
	default:
		data = []byte(address)
	}
	if err == nil {
		_, err = out.Write(data)
	}
	return err
}
