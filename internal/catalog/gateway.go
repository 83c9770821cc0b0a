package catalog

// LabelUser is the label of gateways' samples that says who asked.
const LabelUser = "user"

// Gateway holds the unified metrics of gateways: proxies in front of engines that know users. They have names of their
// own because a request that passes a gateway is counted by its engine as well, and the two must never be added up. At
// least two kinds of gateways have each. Labels that a gateway does not have are absent.
var Gateway = []Metric{
	{Name: Prefix + "gateway_requests", Type: Counter, Help: "Requests that the gateway has answered.", Labels: []string{LabelUser, LabelModelName, "status"}},
	{Name: Prefix + "gateway_prompt_tokens", Type: Counter, Help: "Prompt tokens of the gateway's requests.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_generation_tokens", Type: Counter, Help: "Tokens generated for the gateway's requests.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_time_to_first_token_seconds", Type: Histogram, Help: "Time from a request's arrival at the gateway to its first token.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_request_duration_seconds", Type: Histogram, Help: "Time from a request's arrival at the gateway to the end of its answer.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_prompt_tokens_cached", Type: Counter, Help: "Prompt tokens of the gateway's requests that the engine or provider had in its prefix cache.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_time_per_output_token_seconds", Type: Histogram, Help: "Time for each generated token of a request that passed the gateway.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_requests_in_flight", Type: Gauge, Help: "Requests that the gateway has taken and not answered to their end."},
}
