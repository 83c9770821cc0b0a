package catalog

// LabelUser is the label of gateways' samples that says who asked.
const LabelUser = "user"

// Gateway holds the unified families of gateways: what stands in front of engines and knows users. They have names of their
// own because a request that passes a gateway is counted by its engine as well, and the two must never be added up.
var Gateway = []Metric{
	{Name: Prefix + "gateway_requests", Type: Counter, Help: "Requests that the gateway has answered.", Labels: []string{LabelUser, LabelModelName, "status"}},
	{Name: Prefix + "gateway_prompt_tokens", Type: Counter, Help: "Prompt tokens of the gateway's requests.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_generation_tokens", Type: Counter, Help: "Tokens generated for the gateway's requests.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_time_to_first_token_seconds", Type: Histogram, Help: "Time from a request's arrival at the gateway to its first token.", Labels: []string{LabelUser, LabelModelName}},
	{Name: Prefix + "gateway_request_duration_seconds", Type: Histogram, Help: "Time from a request's arrival at the gateway to the end of its answer.", Labels: []string{LabelUser, LabelModelName}},
}
