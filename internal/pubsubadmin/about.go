package pubsubadmin

import "encoding/json"

// about returns what a message says that its event is about, in either mode, however
// malformed the rest is: thread/th_42, or t_old → t_new of a move; "" if it does not
// tell.
func about(data []byte) string {
	var structured struct {
		SpecVersion string
		Data        json.RawMessage
	}
	if json.Unmarshal(data, &structured) == nil && structured.SpecVersion != "" {
		data = structured.Data
	}
	var said struct {
		Thread string `json:"thread_id"`
		Canvas string `json:"canvas_id"`
		From   string `json:"from_tenant_id"`
		To     string `json:"to_tenant_id"`
	}
	_ = json.Unmarshal(data, &said) // what it cannot be is left empty
	switch {
	case said.Thread != "":
		return "thread/" + said.Thread
	case said.Canvas != "":
		return "canvas/" + said.Canvas
	case said.From != "" || said.To != "":
		return said.From + " → " + said.To
	}
	return ""
}
