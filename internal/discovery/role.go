package discovery

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// maxUpstreams bounds the engines that are kept of a router's command line.
	maxUpstreams = 128
	// maxConnectors bounds how deep configurations of KV transfer are nested.
	maxConnectors = 4
)

// roleNamed returns the role of that name in any case, none for other text.
func roleNamed(text string) fleet.Role {
	role, _ := fleet.ParseRole(strings.ToLower(strings.TrimSpace(text)))
	return role
}

// fixedRole returns the role that each engine of the rule has; r may be nil.
func (r *rule) fixedRole() fleet.Role {
	if r == nil {
		return ""
	}
	return r.Role
}

// role returns the role that the arguments behind the command tell.
func (r *rule) role(args []string) fleet.Role {
	if r.Role != "" {
		return r.Role
	}
	if value, ok := flagValue(args, r.RoleFlags); ok {
		if r.Roles == nil {
			return roleNamed(value)
		}
		return r.Roles[strings.ToLower(value)]
	}
	for _, flag := range r.TransferFlags {
		if role, ok := transferRole(args, flag); ok {
			return role
		}
	}
	return ""
}

// transferRole returns the role in vLLM's configuration of KV transfer: in --kv-transfer-config.kv_role, which replaces the member of
// the object, else in the object that flag has. ok is false if neither is given.
func transferRole(args []string, flag string) (role fleet.Role, ok bool) {
	if value, ok := flagValue(args, []string{flag + ".kv-role"}); ok {
		return kvRole(value), true
	}
	if value, ok := flagValue(args, []string{flag}); ok {
		if roles := readKVTransfer([]byte(value), 0).roles; len(roles) == 1 {
			return roles[0], true
		}
		return "", true
	}
	return "", false
}

// connector returns what passes the KV cache between engines with the arguments behind the command: the name in vLLM's configuration of
// KV transfer, else the value of the connector's flag, else the default of a runtime that is told a role.
func (r *rule) connector(args []string) string {
	for _, flag := range r.TransferFlags {
		if value, ok := flagValue(args, []string{flag + ".kv-connector"}); ok {
			return knownConnector(value)
		}
		if value, ok := flagValue(args, []string{flag}); ok {
			return chosenConnector(readKVTransfer([]byte(value), 0).connectors)
		}
	}
	if value, ok := flagValue(args, r.ConnectorFlags); ok {
		return knownConnector(value)
	}
	if !r.role(args).Computes() {
		return "" // it passes no cache
	}
	return r.DefaultConnector
}

// connectors are those of vLLM (vllm/distributed/kv_transfer/kv_connector/factory.py), vLLM Ascend and SGLang. Other text is not passed on:
// it may be anything that somebody wrote on a command line.
var connectors = []string{
	"NixlConnector", "MooncakeConnector", "MooncakeConnectorV1", "MooncakeLayerwiseConnector", "MoRIIOConnector", "P2pNcclConnector",
	"LMCacheConnectorV1", "LMCacheMPConnector", "OffloadingConnector", "mooncake", "nixl", "ascend", "mori", "fake",
}

func knownConnector(name string) string {
	for _, known := range connectors {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return ""
}

// chosenConnector returns the connector that makes the mode known, of the connectors of a MultiConnector; else the first.
func chosenConnector(names []string) string {
	for _, name := range names {
		if fleet.PDModeOf("vLLM", name) != fleet.PDCustom {
			return name
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// kvRole returns the role that vLLM's kv_role tells. kv_both tells none: an instance that does both has it, and with NIXL each half of
// a pair too, because the router decides.
func kvRole(name string) fleet.Role {
	switch name {
	case "kv_producer":
		return fleet.RolePrefill
	case "kv_consumer":
		return fleet.RoleDecode
	}
	return ""
}

// kvTransfer is what a configuration of KV transfer says of the engine.
type kvTransfer struct {
	roles      []fleet.Role // each once
	connectors []string     // known ones
}

// readKVTransfer reads vLLM's configuration of KV transfer. Of a MultiConnector it takes the connectors in it.
func readKVTransfer(config []byte, depth int) (t kvTransfer) {
	var members map[string]json.RawMessage // a struct's members would also match in other cases
	if depth > maxConnectors || json.Unmarshal(config, &members) != nil {
		return t
	}
	var name string
	if json.Unmarshal(members["kv_role"], &name) == nil {
		t.addRole(kvRole(name))
	}
	var extra map[string]json.RawMessage
	var connectors []json.RawMessage
	if json.Unmarshal(members["kv_connector_extra_config"], &extra) == nil && json.Unmarshal(extra["connectors"], &connectors) == nil {
		for _, connector := range connectors {
			inner := readKVTransfer(connector, depth+1)
			for _, role := range inner.roles {
				t.addRole(role)
			}
			t.connectors = append(t.connectors, inner.connectors...)
		}
	}
	if len(t.connectors) == 0 && json.Unmarshal(members["kv_connector"], &name) == nil {
		if name = knownConnector(name); name != "" {
			t.connectors = append(t.connectors, name)
		}
	}
	return t
}

func (t *kvTransfer) addRole(role fleet.Role) {
	if role != "" && !slices.Contains(t.roles, role) {
		t.roles = append(t.roles, role)
	}
}

// upstreams returns the addresses behind these flags, as in --prefill http://10.0.0.1:8000 8998 --decode http://10.0.0.2:8000. What is
// no address, such as the bootstrap port behind --prefill, is left out, and so are users and passwords.
func upstreams(args, flags []string) string {
	if len(flags) == 0 {
		return ""
	}
	var list []string
	behind := false
	for _, arg := range args {
		name, value, joined := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(arg, "-"):
			behind = slices.ContainsFunc(flags, func(flag string) bool { return sameFlag(name, flag) })
			if !behind || !joined {
				continue
			}
		case behind:
			value = arg
		default:
			continue
		}
		for part := range strings.SplitSeq(value, ",") {
			if address := upstreamAddress(part); address != "" && !slices.Contains(list, address) && len(list) < maxUpstreams {
				list = append(list, address)
			}
		}
	}
	text := strings.Join(list, " ")
	if len(text) > fleet.MaxUpstreams {
		return ""
	}
	return text
}

// upstreamAddress returns host:port of a URL or of an address, "" if it is none.
func upstreamAddress(text string) string {
	// vLLM's router takes the address for ZMQ in the same word, as in http://10.0.0.1:8000:zmq://10.0.0.1:21001.
	text, _, _ = strings.Cut(labelText(text, maxPathBytes), ":zmq:")
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	port, ok := parsePort(u.Port())
	if !ok || port == 0 {
		switch {
		case u.Port() != "" || !strings.Contains(host, "."):
			return "" // without a port, a bare word or a number is no address
		case u.Scheme == "https":
			port = 443
		default:
			port = 80
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(port)).String()
	}
	if host == "" || strings.ContainsAny(host, " \"'") {
		return ""
	}
	return host + ":" + strconv.Itoa(port)
}

// modelSource returns where the model comes from that a command line names, and which one it is there; nothing if that is unknown.
func modelSource(weights string, matched *rule, env environment) (source, key string) {
	source, key = fleet.ModelSource(weights)
	if source == fleet.SourceHuggingFace && matched != nil && slices.ContainsFunc(matched.ModelScopeEnv, func(name string) bool { return isTrue(env[name]) }) {
		source = fleet.SourceModelScope
	}
	return source, key
}
