package prom

// warnOfAnyAuthority says that credentials go to more than the workers where any authority that the system knows may vouch for one: a
// worker's address is what whoever has the join token says, and a certificate for a name of one's own is free.
func (o *Options) warnOfAnyAuthority() {
	c := o.client
	if c == nil || c.BasicAuth == nil && c.Authorization == nil && c.HTTPHeaders == nil {
		return
	}
	t := c.TLSConfig
	if t.InsecureSkipVerify || t.CA != "" || t.CAFile != "" || t.CARef != "" || t.ServerName != "" {
		return
	}
	o.Logger.Warn("credentials without a ca_file go to whoever has the join token and a publicly trusted certificate for a name of their own: give the authority of the workers' certificates as tls_config.ca_file",
		"flag", httpConfigFlag, "file", o.HTTPConfigFile)
}
