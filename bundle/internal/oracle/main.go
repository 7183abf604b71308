//go:build cgo

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/runc/libcontainer/capabilities"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/configs/validate"
	"github.com/opencontainers/runc/libcontainer/seccomp"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	switch args[0] {
	case "judge":
		return judgeAll(args[1], in, out)
	case "spec":
		return json.NewEncoder(out).Encode(specconv.Example())
	case "rootless":
		spec := specconv.Example()
		specconv.ToRootless(spec)
		return json.NewEncoder(out).Encode(spec)
	case "lists":
		return json.NewEncoder(out).Encode(lists())
	}
	return fmt.Errorf("unknown question %q", args[0])
}

func lists() Lists {
	return Lists{
		Hooks:        configs.KnownHookNames(),
		MountOptions: specconv.KnownMountOptions(),
		Namespaces:   specconv.KnownNamespaces(),
		Capabilities: capabilities.KnownCapabilities(),
		Actions:      seccomp.KnownActions(),
		Operators:    seccomp.KnownOperators(),
		Archs:        seccomp.KnownArchs(),
		Flags:        seccomp.KnownFlags(),
		Modes:        specconv.KnownMemoryPolicyModes(),
		ModeFlags:    specconv.KnownMemoryPolicyFlags(),
	}
}

func judgeAll(dir string, in io.Reader, out io.Writer) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	logs := &warnings{}
	logrus.SetOutput(io.Discard)
	logrus.AddHook(logs)
	requests, verdicts := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r Request
		switch err := requests.Decode(&r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		v := judge(r)
		v.Warnings, logs.texts = logs.texts, nil
		if err := verdicts.Encode(v); err != nil {
			return err
		}
	}
}

// judge does what runc does with a configuration before it makes the first process.
func judge(r Request) Verdict {
	var spec *specs.Spec
	if err := json.NewDecoder(bytes.NewReader(r.Config)).Decode(&spec); err != nil {
		return Verdict{Step: "decode", Error: err.Error()}
	}
	if spec == nil {
		return Verdict{Step: "decode", Error: "config cannot be null"}
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName:       "oracle",
		Spec:             spec,
		UseSystemdCgroup: r.Systemd,
		RootlessEUID:     r.Rootless,
		RootlessCgroups:  r.Rootless,
	})
	if err != nil {
		return Verdict{Step: "convert", Error: err.Error()}
	}
	if err := validate.Validate(config); err != nil {
		return Verdict{Step: "validate", Error: err.Error()}
	}
	if config.Scheduler != nil {
		if _, err := configs.ToSchedAttr(config.Scheduler); err != nil {
			return Verdict{Step: "start", Error: err.Error()}
		}
	}
	return Verdict{}
}

// warnings keeps what runc would log as a warning.
type warnings struct{ texts []string }

func (w *warnings) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

func (w *warnings) Fire(e *logrus.Entry) error {
	w.texts = append(w.texts, e.Message)
	return nil
}
