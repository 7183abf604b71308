package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// interleave moves a command's options in front of its arguments, since the cli package stops
// reading options at the first argument, while runc's callers may write `delete ID --force`.
// Left alone are exec, ps and try, whose arguments have options of their own, and what follows "--".
func interleave(app *cli.App, args []string) []string {
	at := commandIndex(app.Flags, args)
	if at < 0 {
		return args
	}
	cmd := app.Command(args[at])
	if cmd == nil || cmd.SkipFlagParsing || cmd.Name == "exec" || cmd.Name == "ps" || cmd.Name == "try" {
		return args
	}
	options, rest := split(cmd.Flags, args[at+1:])
	return slices.Concat(args[:at+1], options, rest)
}

// commandIndex finds the command behind the global options, -1 where there is none.
func commandIndex(global []cli.Flag, args []string) int {
	for i := 1; i < len(args); i++ {
		if !isOption(args[i]) {
			return i
		}
		if takesNext(global, args[i]) {
			i++
		}
	}
	return -1
}

// split separates options, with their values, from arguments. The arguments follow a "--" if one
// of them could be taken for an option.
func split(flags []cli.Flag, args []string) (options, rest []string) {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			rest = append(rest, args[i+1:]...)
			return append(options, "--"), rest
		case !isOption(args[i]):
			rest = append(rest, args[i])
		default:
			options = append(options, args[i])
			if takesNext(flags, args[i]) && i+1 < len(args) {
				i++
				options = append(options, args[i])
			}
		}
	}
	return options, rest
}

// isOption: a lone "-" is an argument (standard input).
func isOption(arg string) bool { return len(arg) > 1 && arg[0] == '-' && arg != "--" }

// takesNext says whether the next word is this option's value. An unknown option has none; the
// parser refuses it later.
func takesNext(flags []cli.Flag, option string) bool {
	name := strings.TrimLeft(option, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool
		}
	}
	return false
}
