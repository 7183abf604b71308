package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"runack/container"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	err := writeTable(&b, []*container.State{{
		ID: "web1", Pid: 42, Status: container.Running, Bundle: "/b",
		Created: time.Unix(1700000000, 5).UTC(), Owner: "root",
	}})
	want := "ID          PID         STATUS      BUNDLE      CREATED                          OWNER\n" +
		"web1        42          running     /b          2023-11-14T22:13:20.000000005Z   root\n"
	if err != nil || b.String() != want {
		t.Errorf("got\n%s%v\nwant\n%s", b.String(), err, want)
	}
}

func TestFilterPS(t *testing.T) {
	const output = "UID        PID  PPID CMD\nroot         1     0 init\nroot        42     1 sh 17\nroot        17     1 x\n\n"
	var b strings.Builder
	if err := filterPS(&b, output, []int{42}); err != nil {
		t.Fatal(err)
	}
	if want := "UID        PID  PPID CMD\nroot        42     1 sh 17\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	if err := filterPS(&b, "A B\n1 2\n", []int{1}); err == nil {
		t.Error("output without PID was accepted")
	}
}

func TestOneLine(t *testing.T) {
	err := errors.Join(errors.New("the cause"), errors.Join(errors.New("undo 1"), errors.New("undo 2\n")))
	if got, want := oneLine(err), "the cause; undo 1; undo 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSpec(t *testing.T) {
	dir := t.TempDir()
	if r := runack(t, "spec", "-b", dir); r != (result{}) {
		t.Fatalf("%+v", r)
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil || spec.Process == nil || spec.Root == nil {
		t.Errorf("%s: %v", data, err)
	}
	again := runack(t, "spec", "--bundle", dir)
	if again.code != 1 || !strings.Contains(again.stderr, "config.json exists; remove it first") {
		t.Errorf("a second time: %+v", again)
	}
	rootless := t.TempDir()
	if r := runack(t, "spec", "--rootless", "-b", rootless); r.code != 0 {
		t.Errorf("%+v", r)
	}
	data, err = os.ReadFile(filepath.Join(rootless, "config.json"))
	if err != nil || !strings.Contains(string(data), `"user"`) {
		t.Errorf("no user namespace: %v", err)
	}
}

func TestFeatures(t *testing.T) {
	r := runack(t, "features")
	var f features.Features
	if err := json.Unmarshal([]byte(r.stdout), &f); err != nil || f.OCIVersionMax == "" || f.Linux == nil {
		t.Errorf("%+v: %v", r, err)
	}
	for key, value := range f.Annotations {
		if strings.Contains(key, "checkpoint") && value != "false" {
			t.Errorf("%s is %s", key, value)
		}
	}
}

func TestStateOfABadRecord(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "web1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "web1", "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runack(t, "--root", root, "state", "web1")
	if r.code != 1 || !strings.Contains(r.stderr, "web1/state.json") || !strings.Contains(r.stderr, "delete --force") {
		t.Errorf("state: %+v", r)
	}
	r = runack(t, "--root", root, "list")
	if r.code != 0 || !strings.Contains(r.stderr, "container web1: ") || strings.Contains(r.stdout, "web1") {
		t.Errorf("list: %+v", r)
	}
}
