//go:build generate

package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// Man pages are written in man(7)'s macros.

func manHead(b *strings.Builder, name, usage, date string) {
	fmt.Fprintf(b, ".TH %s 8 %q \"runack %s\" \"runack\"\n", strings.ToUpper(name), date, roff(version))
	fmt.Fprintf(b, ".SH NAME\n%s \\- %s\n", roff(name), roff(usage))
}

// manApp is the page of the program: the options in front of the verb, and the verbs.
func manApp(app *cli.App, date string) string {
	var b strings.Builder
	manHead(&b, app.Name, app.Usage, date)
	b.WriteString(".SH SYNOPSIS\n.B runack\n[\\fIoptions\\fR]\n.I verb\n[\\fIarguments\\fR]\n")
	b.WriteString(".SH DESCRIPTION\n")
	b.WriteString(paragraphs(app.Description))
	manOptions(&b, app.Flags)
	b.WriteString(".SH VERBS\n")
	for _, c := range shown(app) {
		fmt.Fprintf(&b, ".TP\n.BR runack\\-%s (8)\n%s\n", roff(c.Name), line(c.Usage))
	}
	b.WriteString(".SH EXIT STATUS\n0, or that of the container's program for\n.B run\nand\n.BR exec ,\n" +
		"128 plus the signal's number where one ended it. 1 for an error of runack's, 255 where\n.B exec\ncould not set its process up.\n")
	b.WriteString(".SH FILES\n.TP\n.I /run/runack\nthe state of root's containers\n.TP\n.I $XDG_RUNTIME_DIR/runack\nthat of an ordinary user's\n")
	b.WriteString(".SH SEE ALSO\n.BR runc (8),\n.BR containerd (8),\n.BR podman (1)\n")
	return b.String()
}

// manVerb is the page of a verb.
func manVerb(app *cli.App, c *cli.Command, date string) string {
	var b strings.Builder
	manHead(&b, app.Name+"-"+c.Name, c.Usage, date)
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B runack\n[\\fIoptions\\fR]\n.B %s\n[\\fIoptions\\fR]\n%s\n", roff(c.Name), line(c.ArgsUsage))
	if c.Description != "" {
		b.WriteString(".SH DESCRIPTION\n")
		b.WriteString(paragraphs(c.Description))
	}
	manOptions(&b, c.Flags)
	b.WriteString(".SH SEE ALSO\n.BR runack (8)\n")
	return b.String()
}

func manOptions(b *strings.Builder, flags []cli.Flag) {
	list := options(flags)
	if len(list) == 0 {
		return
	}
	b.WriteString(".SH OPTIONS\n")
	for _, o := range list {
		names := make([]string, len(o.names))
		for i, n := range o.names {
			names[i] = "\\fB" + roff(n) + "\\fR"
		}
		fmt.Fprintf(b, ".TP\n%s", strings.Join(names, ", "))
		if o.value != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(o.value))
		}
		fmt.Fprintf(b, "\n%s\n", line(o.usage+defaultText(o)))
	}
}

func defaultText(o option) string {
	if o.deflt == "" || o.deflt == "[]" || o.deflt == "0" || strings.Contains(o.usage, "default") {
		return ""
	}
	return " (default: " + o.deflt + ")"
}

// paragraphs keeps indented lines as they are, and lets the rest flow.
func paragraphs(text string) string {
	var b strings.Builder
	example := false
	for l := range strings.SplitSeq(text, "\n") {
		indented := strings.HasPrefix(l, " ")
		if indented != example {
			b.WriteString(map[bool]string{true: ".PP\n.nf\n", false: ".fi\n"}[indented])
			example = indented
		}
		if l == "" {
			b.WriteString(".PP\n")
			continue
		}
		b.WriteString(line(l) + "\n")
	}
	if example {
		b.WriteString(".fi\n")
	}
	return b.String()
}

// roff escapes what troff would take for itself.
func roff(s string) string { return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s) }

// line is roff for a whole line, which must not look like a request.
func line(s string) string {
	s = roff(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}
