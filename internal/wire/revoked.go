package wire

import "time"

// RevokedWorker is an item of GET /v2/revoked-workers.
type RevokedWorker struct {
	ID          int64     `json:"id" doc:"Id that the worker had"`
	Name        string    `json:"name"`
	ClusterName string    `json:"cluster_name"`
	Address     string    `json:"address"`
	RevokedAt   time.Time `json:"revoked_at" doc:"When an operator removed it"`
}
