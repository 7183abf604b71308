//go:build generate

package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// bashCompletion completes verbs, options, containers, and files where an option takes one.
func bashCompletion(app *cli.App) string {
	var b strings.Builder
	b.WriteString(`# bash completion for runack. Generated; do not edit.
_runack() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= word i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
`)
	fmt.Fprintf(&b, "\t\t%s) ((i++)) ;;\n", strings.Join(valued(app.Flags), " | "))
	b.WriteString(`		-*) ;;
		*) verb=$word; break ;;
		esac
	done
	local options= files= ids=
	case $verb in
`)
	bashCase(&b, "''", app.Flags, false)
	for _, c := range shown(app) {
		bashCase(&b, c.Name, c.Flags, takesID(c))
	}
	b.WriteString(`	esac
	if [[ $prev == -* && " $files " == *" $prev "* ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
	elif [[ -z $verb ]]; then
`)
	fmt.Fprintf(&b, "\t\tmapfile -t COMPREPLY < <(compgen -W %q -- \"$cur\")\n", strings.Join(verbNames(app), " "))
	b.WriteString(`	elif [[ -n $ids ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(runack list --quiet 2>/dev/null)" -- "$cur")
	fi
}
complete -o filenames -o bashdefault -F _runack runack
`)
	return b.String()
}

func bashCase(b *strings.Builder, verb string, flags []cli.Flag, ids bool) {
	var all, files []string
	for _, o := range options(flags) {
		all = append(all, o.names...)
		if o.files {
			files = append(files, o.names...)
		}
	}
	fmt.Fprintf(b, "\t%s)\n\t\toptions='%s'\n\t\tfiles='%s'\n", verb, strings.Join(append(all, "--help"), " "), strings.Join(files, " "))
	if ids {
		b.WriteString("\t\tids=1\n")
	}
	b.WriteString("\t\t;;\n")
}

// valued lists the names of the flags that take a value.
func valued(flags []cli.Flag) (names []string) {
	for _, o := range options(flags) {
		if o.value != "" {
			names = append(names, o.names...)
		}
	}
	return names
}

func verbNames(app *cli.App) (names []string) {
	for _, c := range shown(app) {
		names = append(names, c.Name)
	}
	return names
}

func zshCompletion(app *cli.App) string {
	var b strings.Builder
	b.WriteString(`#compdef runack
# zsh completion for runack. Generated; do not edit.
_runack_ids() {
	local -a ids
	ids=(${(f)"$(runack list --quiet 2>/dev/null)"})
	_describe container ids
}
_runack() {
	local context state line
	typeset -A opt_args
	_arguments -C \
`)
	zshOptions(&b, app.Flags)
	b.WriteString("\t\t'1: :->verb' '*:: :->rest'\n\tcase $state in\n\tverb)\n\t\tlocal -a verbs\n\t\tverbs=(\n")
	for _, c := range shown(app) {
		fmt.Fprintf(&b, "\t\t\t%s\n", quoted(c.Name+":"+c.Usage))
	}
	b.WriteString("\t\t)\n\t\t_describe verb verbs\n\t\t;;\n\trest)\n\t\tcase $words[1] in\n")
	for _, c := range shown(app) {
		fmt.Fprintf(&b, "\t\t%s)\n\t\t\t_arguments \\\n", c.Name)
		zshOptions(&b, c.Flags)
		rest := "_files"
		if takesID(c) {
			rest = "_runack_ids"
		}
		fmt.Fprintf(&b, "\t\t\t\t'*: :%s'\n\t\t\t;;\n", rest)
	}
	b.WriteString("\t\tesac\n\t\t;;\n\tesac\n}\n_runack \"$@\"\n")
	return b.String()
}

func zshOptions(b *strings.Builder, flags []cli.Flag) {
	for _, o := range options(flags) {
		for _, n := range o.names {
			text := n
			if o.value != "" && strings.HasPrefix(n, "--") {
				text += "="
			}
			text += "[" + strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(o.usage) + "]"
			switch {
			case o.files:
				text += ":" + o.value + ":_files"
			case o.value != "":
				text += ":" + strings.NewReplacer("[", "", "]", "", ":", " ").Replace(o.value) + ": "
			}
			fmt.Fprintf(b, "\t\t\t\t%s \\\n", quoted(text))
		}
	}
}

func fishCompletion(app *cli.App) string {
	var b strings.Builder
	b.WriteString("# fish completion for runack. Generated; do not edit.\ncomplete -c runack -f\n")
	fishOptions(&b, "__fish_use_subcommand", app.Flags)
	for _, c := range shown(app) {
		fmt.Fprintf(&b, "complete -c runack -n __fish_use_subcommand -a %s -d %s\n", c.Name, quoted(c.Usage))
		when := "__fish_seen_subcommand_from " + c.Name
		fishOptions(&b, when, c.Flags)
		if takesID(c) {
			fmt.Fprintf(&b, "complete -c runack -n %s -a '(runack list --quiet 2>/dev/null)'\n", quoted(when))
		}
	}
	return b.String()
}

func fishOptions(b *strings.Builder, when string, flags []cli.Flag) {
	for _, o := range options(flags) {
		fmt.Fprintf(b, "complete -c runack -n %s", quoted(when))
		for _, n := range o.names {
			if long, ok := strings.CutPrefix(n, "--"); ok {
				fmt.Fprintf(b, " -l %s", long)
			} else {
				fmt.Fprintf(b, " -s %s", strings.TrimPrefix(n, "-"))
			}
		}
		switch {
		case o.files:
			b.WriteString(" -rF")
		case o.value != "":
			b.WriteString(" -x")
		}
		fmt.Fprintf(b, " -d %s\n", quoted(o.usage))
	}
}

// quoted makes one word of a text, for the shells.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
