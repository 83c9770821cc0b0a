package install

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"runtime"
	"strings"
)

// Version is the Grafana release that is installed when no other is named.
const Version = "13.2.2"

// officialHost serves Grafana's releases, each with a file that holds its SHA-256 beside it.
const officialHost = "https://dl.grafana.com"

// pin is what is known of a release's archive before it is fetched.
type pin struct {
	version, platform string
	sum               checksum
	size              int64 // bytes
}

// builtinPins are the archives of Version, https://grafana.com/grafana/download/13.2.2?edition=oss. SHA-512 and sizes are those
// that Gentoo Linux publishes for its package www-apps/grafana-bin 13.2.2 (Manifest at commit
// 7b27bc9ed26c358f4d63cdff6103ff9894d2458e of gentoo/gentoo), which fetches the same archives from the same host. No such list
// has macOS' archives: for them, and for other versions, the checksum is the one that the official host publishes.
func builtinPins() []pin {
	return []pin{
		{
			Version, "linux/amd64",
			checksum{sha512Name, "b10c597076a2ed1c8a7e1404860204f00841dc5ff800b2ce89309150a82143fe7e2795409bb4c58a65c4af751c4817e3bb771fefa6a839a202cf2a529191f6d6"},
			457508545,
		},
		{
			Version, "linux/arm64",
			checksum{sha512Name, "b221d7214cceb962d6c25259d81af73fa92b4161d730c3ae1f70bfd405ced00c28d8502380b5616bdb3700350ba2f5e2b447e964ef310a46fe4bb7df8d1a266c"},
			427194660,
		},
	}
}

// thisPlatform is the machine's, written as in pins.
func thisPlatform() string { return runtime.GOOS + "/" + runtime.GOARCH }

var platformName = regexp.MustCompile(`^[a-z0-9]{1,20}/[a-z0-9_]{1,20}$`)

// releaseVersion is what a version may look like; it becomes part of file names and addresses.
var releaseVersion = regexp.MustCompile(`^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}([-+][0-9A-Za-z.-]{1,40})?$`)

// parseVersion returns the version in the form of Version.
func parseVersion(s string) (string, error) {
	v := strings.TrimPrefix(s, "v")
	if !releaseVersion.MatchString(v) {
		return "", fmt.Errorf("--version %q: give a release of Grafana, such as %s", s, Version)
	}
	return v, nil
}

// archiveName returns the file name of a release's archive.
func archiveName(version, platform string) (string, error) {
	switch platform {
	case "linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64":
	default:
		return "", fmt.Errorf("no archive of Grafana is published for %s: start the server with the --grafana-home of one from your system's packages, or give an archive with --file and --sha256", platform)
	}
	if strings.Contains(version, "+") {
		return "", fmt.Errorf("--version %s: builds with a + are published under addresses that don't follow from the version: fetch the archive and give it with --file and --sha256", version)
	}
	return "grafana-" + version + "." + strings.Replace(platform, "/", "-", 1) + ".tar.gz", nil
}

// archiveURL returns where an archive is; mirror stands in for the official host unless it is empty.
func archiveURL(mirror, name string) (*url.URL, error) {
	base := mirror
	if base == "" {
		base = officialHost
	}
	u, err := url.Parse(base)
	if err != nil {
		err = errors.Unwrap(err) // the cause without the text, which is said below
	} else if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		err = errors.New("no address of a mirror")
	}
	if err != nil {
		return nil, fmt.Errorf("--mirror %q: %w; give it as https://HOST[/PATH], under which oss/release/%s is found", mirror, err, name)
	}
	return u.JoinPath("oss", "release", name), nil
}

const (
	sha256Name = "SHA-256"
	sha512Name = "SHA-512"
)

// checksum is a digest in lower-case hexadecimal; the zero value is none.
type checksum struct{ algorithm, digest string }

// parseSHA256 reads a digest, also in the form that sha256sum prints.
func parseSHA256(s string) (checksum, bool) {
	digest, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(s)), " ")
	raw, err := hex.DecodeString(digest)
	return checksum{sha256Name, digest}, err == nil && len(raw) == 32
}
