package dashboards

import "fmt"

// annotationStep is the step of annotations' queries. Expressions that compare with the past look back as far.
const (
	annotationStep    = "1m"
	annotationSeconds = 60
)

// Annotation marks the times of events in all graphs of a dashboard. Each sample above 0 is an event.
type Annotation struct {
	Name  string // of the switch at the top of the dashboard
	Expr  string
	Text  string // may name labels, such as "{{model_instance_name}}"
	Color string
	// ValueIsTime: the value is the time of the event in milliseconds; otherwise the event is at the sample's time.
	ValueIsTime bool
}

func (a Annotation) json() object {
	return object{
		"name": a.Name, "datasource": source(), "enable": true, "hide": false, "iconColor": a.Color,
		"expr": a.Expr, "step": annotationStep, "titleFormat": a.Name, "textFormat": a.Text, "tagKeys": "", "useValueForTime": a.ValueIsTime,
	}
}

// events are the restarts of the instances that the matchers select, and the changes of the mapping in the cluster that they select.
func events(instances, cluster string) []Annotation {
	restart := fmt.Sprintf("max by (cluster_name, model_name, model_instance_name) (gpustack:model_instance_latest_restart_time{%s})", instances)
	applied := fmt.Sprintf("gpustack:metrics_config_applied_generation{%s}", cluster)
	generation := func(offset string) string {
		return fmt.Sprintf(`count_values by (cluster_name) ("generation", max by (cluster_name) (%s%s))`, applied, offset)
	}
	const before = " offset " + annotationStep
	return []Annotation{
		{Name: "Restarts", Expr: "1000 * (" + restart + " > 0)", Text: "{{model_instance_name}} restarted", Color: "orange", ValueIsTime: true},
		{
			Name: "Mapping changes", Text: "Mapping generation {{generation}} applied in {{cluster_name}}", Color: "purple",
			Expr: fmt.Sprintf("%s unless %s and on (cluster_name) %s%s", generation(""), generation(before), applied, before),
		},
	}
}
