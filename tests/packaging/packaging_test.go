package packaging

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repo = "../.."

// command runs a program in the source tree and returns what it wrote.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = repo
	for _, v := range os.Environ() {
		// The make that runs the tests is another one than the make that they run.
		if !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// files lists what lies below a directory.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// helpVerb is a line of the help's list of verbs.
var helpVerb = regexp.MustCompile(`(?m)^   ([a-z]+)(?:, [a-z]+)* {2,}\S`)

// verbs asks the program itself.
func verbs(t *testing.T, runack string) (names []string) {
	t.Helper()
	_, list, _ := strings.Cut(command(t, runack, "--help"), "COMMANDS:")
	list, _, _ = strings.Cut(list, "GLOBAL OPTIONS:")
	for _, m := range helpVerb.FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	if len(names) < 15 {
		t.Fatalf("found only the verbs %q", names)
	}
	return names
}

var longOption = regexp.MustCompile(`(?m)^   (--[a-z0-9-]+)`)

func TestInstall(t *testing.T) {
	dest := t.TempDir()
	command(t, "make", "-s", "install", "PREFIX=/opt/some", "DESTDIR="+dest)
	root := filepath.Join(dest, "opt/some")
	runack := filepath.Join(root, "bin/runack")
	got := files(t, dest)
	t.Run("programs", func(t *testing.T) {
		if !strings.Contains(command(t, runack, "--version"), "\nrunack version ") {
			t.Error("not the runtime")
		}
		command(t, filepath.Join(root, "bin/containerd-shim-runack-v2"), "-v")
	})
	t.Run("man pages know every verb and option", func(t *testing.T) {
		for _, verb := range verbs(t, runack) {
			page := read(t, filepath.Join(root, "share/man/man8/runack-"+verb+".8"))
			page = strings.ReplaceAll(page, `\-`, "-")
			for _, m := range longOption.FindAllStringSubmatch(command(t, runack, verb, "--help"), -1) {
				if m[1] != "--help" && !strings.Contains(page, `\fB`+m[1]+`\fR`) {
					t.Errorf("runack-%s(8) does not have %s", verb, m[1])
				}
			}
		}
	})
	t.Run("man pages are well formed", func(t *testing.T) {
		if _, err := exec.LookPath("groff"); err != nil {
			t.Skip("groff is not installed: the macros are not checked")
		}
		for _, name := range got {
			if strings.HasSuffix(name, ".8") {
				if out := command(t, "groff", "-man", "-Tutf8", "-ww", "-z", filepath.Join(dest, name)); out != "" {
					t.Errorf("%s: %s", name, out)
				}
			}
		}
	})
	t.Run("completions know every verb", func(t *testing.T) {
		for _, name := range []string{"bash-completion/completions/runack", "zsh/vendor-completions/_runack", "fish/vendor_completions.d/runack.fish"} {
			text := read(t, filepath.Join(root, "share", name))
			for _, verb := range verbs(t, runack) {
				if !regexp.MustCompile(`\b` + verb + `\b`).MatchString(text) {
					t.Errorf("%s does not have %s", name, verb)
				}
			}
		}
	})
	t.Run("zsh and fish take theirs", func(t *testing.T) {
		tried := 0
		for shell, name := range map[string]string{"zsh": "zsh/vendor-completions/_runack", "fish": "fish/vendor_completions.d/runack.fish"} {
			if _, err := exec.LookPath(shell); err == nil {
				command(t, shell, "-n", filepath.Join(root, "share", name))
				tried++
			}
		}
		if tried == 0 {
			t.Skip("neither zsh nor fish is installed")
		}
	})
	t.Run("snippets name the program", func(t *testing.T) {
		var docker struct {
			Runtimes map[string]struct{ Path string }
		}
		if err := json.Unmarshal([]byte(read(t, filepath.Join(root, "share/doc/runack/examples/docker-daemon.json"))), &docker); err != nil {
			t.Fatal(err)
		}
		if docker.Runtimes["runack"].Path != "/opt/some/bin/runack" {
			t.Errorf("%+v", docker)
		}
		for _, name := range got {
			if strings.Contains(name, "/examples/") && strings.Contains(read(t, filepath.Join(dest, name)), "@") {
				t.Errorf("%s has a name that was not filled in", name)
			}
		}
	})
	t.Run("uninstall", func(t *testing.T) {
		command(t, "make", "-s", "uninstall", "PREFIX=/opt/some", "DESTDIR="+dest)
		if left := files(t, dest); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// What bash offers after a few words on the command line; the last one is being typed.
func TestBashCompletes(t *testing.T) {
	command(t, "make", "-s", "docs")
	script, err := filepath.Abs(filepath.Join(repo, "build/generated/completions/bash/runack"))
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "runack"), []byte("#!/bin/sh\n[ \"$*\" = 'list --quiet' ] && echo web db\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, row := range []struct {
		typed []string
		want  []string
	}{
		{[]string{"del"}, []string{"delete"}},
		{[]string{"--root", "/x", "del"}, []string{"delete"}},
		{[]string{"--deb"}, []string{"--debug"}},
		{[]string{"exec", "--pidfd"}, []string{"--pidfd-socket"}},
		{[]string{"kill", "w"}, []string{"web"}},
		{[]string{"--debug", "exec", ""}, []string{"web", "db"}},
		{[]string{"create", ""}, nil},
	} {
		t.Run(strings.Join(row.typed, " "), func(t *testing.T) {
			args := append([]string{"-c", `source "$0"; COMP_WORDS=(runack "$@"); COMP_CWORD=$#; _runack; printf '%s\n' "${COMPREPLY[@]}"`, script}, row.typed...)
			if got := strings.Fields(command(t, "bash", args...)); !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestDebianPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("there is no dpkg-deb: this is no Debian")
	}
	command(t, "make", "-s", "package")
	debs, err := filepath.Glob(filepath.Join(repo, "build/package/*.deb"))
	if err != nil || len(debs) != 1 {
		t.Fatalf("packages %q, %v", debs, err)
	}
	deb, err := filepath.Abs(debs[0])
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	command(t, "dpkg-deb", "--raw-extract", deb, root)
	t.Run("nothing enables itself", func(t *testing.T) {
		if got := files(t, filepath.Join(root, "DEBIAN")); !slices.Equal(got, []string{"control", "md5sums"}) {
			t.Errorf("control files %q: a script would change the host", got)
		}
		for _, name := range files(t, root) {
			if !strings.HasPrefix(name, "usr/") && !strings.HasPrefix(name, "DEBIAN/") {
				t.Errorf("%s is not below /usr", name)
			}
		}
	})
	t.Run("programs run from it", func(t *testing.T) {
		command(t, filepath.Join(root, "usr/bin/runack"), "features")
		command(t, filepath.Join(root, "usr/bin/containerd-shim-runack-v2"), "-v")
	})
	t.Run("its version is Debian's", func(t *testing.T) {
		version := strings.TrimSpace(command(t, "dpkg-deb", "--field", deb, "Version"))
		command(t, "dpkg", "--validate-version", version)
	})
	t.Run("everything belongs to root", func(t *testing.T) {
		for _, line := range strings.Split(strings.TrimSpace(command(t, "dpkg-deb", "--contents", deb)), "\n") {
			if !strings.Contains(line, " root/root ") || strings.HasPrefix(line, "-rws") {
				t.Error(line)
			}
		}
	})
	t.Run("lintian", func(t *testing.T) {
		if _, err := exec.LookPath("lintian"); err != nil {
			t.Skip("lintian is not installed")
		}
		command(t, "lintian", "--fail-on", "error", "--suppress-tags", "statically-linked-binary", deb)
	})
}
