package seccomp

import (
	"bytes"
	"context"
	_ "embed" // for the compiler
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/internal/sealed"
	"runack/plan"
)

// compilerBinary is the static executable that the Makefile builds from folder compiler.
//
//go:embed compiler.bin
var compilerBinary []byte

// compilerTimeout bounds a profile that libseccomp cannot digest. It takes some milliseconds.
const compilerTimeout = time.Minute

// Filter turns a profile into the step that loads it. cache is a directory for compiled programs,
// made where it is missing (the one above must be there); with "" nothing is kept. What the cache cannot do costs time and nothing
// else. Errors are *plan.Error where the profile is at fault.
func Filter(p *specs.LinuxSeccomp, cache string) (*plan.Seccomp, error) {
	flags, err := flagBits(p.Flags)
	if err != nil {
		return nil, err
	}
	req, err := request(p)
	if err != nil {
		return nil, err
	}
	program, err := openCache(cache, req).get(func() ([]byte, error) { return compile(p, req) })
	if err != nil {
		return nil, err
	}
	return &plan.Seccomp{
		Program: base64.StdEncoding.EncodeToString(program), Flags: flags,
		Listener: slices.ContainsFunc(p.Syscalls, func(r specs.LinuxSyscall) bool { return r.Action == specs.ActNotify }),
	}, nil
}

// compile makes the program of a request.
func compile(p *specs.LinuxSeccomp, req []byte) ([]byte, error) {
	out, err := runCompiler(req)
	if err != nil {
		return nil, err
	}
	a, err := parseAnswer(out)
	if err != nil {
		return nil, err
	}
	t, nodes, err := evaluate(a.program)
	if err != nil {
		return nil, err
	}
	if needsENOSYS(p) {
		t.addENOSYS(a.last, nodes)
	}
	program, err := assemble(t)
	if err != nil {
		return nil, refuse("", err.Error())
	}
	return encodeProgram(program), nil
}

// runCompiler gives a request to the compiler and returns its answer.
func runCompiler(req []byte, args ...string) ([]byte, error) {
	fd, err := sealed.Copy("seccomp compiler", compilerBinary)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	ctx, cancel := context.WithTimeout(context.Background(), compilerTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, sealed.Path(fd), args...)
	cmd.Args[0] = "runack-seccomp"
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin = bytes.NewReader(req)
	out := &bounded{limit: maxAnswer}
	cmd.Stdout = out
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.data, nil
	case context.Cause(ctx) != nil:
		return nil, refuse("", fmt.Sprintf("libseccomp did not compile it within %v", compilerTimeout))
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return nil, parseRefusal(string(out.data))
	}
	return nil, fmt.Errorf("run seccomp compiler: %w", err)
}

// bounded is a buffer that refuses to grow over its limit.
type bounded struct {
	data  []byte
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.limit {
		return 0, os.ErrInvalid
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
