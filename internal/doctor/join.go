package doctor

import (
	"cmp"
	"fmt"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

var (
	joinNameTaken = &Finding{
		ID: "worker_name_taken", Severity: wire.FindingError,
		What: "two machines have the worker name {worker}, so one of them is refused",
		Do:   "Give one of them another name with --worker-name. If the registered one is gone for good, run: stackscope worker remove {worker}",
		Docs: "running.md#names-and-labels",
	}
	joinTwoWorkers = &Finding{
		ID: "worker_identity_taken", Severity: wire.FindingError,
		What: "two workers have the identity of {worker}, as on a cloned machine, so one of them is refused",
		Do:   "On the copy: stop the worker, remove worker.json in its data directory, and start it again, with --worker-name if both machines have one host name.",
		Docs: "running.md#identity",
	}
	joinRevoked = &Finding{
		ID: "worker_revoked", Severity: wire.FindingInfo,
		What: "worker {worker}, which an operator removed, keeps asking to join",
		Do:   "Nothing, if that is meant. To let it join again, run: stackscope worker allow {worker}",
		Docs: "running.md#removing-a-worker",
	}
	joinInvalid = &Finding{
		ID: "worker_refused", Severity: wire.FindingError,
		What: "worker {worker} is refused, because its name, its labels or its address break the rules",
		Do:   "The address must be one at which this server reaches the worker: set --worker-ip. Names must show what they are: set --worker-name.",
		Docs: "running.md#names-and-labels",
	}
	joinTooOften = &Finding{
		ID: "worker_registers_too_often", Severity: wire.FindingWarning,
		What: "registrations are answered with 429, because a worker or an address registers too often",
		Do:   "Look which worker restarts again and again: its log says why it ends. Workers wait for the time in Retry-After by themselves.",
		Docs: "running.md#registration-limits",
	}
	joinWrongToken = &Finding{
		ID: "worker_wrong_token", Severity: wire.FindingError,
		What: "a worker tries to join with a wrong join token",
		Do:   "Copy the file worker-token from the server's data directory to the worker again and give it as --token-file. The worker's log says that it is refused.",
		Docs: "running.md#wrong-tokens",
	}
	wrongTokens = &Finding{
		ID: "wrong_tokens", Severity: wire.FindingWarning,
		What: "clients send wrong tokens, and some addresses get 429 for it",
		Do:   "The log names the address. Look for a script with an old password there. Behind a proxy or NAT all clients share an address; a right token always passes.",
		Docs: "running.md#wrong-tokens",
	}
	noWorkers = &Finding{
		ID: "no_workers", Severity: wire.FindingWarning,
		What: "no worker has joined",
		Do:   "Start a worker on each machine with the command that the server printed at its start: stackscope-worker --server-url http://SERVER --token-file worker-token",
		Docs: "running.md#several-machines",
	}
	noInstances = &Finding{
		ID: "no_engines", Severity: wire.FindingInfo,
		What: "no engine is known on any worker",
		Do:   "Start an engine, or declare one that discovery cannot find with --engine url=http://HOST:PORT. Findings whose names begin with discovery_ say what discovery left out.",
		Docs: "discovery.md#when-an-engine-is-missing",
	}
	joinFindings = []*Finding{
		joinNameTaken, joinTwoWorkers, joinInvalid, joinWrongToken, joinTooOften, joinRevoked, wrongTokens, noWorkers, noInstances,
	}
)

// lookJoining looks at what keeps workers out.
func lookJoining(v *view) (hits []hit) {
	add := func(of *Finding, subject wire.DoctorSubject, seen string, values ...string) {
		hits = append(hits, hit{of: of, subject: subject, seen: seen, values: values})
	}
	for _, r := range v.Server.Refusals {
		if v.Now.Sub(r.At) > recently {
			continue
		}
		seen := fmt.Sprintf("The last refusal was %s ago; there were %d", v.ago(r.At), r.Count)
		subject := ofFleet
		if w := worker(v.Snapshot, r.OtherID); w != nil {
			subject = ofWorker(w)
		}
		switch r.Class {
		case fleet.RefusedNameTaken:
			add(joinNameTaken, subject, seen+"; it registers again every few seconds", "worker", cmp.Or(r.Other, r.Name))
		case fleet.RefusedTwoWorkers:
			add(joinTwoWorkers, subject, seen, "worker", cmp.Or(r.Other, r.Name))
		case fleet.RefusedRevoked:
			add(joinRevoked, ofFleet, seen, "worker", r.Name)
		case fleet.RefusedInvalid:
			add(joinInvalid, ofFleet, seen+": "+r.Detail, "worker", cmp.Or(r.Name, "without a name"))
		case RefusedToken:
			add(joinWrongToken, ofFleet, seen+", from "+r.From)
		case RefusedLimit:
			add(joinTooOften, ofFleet, seen)
		}
	}
	for _, s := range v.Answers[queryServer].Samples {
		if s.Labels["what"] == catalog.WrongTokens.WireName() && s.Labels["status"] == "429" {
			add(wrongTokens, ofFleet, fmt.Sprintf("%s rose by %.0f in the last 10 minutes", s.Labels["what"], s.Value))
		}
	}
	switch {
	case len(v.Snapshot.Workers) == 0:
		add(noWorkers, ofFleet, "The inventory has no worker")
	case len(v.Snapshot.Instances) == 0:
		add(noInstances, ofFleet, "The inventory has no instance")
	}
	return hits
}
