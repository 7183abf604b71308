//go:build generate

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// With the tag generate this is another program, of which the runtime has nothing: it writes
// runack's man pages and shell completions into a directory, from the same definitions that the
// runtime parses its options by.
func main() {
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: generate DIR")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(dir string) error {
	_ = os.Unsetenv("XDG_RUNTIME_DIR") // the default of --root is to be root's
	app := newApp(newErrorLog(), nil)
	date, err := sourceDate()
	if err != nil {
		return err
	}
	files := map[string]string{
		"man/runack.8":                 manApp(app, date),
		"completions/bash/runack":      bashCompletion(app),
		"completions/zsh/_runack":      zshCompletion(app),
		"completions/fish/runack.fish": fishCompletion(app),
	}
	for _, c := range shown(app) {
		files["man/runack-"+c.Name+".8"] = manVerb(app, c, date)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sourceDate is the date that the pages bear: that of the sources, so that they are the same
// whenever they are built.
func sourceDate() (string, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return "", nil
	}
	var seconds int64
	if _, err := fmt.Sscan(epoch, &seconds); err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH=%q: %w", epoch, err)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}

// shown lists the verbs that the help lists.
func shown(app *cli.App) (list []*cli.Command) {
	for _, c := range app.Commands {
		if !c.Hidden {
			list = append(list, c)
		}
	}
	return list
}

// An option is a flag as its user sees it.
type option struct {
	names []string // long ones first, with their dashes
	value string   // what it takes, "" for a switch
	usage string
	deflt string
	files bool // the value is a path
}

// options lists the visible flags.
func options(flags []cli.Flag) (list []option) {
	for _, f := range flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		var o option
		for _, n := range f.Names() {
			if len(n) == 1 {
				o.names = append(o.names, "-"+n)
			} else {
				o.names = append(o.names, "--"+n)
			}
		}
		slices.SortStableFunc(o.names, func(a, b string) int { return min(len(b), 3) - min(len(a), 3) })
		if d, ok := f.(cli.DocGenerationFlag); ok {
			o.usage = d.GetUsage()
			if d.TakesValue() {
				o.value, o.usage = placeholder(o.usage)
				o.deflt = d.GetValue()
			}
		}
		o.files = slices.Contains([]string{"FILE", "DIR", "PATH"}, o.value)
		list = append(list, o)
	}
	return list
}

// placeholder takes the name of the value out of a usage text, where it stands in backquotes.
func placeholder(usage string) (name, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	name, after, closed := strings.Cut(rest, "`")
	if !ok || !closed {
		return "VALUE", usage
	}
	return name, before + name + after
}

// takesID tells whether a verb's argument is a container that there is.
func takesID(c *cli.Command) bool {
	return strings.HasPrefix(c.ArgsUsage, "ID") && c.Name != "create" && c.Name != "run" && c.Name != "restore"
}
