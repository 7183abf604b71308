package stagewire

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The stage's reader says of every vector what it is expected to say, whichever compiler built it,
// and keeps no descriptor.
func TestVectors(t *testing.T) {
	for _, cc := range compilers {
		t.Run(cc, func(t *testing.T) { runVectors(t, cc, vectorFiles(t, "*.txt")) })
	}
}

// Cut at every byte, a good frame is end of file, a short header or a short payload.
func TestVectorsCutAtEveryByte(t *testing.T) {
	for _, cc := range compilers {
		t.Run(cc, func(t *testing.T) { runVectors(t, cc, vectorFiles(t, "good.txt"), "--cut") })
	}
}

func runVectors(t *testing.T, cc string, files []string, options ...string) {
	cmd := exec.Command(program(t, cc, "vectors"), append(options, files...)...)
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("%v\n%s", err, stderr.Bytes())
	}
	results := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		verdict, name, _ := strings.Cut(lines.Text(), " ")
		if verdict != "ok" {
			t.Error(lines.Text())
		}
		results[name] = verdict
	}
	for _, name := range stageVectors(t, files) {
		// The longest are not cut.
		if results[name] == "" && !(len(options) > 0 && strings.HasPrefix(name, "longest payload")) {
			t.Errorf("no verdict on %q", name)
		}
	}
}

// stageVectors lists the vectors that a stage reads.
func stageVectors(t *testing.T, files []string) (names []string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		for line := range strings.Lines(string(text)) {
			word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			switch {
			case word == "vector":
				name = rest
			case word == "reader" && rest != "runtime":
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("no vectors for a stage")
	}
	return names
}
