package main

import (
	"strings"
	"testing"
)

func TestInterleave(t *testing.T) {
	app := newApp(newErrorLog(), nil)
	for in, want := range map[string]string{
		"":                                 "",
		"list":                             "list",
		"delete web1 --force":              "delete --force web1",
		"delete web1 -f":                   "delete -f web1",
		"delete --force web1":              "delete --force web1",
		"kill web1 KILL --all":             "kill --all web1 KILL",
		"kill -a web1 9":                   "kill -a web1 9",
		"run web1 -b /b -d":                "run -b /b -d web1",
		"run web1 --bundle=/b --keep":      "run --bundle=/b --keep web1",
		"create web1 --pid-file /p":        "create --pid-file /p web1",
		"create web1 --preserve-fds 3":     "create --preserve-fds 3 web1",
		"--root /r --debug state web1":     "--root /r --debug state web1",
		"--root=/r delete web1 -f":         "--root=/r delete -f web1",
		"--log state delete web1 -f":       "--log state delete -f web1",
		"delete -- -f":                     "delete -- -f",
		"delete web1 -- -f":                "delete -- web1 -f",
		"delete web1 --bogus":              "delete --bogus web1",
		"spec -b - x":                      "spec -b - x",
		"kill - 9":                         "kill - 9",
		"exec web1 ls -l":                  "exec web1 ls -l",
		"exec -t web1 sh -c x":             "exec -t web1 sh -c x",
		"ps web1 -ef":                      "ps web1 -ef",
		"ps -f json web1":                  "ps -f json web1",
		"checkpoint web1 --image-path /i":  "checkpoint web1 --image-path /i",
		"bogus web1 --force":               "bogus web1 --force",
		"--debug":                          "--debug",
		"run web1 --bundle":                "run --bundle web1",
		"create --bundle /b --no-pivot id": "create --bundle /b --no-pivot id",
	} {
		got := interleave(app, append([]string{"runack"}, strings.Fields(in)...))
		if s := strings.Join(got[1:], " "); s != want {
			t.Errorf("%q became %q, want %q", in, s, want)
		}
	}
}
