package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// What the shim writes into a bundle, for a `delete` that comes after its own end.
const (
	stateFile   = "runack-shim.json" // a containerState
	exitFile    = "runack-exit.json" // a savedExit
	addressFile = "address"          // where the shim listens; containerd 1.6 reads it too
)

// defaultRoot holds the containers of all namespaces, unless the option Root says otherwise.
const defaultRoot = "/run/containerd/runack"

// storeRoot is where the containers of a namespace have their state, as runc's shim lays it out.
func storeRoot(root, namespace string) string {
	if root == "" {
		root = defaultRoot
	}
	return filepath.Join(root, namespace)
}

// save writes the state down before there is anything to find again.
func (c containerState) save() error { return writeJSON(filepath.Join(c.Bundle, stateFile), c) }

// loadState reads a bundle's state back; the zero value where no create has come so far.
func loadState(bundle string) (containerState, error) {
	var c containerState
	err := readJSON(filepath.Join(bundle, stateFile), &c)
	return c, err
}

// A savedExit is the end of an init, written down before it is told.
type savedExit struct {
	Pid    int
	Status uint32
	At     time.Time
}

func recordExit(bundle string, pid int, exit exitInfo) error {
	return writeJSON(filepath.Join(bundle, exitFile), savedExit{pid, exit.status, exit.at})
}

func loadExit(bundle string) (savedExit, error) {
	var e savedExit
	err := readJSON(filepath.Join(bundle, exitFile), &e)
	return e, err
}

// writeJSON writes a file whole or not at all.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

// readJSON leaves v alone where there is no file.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
