package configfile

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Booleans makes boolean environment variables mean what they mean in GPUStack: true and 1 in any case are true,
// everything else is false.
func Booleans() kong.Option { return kong.KindMapper(reflect.Bool, boolean{}) }

type boolean struct{}

var _ kong.BoolMapper = boolean{}

// IsBool makes kong accept the flag without a value.
func (boolean) IsBool() bool { return true }

// Decode is called by kong.
func (boolean) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		target.SetBool(true)
		return nil
	}
	switch value := ctx.Scan.Pop().Value.(type) {
	case bool:
		target.SetBool(value)
	case string:
		word := strings.ToLower(value)
		target.SetBool(word == "true" || word == "1")
		if !slices.Contains([]string{"true", "1", "false", "0"}, word) && !saysEnv(ctx.Value, value) {
			return fmt.Errorf("got %q, want true or false", value)
		}
	default:
		return fmt.Errorf("got %v, want true or false", value)
	}
	return nil
}

// saysEnv reports whether value is what one of the flag's environment variables holds.
func saysEnv(v *kong.Value, value string) bool {
	return slices.ContainsFunc(v.Tag.Envs, func(name string) bool {
		env, ok := os.LookupEnv(name)
		return ok && env == value
	})
}
