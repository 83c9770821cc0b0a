package manpage

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// TestText: what a help has is what the page shows, whatever roff means by it.
func TestText(t *testing.T) {
	p := &page{}
	p.prose("It's `a\\b` ~/x --flag.\n.dot first\n\nExamples:\n\n  one two\n    \"three\"\n  .four\n\nAfter it [a][,b].")
	want := `It\(aqs \(gaa\eb\(ga \(ti/x \-\-flag. .dot first
.PP
Examples:
.PP
.RS "4"
.EX
one two
  \(dqthree\(dq
\&.four
.EE
.RE
.PP
After it [a]\:[,b].
`
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	p = &page{}
	p.text(strings.Repeat("a.b ", 60) + ". .x")
	for line := range strings.Lines(p.String()) {
		if len(line) > 81 || strings.HasPrefix(line, ".") {
			t.Errorf("line %q", line)
		}
	}
}

func TestConfigFile(t *testing.T) {
	k, err := kong.New(&struct {
		Port   int      `help:"Port. See --tls-port." default:"80" env:"PORT"`
		TLS    int      `name:"tls-port" help:"Other." default:"1"`
		Engine []string `key:"engines" help:"Engines. Key in files: engines."`
		Format string   `enum:"text,json" default:"text" help:"Format."`
		Off    bool     `help:"Off."`
	}{})
	if err != nil {
		t.Fatal(err)
	}
	got := string(ConfigFile(Release{"1.0.0", "2026-11-30"}, []Settings{{"Settings of it", k.Model.Node}}).Text)
	_, got, _ = strings.Cut(got, ".SH \"SETTINGS OF IT\"\n")
	got, _, _ = strings.Cut(got, ".SH")
	want := `.TP
\fBport\fR: \fIPORT\fR
Port. See tls_port. Default: 80.
.br
Environment: PORT
.TP
\fBtls_port\fR: \fIPORT\fR
Other. Default: 1.
.TP
\fBengines\fR: \fIlist\fR
Engines.
.TP
\fBformat\fR: \fItext|json\fR
Format. Default: text.
.TP
\fBoff\fR: \fItrue or false\fR
Off.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
