package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// Variables of the dashboard about gateways. The model is another one than that of instances: it is what was asked for.
const (
	varUser      = "user"
	varRequested = "requested_model"
)

func users() Dashboard {
	return Dashboard{
		UID: "stackscope-users", Title: "Users and gateways",
		Description: "Requests, tokens and latency of each user and model, as the gateways in front of the engines report them (LiteLLM, Envoy AI Gateway, Higress, vLLM's router). A request through a gateway is also in its engine's metrics: do not add the two up.",
		From:        "now-1h",
		Variables: []Variable{
			datasource(), cluster(),
			{Name: varUser, Label: "User", Multi: true, Query: `label_values({__name__=~"gpustack:gateway_requests_total|gpustack:gateway_generation_tokens_total", cluster_name="$cluster_name"}, user)`},
			{Name: varRequested, Label: "Model", Multi: true, Query: `label_values({__name__=~"gpustack:gateway_requests_total|gpustack:gateway_generation_tokens_total", cluster_name="$cluster_name"}, model_name)`},
		},
		Rows: []Row{
			{Panels: usersNow()},
			{Title: "Who asks", Panels: usersOverTime()},
			{Title: "What they get", Panels: usersLatency()},
			{Title: "Users over the time range", Panels: []Panel{userTable(), userModelTable()}},
		},
	}
}

const noGateway = "no gateway is read, or it does not report this"

// failedStatus matches how gateways call requests that failed: an HTTP status, or a word.
const failedStatus = `status=~"[45]..|error|_OTHER"`

// ofGateways selects a family of gateways by the dashboard's variables.
func ofGateways(family string, matchers ...string) string {
	all := append([]string{`cluster_name="$cluster_name"`, `user=~"$user"`, `model_name=~"$requested_model"`}, matchers...)
	return "gpustack:gateway_" + family + "{" + strings.Join(all, ", ") + "}"
}

// perUser is a rate of gateways by labels; none: of all together.
func perUser(by, family string, matchers ...string) string {
	sum := "sum"
	if by != "" {
		sum += " by (" + by + ")"
	}
	return sum + " (rate(" + ofGateways(family, matchers...) + "[$__rate_interval]))"
}

func usersNow() []Panel {
	stat := func(title, description, unit, expr string, thresholds ...Threshold) Panel {
		return Panel{Kind: Stat, W: 4, H: 4, Title: title, Description: description, Unit: unit, Sparkline: true, Interval: "30s", NoValue: "not reported", Thresholds: thresholds, Queries: []Query{{Expr: expr}}}
	}
	requests := perUser("", "requests_total")
	return []Panel{
		stat("Requests", "Requests per second that the chosen users' gateways answered, refusals and failures among them.", "reqps", requests),
		stat("Failed", "Share of requests that did not end well: refused (429), cancelled by the client (499), failed (5xx). Requests without a status are part of the total. The panel Requests by status has the details.", "percentunit",
			fmt.Sprintf("(%s or 0 * %s) / (%s > 0)", perUser("", "requests_total", failedStatus), requests, requests), limits(0.02, 0.1)...),
		stat("Output", "Tokens per second that were generated for the chosen users.", "count:tok/s", perUser("", "generation_tokens_total")),
		stat("Time to first token", "Mean time until a streamed answer began after the gateway had the request. It is the engine's time and the way there: compare with the model's own dashboard. Quantiles are below.", "s",
			fmt.Sprintf("%s / (%s > 0)", perUser("", "time_to_first_token_seconds_sum"), perUser("", "time_to_first_token_seconds_count"))),
		stat("In flight", "Requests that the gateways have taken and not yet answered to their end, of all users: gateways do not report users here.", "short",
			`sum(gpustack:gateway_requests_in_flight{cluster_name="$cluster_name"})`),
		stat("Users", "Users who had an answer in the last 10 minutes. other are all those beyond the worker's limit together; hashed names come from --hash-users.", "short",
			fmt.Sprintf(`count(sum by (user) (increase(%s[10m])) > 0)`, ofGateways("requests_total", `user!=""`))),
	}
}

func usersOverTime() []Panel {
	const most = 10
	line := func(title, description, unit, expr, by, legend string) Panel {
		return Panel{
			Kind: TimeSeries, W: 12, Title: title, Description: description, Unit: unit, Min: new(0.0), Interval: "30s", NoValue: noGateway, Stacked: true,
			Queries: []Query{{Expr: topRate(most, by, expr), Legend: legend}},
		}
	}
	status := line("Requests by status", "Requests per second by how they ended, as the gateway calls it: HTTP statuses, or success and error. 429 are refusals by a limit, 499 cancelled requests, 5xx the engine's or the gateway's failures.", "reqps", perUser("status", "requests_total"), "status", "{{status}}")
	status.Overrides = []Override{painted("200|success", "green"), painted("499|429", "orange"), painted("5..|error|_OTHER", "red")}
	return []Panel{
		line("Requests by user", "The 10 users who ask most. One who suddenly asks much more than ever may have a loop: see Failed in the table.", "reqps", perUser(varUser, "requests_total"), varUser, "{{user}}"),
		status,
		line("Output tokens by user", "Tokens generated per second for the 10 users who get most. Generated tokens cost the most compute.", "count:tok/s", perUser(varUser, "generation_tokens_total"), varUser, "{{user}}"),
		line("Prompt tokens by user", "Prompt tokens per second of the 10 users who send most. Long prompts take the KV cache from the others; those that were cached cost little: see Cached in the table.", "count:tok/s", perUser(varUser, "prompt_tokens_total"), varUser, "{{user}}"),
	}
}

func usersLatency() []Panel {
	selector := `cluster_name="$cluster_name", user=~"$user", model_name=~"$requested_model"`
	panels := slices.Concat(
		quantiles("Time to first token", "From the gateway's request to the answer's first token, of streamed answers, by model. More than the model's own dashboard says is time in the gateway or on the way.", "gpustack:gateway_time_to_first_token_seconds", selector, "model_name"),
		quantiles("End-to-end latency", "From the request's arrival at the gateway to the end of its answer, by model: what users wait. It depends on the length of answers most of all.", "gpustack:gateway_request_duration_seconds", selector, "model_name"),
	)
	for i := range panels {
		panels[i].NoValue, panels[i].Interval = noGateway, "30s"
	}
	return panels
}

// userColumns are what both tables say, behind their labels.
func userColumns(by string) (queries []Query, columns []Column) {
	over := func(family string, matchers ...string) string {
		return "sum by (" + by + ") (increase(" + ofGateways(family, matchers...) + "[$__range]))"
	}
	mean := func(family string) string {
		return over(family+"_sum") + " / (" + over(family+"_count") + " > 0)"
	}
	requests := over("requests_total")
	queries = []Query{
		{Expr: requests},
		{Expr: fmt.Sprintf("(%s or 0 * %s) / (%s > 0)", over("requests_total", failedStatus), requests, requests)},
		{Expr: over("prompt_tokens_total")},
		{Expr: over("prompt_tokens_cached_total") + " / (" + over("prompt_tokens_total") + " > 0)"},
		{Expr: over("generation_tokens_total")},
		{Expr: mean("time_to_first_token_seconds")},
		{Expr: mean("request_duration_seconds")},
	}
	columns = []Column{
		{Title: "Requests", Query: 1, Unit: "short", Decimals: new(0)},
		{Title: "Failed", Query: 2, Unit: "percentunit", Decimals: new(1), Thresholds: limits(0.02, 0.1)},
		{Title: "Prompt tokens", Query: 3, Unit: "short", Decimals: new(1)},
		{Title: "Cached", Query: 4, Unit: "percentunit", Decimals: new(0)},
		{Title: "Output tokens", Query: 5, Unit: "short", Decimals: new(1)},
		{Title: "Time to first token", Query: 6, Unit: "s", Decimals: new(2)},
		{Title: "End-to-end latency", Query: 7, Unit: "s", Decimals: new(1)},
	}
	return queries, columns
}

func userTable() Panel {
	queries, columns := userColumns(varUser)
	return Panel{
		Kind: Table, H: 9, Title: "Users", SortBy: "Output tokens", NoValue: "-", Queries: queries,
		Description: "One row per user, over the whole time range. Failed counts refusals, cancelled requests and failures. Cached is the share of prompt tokens that the engine had in its prefix cache. Times are means. The user is empty if the gateway reports none.",
		Columns:     append([]Column{{Title: "User", Label: varUser}}, columns...),
	}
}

func userModelTable() Panel {
	queries, columns := userColumns("user, model_name")
	return Panel{
		Kind: Table, H: 9, Title: "Users and models", SortBy: "Output tokens", NoValue: "-", Queries: queries,
		Description: "The same by user and the model that was asked for, which may differ from the name of the instances that serve it. Times are means over the whole time range.",
		Columns:     append([]Column{{Title: "User", Label: varUser}, {Title: "Model", Label: varModel}}, columns...),
	}
}
