package command

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Sources of settings.
const (
	FromDefault     = "default"
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
)

// Setting is a flag of the command that runs, as it was given.
type Setting struct {
	Flag   string // such as --metrics-port
	Value  string // empty of a secret
	Secret bool
	Source string
}

// settings returns the flags of the chosen command in the order of its help. Credentials in URLs are left out.
func settings(ctx *kong.Context) []Setting {
	var list []Setting
	for _, flag := range ctx.Flags() {
		if flag.Name == "help" || !flag.Target.IsValid() {
			continue
		}
		s := Setting{Flag: "--" + flag.Name, Source: FromDefault, Secret: secretFlag(flag)}
		switch given, elsewhere := origin(ctx, flag); {
		case given:
			s.Source = FromFlag
		case strings.Contains(elsewhere, "--config-file"):
			s.Source = FromFile
		case elsewhere != "":
			s.Source = FromEnvironment
		}
		if !s.Secret {
			s.Value = withoutCredentials(settingText(flag.Target))
		}
		list = append(list, s)
	}
	return list
}

// secretFlag reports whether a flag's value is a secret: it is a Token, or its name says so. A flag that names a file with a secret is none.
func secretFlag(flag *kong.Flag) bool {
	if flag.Target.Type() == reflect.TypeFor[Token]() {
		return true
	}
	words := strings.Split(flag.Name, "-")
	if slices.Contains(words, "file") || flag.Target.Kind() == reflect.Bool {
		return false
	}
	return slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains([]string{"password", "passphrase", "secret", "token", "credential", "credentials"}, w)
	})
}

// settingText is a flag's value as text: lists and maps have commas between their items, a pointer to nothing is empty.
func settingText(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = settingText(v.Index(i))
		}
		return strings.Join(items, ",")
	case reflect.Map:
		items := map[string]string{}
		for it := v.MapRange(); it.Next(); {
			items[fmt.Sprint(it.Key().Interface())] = settingText(it.Value())
		}
		var b strings.Builder
		for i, key := range slices.Sorted(maps.Keys(items)) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(key + "=" + items[key])
		}
		return b.String()
	}
	return fmt.Sprint(v.Interface())
}

var credentials = regexp.MustCompile(`(://)[^/?#,;\s]*@|(\?)[^#,;\s]+`)

// withoutCredentials returns text without the user names, passwords and queries of the URLs in it.
func withoutCredentials(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return credentials.ReplaceAllStringFunc(text, func(match string) string {
		if match[0] == ':' {
			return "://...@"
		}
		return "?..."
	})
}
