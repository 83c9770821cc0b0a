package terminal

import "testing"

func TestNoShell(t *testing.T) {
	const users = `root:x:0:0:root:/root:/bin/bash
stackscope:x:997:997:stackscope server:/var/lib/stackscope:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/bin/false
you:x:1000:1000::/home/you:
`
	for name, want := range map[string]bool{"root": false, "stackscope": true, "backup": true, "you": false, "of-ldap": false} {
		if noShell(users, name) != want {
			t.Errorf("%s: want %t", name, want)
		}
	}
}
