package emulatortest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FreeAddress returns an address on loopback, host:port, at which no process
// listens. Another process may take it before it is used.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Nginx runs nginx with a configuration, in the foreground, and with all that it
// writes in a directory of its own, and waits until it listens at an address. The
// files go beside the configuration, by name.
func Nginx(t testing.TB, configuration, address string, files map[string]string) {
	t.Helper()
	name := "nginx"
	if _, err := exec.LookPath(name); err != nil {
		name = "/usr/sbin/nginx" // which is only in root's PATH
	}
	nginx := Program(t, name)
	own := "http { access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
	text := "daemon off; master_process off; pid nginx.pid; error_log stderr;\n" + strings.Replace(configuration, "http {\n", own, 1)
	dir := beside(t, "nginx.conf", text, files)
	awaitProxy(t, address, Run(t, nil, nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"))
}

// Caddy is Nginx for Caddy, with a Caddyfile.
func Caddy(t testing.TB, configuration, address string, files map[string]string) {
	t.Helper()
	caddy := Program(t, "caddy")
	dir := beside(t, "Caddyfile", "{\n\tadmin off\n}\n"+configuration, files)
	awaitProxy(t, address, Run(t, []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
		caddy, "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile"))
}

func beside(t testing.TB, name, text string, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	all := map[string]string{name: text}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func awaitProxy(t testing.TB, address string, p *Process) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return
		}
		if isClosed(p.done) || time.Now().After(deadline) {
			t.Fatalf("the proxy does not listen at %s:\n%s%s", address, p.Stdout, p.Stderr)
		}
	}
}
