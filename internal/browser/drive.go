package browser

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// The keys that have no character of their own (WebDriver, section 17.4.2).
const (
	Enter     = "\ue007"
	Tab       = "\ue004"
	Shift     = "\ue008"
	Escape    = "\ue00c"
	Backspace = "\ue003"
)

// Run runs the body of a function in the page, and decodes what it returns into value
// (nil: it is dropped).
func (p *Page) Run(value any, body string, args ...any) {
	p.t.Helper()
	if args == nil {
		args = []any{}
	}
	var returned json.RawMessage
	p.tab.call(p.t, "POST", "/execute/sync", map[string]any{"script": body, "args": args}, &returned)
	if value == nil {
		return
	}
	if err := json.Unmarshal(returned, value); err != nil {
		p.t.Fatalf("the page returned %s: %v", returned, err)
	}
}

// Until waits until an expression of the page's is true. The test fails, with what the
// page shows, if it is not within that time.
func (p *Page) Until(expression string, within time.Duration, args ...any) {
	p.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(every) {
		var is bool
		p.Run(&is, "return !!("+expression+")", args...)
		if is {
			return
		}
		if time.Now().After(deadline) {
			var text string
			p.Run(&text, "return document.body.innerText")
			p.t.Fatalf("not within %v: %s %v. The page shows:\n%s", within, expression, args, text)
		}
	}
}

// Press presses and releases one key after the other, like a person at a keyboard;
// the focused element gets them. A key between Shift and Shift is pressed with it.
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	var actions []map[string]any
	shifted := false
	for _, key := range keys {
		if key == Shift {
			kind := "keyDown"
			if shifted {
				kind = "keyUp"
			}
			shifted = !shifted
			actions = append(actions, map[string]any{"type": kind, "value": key})
			continue
		}
		for _, r := range key {
			actions = append(actions, map[string]any{"type": "keyDown", "value": string(r)}, map[string]any{"type": "keyUp", "value": string(r)})
		}
	}
	p.tab.call(p.t, "POST", "/actions", map[string]any{"actions": []any{map[string]any{"type": "key", "id": "keyboard", "actions": actions}}}, nil)
}

// DevTools sends a command of Chromium's DevTools protocol.
func (p *Page) DevTools(command string, parameters map[string]any, value any) {
	p.t.Helper()
	p.tab.call(p.t, "POST", "/goog/cdp/execute", map[string]any{"cmd": command, "params": parameters}, value)
}

// Look is how a page is looked at.
type Look struct {
	Width, Height int  // CSS pixels
	Dark          bool // prefers-color-scheme
}

// As changes how the page is looked at.
func (p *Page) As(l Look) {
	p.t.Helper()
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	p.DevTools("Emulation.setDeviceMetricsOverride", map[string]any{"width": l.Width, "height": l.Height, "deviceScaleFactor": 1, "mobile": false}, nil)
	p.DevTools("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot returns the visible part of the page, as a PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	var text string
	p.tab.call(p.t, "GET", "/screenshot", nil, &text)
	png, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		p.t.Fatalf("a screenshot: %v", err)
	}
	return png
}

// Go goes to another address.
func (p *Page) Go(address string) {
	p.t.Helper()
	p.tab.call(p.t, "POST", "/url", map[string]any{"url": address}, nil)
}

// Show opens a page of the program under test.
func Show(t testing.TB, address string) *Page {
	t.Helper()
	p := &Page{t: t, tab: start(t), told: map[string]int{}}
	p.Go(address)
	return p
}
