package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// The parts of a CycloneDX 1.6 document that we write: https://cyclonedx.org/docs/1.6/json/
type (
	bom struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type     string    `json:"type"`
		Ref      string    `json:"bom-ref"`
		Name     string    `json:"name"`
		Version  string    `json:"version"`
		Hashes   []hash    `json:"hashes,omitempty"`
		Licenses []license `json:"licenses"`
		PURL     string    `json:"purl,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	// license has an expression even for a single one: both are allowed, and readers of the one read the other.
	license struct {
		Expression string `json:"expression"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// newBOM returns the document of an archive NAME_VERSION_OS_ARCH.tar.gz.
func newBOM(archive string, sum [32]byte, programs []program, parts []part) (*bom, error) {
	fields := strings.Split(strings.TrimSuffix(archive, ".tar.gz"), "_")
	if len(fields) != 4 {
		return nil, fmt.Errorf("archive %s: want a name like stackscope_0.1.0_linux_amd64.tar.gz", archive)
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH=%q: want the commit's time in seconds", os.Getenv("SOURCE_DATE_EPOCH"))
	}
	main := programs[0].info.Main.Path
	b := &bom{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1,
		Serial: "urn:uuid:" + uuid(sum),
		Metadata: metadata{
			Timestamp: time.Unix(epoch, 0).UTC().Format(time.RFC3339),
			Component: component{
				Type: "application", Ref: archive, Name: fields[0], Version: fields[1],
				Hashes:   []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
				Licenses: []license{{"Apache-2.0"}},
				PURL:     "pkg:golang/" + main + "@v" + strings.ReplaceAll(fields[1], "+", "%2B"),
			},
		},
	}
	on := dependency{Ref: archive}
	for _, p := range parts {
		c := component{Type: "library", Ref: p.purl, Name: p.name, Version: p.version, Licenses: []license{{p.license}}, PURL: p.purl}
		if p.sum != "" {
			c.Hashes = []hash{{"SHA-256", p.sum}}
		}
		b.Components = append(b.Components, c)
		on.On = append(on.On, p.purl)
	}
	b.Dependencies = []dependency{on}
	return b, nil
}

// uuid makes one of version 8, whose content is up to its maker, of a hash.
func uuid(sum [32]byte) string {
	id := sum[:16] // sum is a copy
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
