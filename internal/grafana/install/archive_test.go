package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

const testPlatform = "linux/amd64"

// file, dir and link are entries of archives.
func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), PAXRecords: map[string]string{"TEST.content": content}}
}

func executable(name, content string) tar.Header {
	h := file(name, content)
	h.Mode = 0o755
	return h
}

func dir(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
}

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

// pack makes an archive; the content of files travels in their headers up to here.
func pack(tb testing.TB, entries ...tar.Header) []byte {
	tb.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, h := range entries {
		content := h.PAXRecords["TEST.content"]
		h.PAXRecords = nil
		if err := tw.WriteHeader(&h); err != nil {
			tb.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// grafana returns what a release holds at least.
func grafana(version string) []tar.Header {
	top := "grafana-" + version
	return []tar.Header{
		dir(top + "/"),
		executable(top+"/bin/grafana", "#!/bin/sh\necho grafana version 1\n"),
		file(top+"/conf/defaults.ini", "[server]\n"),
		file(top+"/public/views/index.html", "<html>"),
		file(top+"/VERSION", version+"\n"),
	}
}

// release returns an archive that is size bytes long or somewhat more.
func release(tb testing.TB, version string, size int) []byte {
	tb.Helper()
	noise := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise) // never fails
	return pack(tb, append(grafana(version), file("grafana-"+version+"/public/noise", string(noise)))...)
}

func sha256Of(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// pinned is a built-in checksum for an archive of version.
func pinned(version string, data []byte) []pin {
	sum := sha512.Sum512(data)
	return []pin{{version, testPlatform, checksum{sha512Name, hex.EncodeToString(sum[:])}, int64(len(data))}}
}
