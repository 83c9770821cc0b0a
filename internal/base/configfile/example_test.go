package configfile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/configfile"
)

type shown struct {
	Config  configfile.Flag   `name:"config-file"`
	Port    int               `help:"Port to listen on. See --web.name and --not-there. Key in files: port." default:"80" env:"A_PORT,PORT" group:"Server"`
	Web     string            `name:"web.name" key:"web_name" help:"A name." default:"true" group:"Logging"`
	Every   time.Duration     `help:"Time." group:"Server"`
	Sources []string          `help:"Where." default:"a,b c" group:"Server"`
	Engines []string          `help:"Repeat the flag." file:"Engines." example:"[{url: 'http://a:1', model: '007'}, http://b]" sep:"none" group:"Server"`
	Labels  map[string]string `help:"Labels." example:"{rack: a12}" group:"Server"`
	Secret  string            `help:"A secret." example:"''" group:"Server"`
	Off     bool              `help:"Off." group:"Server"`
	Hidden  string            `hidden:""`
	Command bool              `key:"-"`
}

const wantShown = `# A file.

# ---- Server --------------------------------------------------------------------------------------

# Port to listen on. See web_name and --not-there.
# Environment: A_PORT, PORT
#port: 80

# Time.
#every: 0s

# Where.
#sources: [a, b c]

# Engines.
# The value is an example.
#engines:
#  - url: http://a:1
#    model: "007"
#  - http://b

# Labels.
# The value is an example.
#labels:
#  rack: a12

# A secret.
#secret: ""

# Off.
#off: false

# ---- Logging -------------------------------------------------------------------------------------

# A name.
#web_name: "true"
`

func TestExample(t *testing.T) {
	k, err := kong.New(&shown{}, configfile.Booleans())
	if err != nil {
		t.Fatal(err)
	}
	got, err := configfile.Example(k.Model.Node, []string{"A file."})
	if diff := cmp.Diff(wantShown, string(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestExampleNeedsAValueThatTheProgramTakes(t *testing.T) {
	for _, c := range []struct {
		grammar any
		want    string
	}{
		{&struct{ Name string }{}, "--name: a string without a default: give its field a tag example"},
		{&struct {
			Port *int `example:"many"`
		}{}, `--port: "many" in the example file`},
		{&struct {
			Name string `example:"[a"`
		}{}, "is no YAML value"},
		{&struct {
			Name string `example:"[a]"`
		}{}, "got a list, want one value"},
	} {
		k, err := kong.New(c.grammar)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := configfile.Example(k.Model.Node, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
