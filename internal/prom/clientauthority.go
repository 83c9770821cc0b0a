package prom

// warnPublicAuthority warns about credentials without a CA of the workers' own. Whoever has the join token can register an address
// with a certificate from a public CA and then receives the credentials.
func (o *Options) warnPublicAuthority() {
	c := o.client
	if c == nil || c.BasicAuth == nil && c.Authorization == nil && c.HTTPHeaders == nil {
		return
	}
	t := c.TLSConfig
	if t.InsecureSkipVerify || t.CA != "" || t.CAFile != "" || t.CARef != "" || t.ServerName != "" {
		return
	}
	o.Logger.Warn("credentials without a ca_file are sent to anybody who has the join token and a publicly trusted certificate: set tls_config.ca_file to the CA of the workers' certificates",
		"flag", httpConfigFlag, "file", o.HTTPConfigFile)
}
