package api

// Routes lists what is served, as "METHOD /pattern".
func (s *Server) Routes() []string {
	var all []string
	for _, route := range s.table {
		all = append(all, route.method+" "+route.pattern)
	}
	return all
}
