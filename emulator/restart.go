package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
)

// Restart ends the Firestore emulator and starts it again at its address, with the
// documents that a project had in its default database; whatever else it kept is gone.
// Nothing may be written meanwhile, or it may be lost. The data passes through dir. No
// other method of the emulator may be called at the same time. If the error is not nil,
// the emulator may have ended.
//
// It is not quite as if the emulator had run on: it gives all documents the time of the
// import as their update time, and knows no versions from before. The Pub/Sub emulator
// cannot do this: it writes nothing down (see RestartEmpty).
func (e *Emulator) Restart(ctx context.Context, project, dir string) error {
	if e.spec.restart == nil {
		return fmt.Errorf("restart the %s emulator: %w", e.Name, errors.ErrUnsupported)
	}
	const name = "restart"
	if err := e.export(ctx, project, dir, name); err != nil {
		return fmt.Errorf("export from the %s emulator: %w", e.Name, err)
	}
	return e.startAgain(ctx, e.spec.restart(filepath.Join(dir, name, name+".overall_export_metadata"))...)
}

// RestartEmpty ends the emulator and starts it again at its address, without anything
// that it kept. No other method of the emulator may be called at the same time. If the
// error is not nil, the emulator may have ended.
func (e *Emulator) RestartEmpty(ctx context.Context) error { return e.startAgain(ctx) }

// startAgain ends the emulator and starts it at its address, with more arguments.
func (e *Emulator) startAgain(ctx context.Context, args ...string) error {
	if err := e.Stop(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(e.Host)
	if err != nil {
		return err
	}
	if e.process, err = launch(append(e.spec.command(port), args...), e.spec.env); err != nil {
		return fmt.Errorf("start the %s emulator again: %w", e.Name, err)
	}
	return e.awaitReady(ctx, e.spec)
}

// export has the Firestore emulator write a project's documents to dir/name.
func (e *Emulator) export(ctx context.Context, project, dir, name string) error {
	body, err := json.Marshal(map[string]string{
		"database": "projects/" + project + "/databases/(default)", "export_directory": dir, "export_name": name,
	})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.Host+"/emulator/v1/projects/"+project+":export", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer owner")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("%s: %s", answer.Status, text), err)
	}
	return nil
}
