package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxAnswer is 128 Ki instructions: 32 times what the kernel would take, before it is made smaller.
const maxAnswer = 1 << 20

// An answer is what the compiler says to a request:
//
//	libseccomp VERSION
//	last ARCH NUMBER      for each architecture: the largest number that the profile names
//	program
//	struct sock_filter[], to the end
//
// or, with exit status 1, "error arch|rule|request INDEX TEXT".
type answer struct {
	version string
	last    map[uint32]uint32
	program []unix.SockFilter
}

var errAnswer = errors.New("seccomp: malformed answer of the compiler")

func parseAnswer(data []byte) (*answer, error) {
	a := &answer{last: make(map[uint32]uint32)}
	for {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("%w: cut short", errAnswer)
		}
		data = rest
		word, value, _ := strings.Cut(string(line), " ")
		switch word {
		case "libseccomp":
			a.version = value
		case "last":
			if err := a.addLast(value); err != nil {
				return nil, err
			}
		case "program":
			var err error
			a.program, err = parseProgram(data)
			return a, err
		default:
			return nil, fmt.Errorf("%w: line %q", errAnswer, line)
		}
	}
}

func (a *answer) addLast(value string) error {
	arch, nr, _ := strings.Cut(value, " ")
	token, err := strconv.ParseUint(arch, 10, 32)
	if err != nil {
		return fmt.Errorf("%w: last: %w", errAnswer, err)
	}
	last, err := strconv.ParseUint(nr, 10, 32)
	if err != nil {
		return fmt.Errorf("%w: last: %w", errAnswer, err)
	}
	a.last[uint32(token)] = uint32(last)
	return nil
}

// sizeofInstruction is that of struct sock_filter.
const sizeofInstruction = 8

func parseProgram(data []byte) ([]unix.SockFilter, error) {
	if len(data) == 0 || len(data)%sizeofInstruction != 0 {
		return nil, fmt.Errorf("%w: program of %d bytes", errAnswer, len(data))
	}
	program := make([]unix.SockFilter, 0, len(data)/sizeofInstruction)
	for ; len(data) > 0; data = data[sizeofInstruction:] {
		program = append(program, unix.SockFilter{
			Code: binary.NativeEndian.Uint16(data), Jt: data[2], Jf: data[3],
			K: binary.NativeEndian.Uint32(data[4:]),
		})
	}
	return program, nil
}

func encodeProgram(program []unix.SockFilter) []byte {
	data := make([]byte, 0, len(program)*sizeofInstruction)
	for _, in := range program {
		data = binary.NativeEndian.AppendUint16(data, in.Code)
		data = append(data, in.Jt, in.Jf)
		data = binary.NativeEndian.AppendUint32(data, in.K)
	}
	return data
}

// parseRefusal turns the compiler's last words into an error about a field.
func parseRefusal(line string) error {
	words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
	if len(words) != 4 || words[0] != "error" {
		return fmt.Errorf("%w: %q", errAnswer, line)
	}
	index, err := strconv.Atoi(words[2])
	if err != nil {
		return fmt.Errorf("%w: %q", errAnswer, line)
	}
	switch words[1] {
	case "arch":
		return refuse(item("architectures", index), words[3])
	case "rule":
		return refuse(item("syscalls", index), words[3])
	}
	return refuse("", words[3])
}
