package processes

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

func like(edit func(*specs.Process)) harness.Edit {
	return func(s *spec) { edit(s.Process) }
}

// Options of exec go over the container's process, field by field; a process file is whole, but for what
// it leaves open about rights, which is the container's.
func TestWhatAnExecTakesFromWhere(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e, like(func(p *specs.Process) {
		p.Env = []string{"PATH=/bin", "A=container", "B=container"}
		p.Cwd, p.User = "/tmp", specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{7}}
		p.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}}
		p.NoNewPrivileges = true
	}))
	file := e.File("process.json", `{"args":["/bin/sh","-c","SCRIPT"],"cwd":"/","env":["PATH=/bin","C=file"],"user":{"uid":5,"gid":6}}`)
	const show = `echo $A-$B-$C $(pwd) $(id -u):$(id -g) $(id -G | tr ' ' ,) $HOME
grep -E 'CapBnd|NoNewPrivs' /proc/self/status | cut -f2 | tr '\n' ' '`
	ofFile := e.File("script.json", strings.Replace(e.Read(file), "SCRIPT", jsonText(show), 1))
	bounding := "0000000000000020"
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"nothing said": {nil, "container-container- /tmp 1000:100 100,7 /home\n" + bounding + " 1 "},
		"environment": {[]string{"--env", "A=option", "--env", "A=twice", "--env", "C=new", "--env", "HOME=/h"},
			"twice-container-new /tmp 1000:100 100,7 /h\n" + bounding + " 1 "},
		"user":              {[]string{"--user", "0"}, "container-container- /tmp 0:100 100,7 /root\n" + bounding + " 1 "},
		"user and group":    {[]string{"--user", "9:8", "-g", "3"}, "container-container- /tmp 9:8 8,3,7 /\n" + bounding + " 1 "},
		"directory":         {[]string{"--cwd", "/bin"}, "container-container- /bin 1000:100 100,7 /home\n" + bounding + " 1 "},
		"rights":            {[]string{"--cap", "CAP_CHOWN", "--no-new-privs=false"}, "container-container- /tmp 1000:100 100,7 /home\n0000000000000021 0 "},
		"file":              {[]string{"-p", ofFile}, "--file / 5:6 6 /\n" + bounding + " 0 "},
		"file, not options": {[]string{"-p", ofFile, "--env", "A=x", "--user", "9"}, "--file / 5:6 6 /\n" + bounding + " 0 "},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "rights") {
				e.On(t).RunackOnly("is the measure; runc 1.1.5 has --no-new-privs only to switch on")
			}
			args := append(append([]string{"exec"}, row.args...), id)
			if row.args == nil || row.args[0] != "-p" {
				args = append(args, "/bin/sh", "-c", show)
			}
			wantEqual(t, "the process", e.On(t).OK(args...), row.want)
		})
	}
	remove(e, id)
}

func jsonText(s string) string {
	return strings.NewReplacer("\\", `\\`, "\"", `\"`, "\n", `\n`).Replace(s)
}

// What cannot be is said in one line, with 255, and the container goes on.
func TestExecsThatAreRefused(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	for name, row := range map[string]struct {
		args []string
		want []string
	}{
		"missing program":   {[]string{id, "nosuch"}, []string{`exec: "nosuch": executable file not found in $PATH`}},
		"missing path":      {[]string{id, "/no/such"}, []string{`exec: "/no/such"`, "no such file or directory"}},
		"not executable":    {[]string{id, "/etc/passwd"}, []string{`exec: "/etc/passwd"`, "permission denied"}},
		"a directory":       {[]string{id, "/bin"}, []string{`exec: "/bin"`, "is a directory"}},
		"no program at all": {[]string{id}, []string{"exec args cannot be empty"}},
		"user by name":      {[]string{"--user", "web", id, "true"}, []string{`user "web"`}},
		"user with a tail":  {[]string{"--user", "0:0:0", id, "true"}, []string{`user "0:0:0"`}},
		"user with a sign":  {[]string{"--user", "-1", id, "true"}, []string{"-1"}},
		"user (uid_t)-1":    {[]string{"--user", "4294967295", id, "true"}, []string{"4294967295"}},
		"relative cwd":      {[]string{"--cwd", "tmp", id, "true"}, []string{"cwd"}},
		"missing file":      {[]string{"-p", "/no/such", id}, []string{"/no/such"}},
		"no container":      {[]string{e.ID("nobody"), "true"}, []string{"container does not exist"}},
		"nothing":           {nil, []string{"requires a minimum of 1 argument"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !harness.IsRunack() {
				t.Skip("the words are runack's")
			}
			harness.OneLine(t, e.On(t).Fails(255, append([]string{"exec"}, row.args...)...), row.want...)
		})
	}
	wantEqual(t, "afterwards", e.OK("exec", id, "ps", "-o", "comm"), "COMMAND\nprobe\nps\n")
	remove(e, id)
}

// A container that was created and not started has no program yet, and can be looked into.
func TestExecIntoACreatedContainer(t *testing.T) {
	e := harness.New(t)
	id := e.ID("c")
	e.OK("create", "-b", e.Bundle(harness.Probe("wait")).Dir, id)
	wantEqual(t, "output", e.OK("exec", id, "echo", "in"), "in\n")
	e.OK("start", id)
	wantEqual(t, "output", e.OK("exec", id, "cat", "/proc/1/comm"), "probe\n")
	remove(e, id)
}
