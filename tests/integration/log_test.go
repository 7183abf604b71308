package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runack/tests/harness"
)

type logEntry struct {
	Level, Msg, Time string
}

func readLog(t *testing.T, path string) []logEntry {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []logEntry
	for d := json.NewDecoder(f); d.More(); {
		var e logEntry
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if _, err := time.Parse(time.RFC3339, e.Time); err != nil {
			t.Errorf("time of a log entry: %v", err)
		}
		entries = append(entries, e)
	}
	return entries
}

// podman reads the file as one object, containerd as a stream whose last error counts.
func TestAFailureIsOneErrorObjectInTheLog(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/nothing/like/it"))
	id, _ := detached(e)
	rows := map[string]struct {
		code int
		args []string
	}{
		"state":  {1, []string{"state", e.ID("nobody")}},
		"run":    {1, []string{"run", "-b", b.Dir, e.ID("c")}},
		"create": {1, []string{"create", "-b", "/no/such/bundle", e.ID("c")}},
		"exec":   {255, []string{"exec", id, "/nothing/like/it"}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			log := filepath.Join(e.Dir, "log-"+name)
			e.Bare(append([]string{"--root", e.Root, "--log", log, "--log-format", "json"}, row.args...)...).Fails(row.code)
			entries := readLog(t, log)
			if harness.IsRunack() && len(entries) != 1 {
				t.Fatalf("%d entries: %+v", len(entries), entries)
			}
			last := entries[len(entries)-1]
			if last.Level != "error" || last.Msg == "" {
				t.Errorf("the last entry is %+v", last)
			}
		})
	}
	remove(e, id)
}

func TestSuccessLogsNothing(t *testing.T) {
	e := harness.New(t)
	log := filepath.Join(e.Dir, "log")
	b := e.Bundle(harness.Args("/bin/true"))
	e.Bare("--root", e.Root, "--log", log, "--log-format=json", "run", "-b", b.Dir, e.ID("c")).OK()
	if text, err := os.ReadFile(log); err == nil && len(text) != 0 {
		t.Errorf("logged: %s", text)
	}
}

func TestDebugLogsJSONObjectsOnly(t *testing.T) {
	e := harness.New(t)
	log := filepath.Join(e.Dir, "log")
	b := e.Bundle(harness.Args("/bin/true"))
	e.Bare("--root", e.Root, "--debug", "--log", log, "--log-format", "json", "run", "-b", b.Dir, e.ID("c")).OK()
	entries := readLog(t, log)
	if len(entries) == 0 {
		t.Fatal("nothing logged")
	}
	for _, entry := range entries {
		if entry.Level == "error" {
			t.Errorf("an error in the log of a success: %+v", entry)
		}
	}
	if harness.IsRunack() {
		wantContains(t, "the debug log", strings.ToLower(e.Read(log)), "ready", "joined", "mounted", "created", "executing")
	}
}
