//go:build cgo && seccomp && amd64

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/opencontainers/runc/libcontainer/seccomp"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func init() {
	// ptrace(2) wants one thread for the tracer, and the traced one must be the one that loads.
	runtime.LockOSThread()
}

func run() {
	var err error
	if len(os.Args) > 1 {
		err = load()
	} else {
		err = serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// load does what runc init does with a profile.
func load() error {
	p := &specs.LinuxSeccomp{}
	if err := json.NewDecoder(os.Stdin).Decode(p); err != nil {
		return err
	}
	config, err := specconv.SetupSeccomp(p)
	if err != nil {
		return err
	}
	_, err = seccomp.InitSeccomp(config)
	return err
}

func serve() error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var p json.RawMessage
		switch err := in.Decode(&p); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := out.Encode(watch(p)); err != nil {
			return err
		}
	}
}

// watch lets another process load a profile and looks at what it hands to the kernel, which then
// never sees it.
func watch(profile []byte) Answer {
	var stderr bytes.Buffer
	cmd := exec.Command("/proc/self/exe", "load")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(profile), &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return Answer{Error: err.Error()}
	}
	a, err := awaitFilter(cmd.Process.Pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		return Answer{Error: err.Error() + ": " + stderr.String()}
	}
	return *a
}

// awaitFilter runs a stopped process up to its seccomp(2), or prctl(2) for the same.
func awaitFilter(pid int) (*Answer, error) {
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
		return nil, err
	}
	if err := unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL); err != nil {
		return nil, err
	}
	for signal := 0; ; {
		if err := unix.PtraceSyscall(pid, signal); err != nil {
			return nil, err
		}
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
			return nil, err
		}
		if status.Exited() || status.Signaled() {
			return nil, fmt.Errorf("no filter was loaded (%v)", status)
		}
		signal = 0
		if status.StopSignal() != unix.SIGTRAP|0x80 {
			if s := status.StopSignal(); s != unix.SIGTRAP {
				signal = int(s)
			}
			continue
		}
		var regs unix.PtraceRegs
		if err := unix.PtraceGetRegs(pid, &regs); err != nil {
			return nil, err
		}
		const mode = 1 // SECCOMP_SET_MODE_FILTER
		switch {
		// libseccomp asks what the kernel knows with calls without a program.
		case regs.Orig_rax == unix.SYS_SECCOMP && regs.Rdi == mode && regs.Rdx != 0:
			program, err := readProgram(pid, uintptr(regs.Rdx))
			return &Answer{Program: program, Flags: regs.Rsi}, err
		case regs.Orig_rax == unix.SYS_PRCTL && regs.Rdi == unix.PR_SET_SECCOMP && regs.Rdx != 0:
			program, err := readProgram(pid, uintptr(regs.Rdx))
			return &Answer{Program: program}, err
		}
	}
}

// readProgram reads what a struct sock_fprog points to.
func readProgram(pid int, address uintptr) ([]byte, error) {
	head := make([]byte, 16)
	if _, err := unix.PtracePeekData(pid, address, head); err != nil {
		return nil, err
	}
	program := make([]byte, 8*int(binary.LittleEndian.Uint16(head)))
	_, err := unix.PtracePeekData(pid, uintptr(binary.LittleEndian.Uint64(head[8:])), program)
	return program, err
}
