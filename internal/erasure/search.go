package erasure

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// beside deletes the tenant's windows, and takes its name out of what operators wrote.
func (e Eraser) beside(ctx context.Context, f ownership.Forget, r *Report) error {
	looked := int64(0)
	tell := func() { e.tell(Beside, looked, -1); looked++ }
	tell()
	err := e.windows(ctx, f.Tenant, func(name string) error {
		tell()
		r.Windows++
		return e.put(ctx, docdb.Write{Name: name, Delete: true})
	})
	if err != nil {
		return err
	}
	for _, collection := range e.Texts {
		err := e.each(ctx, docdb.Query{Collection: collection}, func(d *docdb.Document) error {
			tell()
			if !mentions(d.Fields, f.Tenant) {
				return nil
			}
			r.Texts++
			fields := renamed(docdb.Map(d.Fields), f).GetMapValue().GetFields()
			return e.put(ctx, docdb.Write{Name: d.Name, Fields: fields, If: docdb.AsRead(d)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// windows visits the names of the documents of a tenant's windows. They begin with the
// tenant, so no other is read.
func (e Eraser) windows(ctx context.Context, tenant string, visit func(name string) error) error {
	for _, collection := range e.Windows {
		own := e.DB.Name(collection, tenant+"__")
		q := docdb.Query{Collection: collection, After: own, UpTo: own + "~"} // which no action begins with
		if err := e.each(ctx, q, func(d *docdb.Document) error { return visit(d.Name) }); err != nil {
			return err
		}
	}
	return nil
}

// put makes a write. Of a document that has changed since it was read, the search says
// whether it has the name.
func (e Eraser) put(ctx context.Context, w docdb.Write) error {
	ctx, cancel := context.WithTimeout(ctx, regstore.CommitDeadline)
	defer cancel()
	if _, err := e.DB.Commit(ctx, w); err != nil && !docdb.LostTheRace(err) {
		return unavailable("write "+path.Base(w.Name), err)
	}
	return nil
}

func unavailable(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, registry.ErrUnavailable, err)
}

// each visits all documents of a query. One that breaks off is taken up behind the last
// document that arrived.
func (e Eraser) each(ctx context.Context, q docdb.Query, visit func(*docdb.Document) error) error {
	for failures := 0; ; {
		before, stopped := q.After, false
		err := e.DB.Query(ctx, q, func(d *docdb.Document) error {
			err := visit(d)
			stopped = err != nil
			if err == nil {
				q.After = d.Name
			}
			return err
		})
		if err == nil || stopped {
			return err
		}
		if q.After != before {
			failures = 0
		}
		if failures++; failures > 3 || ctx.Err() != nil {
			return unavailable("read "+q.Collection, err)
		}
	}
}

// mostLeft is how many documents a report names.
const mostLeft = 100

// search reads everything that the database holds. Documents of resources that have the
// name off their path, in events that had no effect or lost their place, lose it now.
func (e Eraser) search(ctx context.Context, f ownership.Forget, r *Report) error {
	total, err := e.Store.Documents(ctx)
	if err != nil {
		return err
	}
	e.tell(Search, 0, total)
	if err := e.searchResources(ctx, f, r, total); err != nil {
		return err
	}
	others := slices.Concat([]string{regstore.LedgerCollection, regstore.FeedCollection}, e.Windows, e.Texts, e.Others)
	for _, collection := range others {
		err := e.each(ctx, docdb.Query{Collection: collection}, func(d *docdb.Document) error {
			r.Searched++
			e.tell(Search, r.Searched, -1)
			if mentions(d.Fields, f.Tenant) || mentionsText(path.Base(d.Name), f.Tenant) {
				r.leave(d.Name)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e Eraser) searchResources(ctx context.Context, f ownership.Forget, r *Report, total int64) error {
	var found []registry.Resource
	flush := func() error {
		err := e.forgetFound(ctx, f, found, r)
		found = nil
		return err
	}
	err := e.each(ctx, docdb.Query{Collection: regstore.Collection}, func(d *docdb.Document) error {
		r.Searched++
		e.tell(Search, r.Searched, total)
		name := path.Base(d.Name)
		resource, err := registry.ParseDocumentID(name)
		switch {
		case mentionsText(name, f.Tenant), err != nil && mentions(d.Fields, f.Tenant):
			r.leave(d.Name)
		case !mentions(d.Fields, f.Tenant):
		default:
			found = append(found, resource)
		}
		if len(found) < page {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// forgetFound takes the name out of documents of resources in which the search has found
// it.
func (e Eraser) forgetFound(ctx context.Context, f ownership.Forget, found []registry.Resource, r *Report) error {
	if len(found) == 0 {
		return nil
	}
	snapshot, err := e.Store.Read(ctx, found)
	if err != nil {
		return err
	}
	forgotten, err := e.Store.Forget(ctx, snapshot.Records, f)
	r.Found += forgotten.Written
	if err != nil {
		return err
	}
	return e.lookAgain(ctx, f, found, r)
}

// lookAgain notes which documents still have the name: in fields of other programs.
func (e Eraser) lookAgain(ctx context.Context, f ownership.Forget, resources []registry.Resource, r *Report) error {
	names := make([]string, len(resources))
	for i, resource := range resources {
		names[i] = e.DB.Name(regstore.Collection, resource.DocumentID())
	}
	documents, _, err := e.DB.Get(ctx, names)
	for _, d := range documents {
		if mentions(d.Fields, f.Tenant) {
			r.leave(d.Name)
		}
	}
	if err != nil {
		return unavailable("look again", err)
	}
	return nil
}

func (r *Report) leave(name string) {
	r.LeftCount++
	if len(r.Left) < mostLeft {
		collection, id := path.Split(name)
		r.Left = append(r.Left, path.Base(collection)+"/"+id)
	}
}

// ofTenants are fields that hold tenants, and nothing else: one whose name has this
// one's in it is another.
var ofTenants = []string{"tenant_id", "tenant", "from", "to", "path", "tenants"}

// mentions reports whether any of the fields names the tenant.
func mentions(fields map[string]*docdb.Value, tenant string) bool {
	for name, v := range fields {
		by := func(text string) bool { return mentionsText(text, tenant) }
		if slices.Contains(ofTenants, name) {
			by = func(text string) bool { return text == tenant }
		}
		if mentionsText(name, tenant) || mentionsValue(v, tenant, by) {
			return true
		}
	}
	return false
}

func mentionsValue(v *docdb.Value, tenant string, by func(string) bool) bool {
	switch {
	case v.GetMapValue() != nil:
		return mentions(v.GetMapValue().GetFields(), tenant)
	case v.GetArrayValue() != nil:
		return slices.ContainsFunc(v.GetArrayValue().GetValues(), func(v *docdb.Value) bool { return mentionsValue(v, tenant, by) })
	case v.GetBytesValue() != nil:
		return strings.Contains(string(unzipped(v.GetBytesValue())), tenant)
	}
	return by(v.GetStringValue())
}

// unzipped is data as it was before it was compressed, as parts of a snapshot are; and
// as it is, if it was not.
func unzipped(data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return data
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return data
	}
	return plain
}

// mentionsText reports whether a text names the tenant. The tenant at the end of the id
// of a claim, and at the beginning of that of a window, is taken as a whole.
func mentionsText(text, tenant string) bool {
	if i := strings.LastIndex(text, "__"); i >= 0 && registry.ValidateTenant(text[i+2:]) == nil {
		return text[i+2:] == tenant || ownership.Names(text[:i], tenant)
	}
	if i := strings.Index(text, "__"); i >= 0 && registry.ValidateTenant(text[:i]) == nil {
		return text[:i] == tenant
	}
	return ownership.Names(text, tenant)
}

// renamed is a value with the new name in place of the tenant's.
func renamed(v *docdb.Value, f ownership.Forget) *docdb.Value {
	switch {
	case v.GetMapValue() != nil:
		fields := map[string]*docdb.Value{}
		for name, value := range v.GetMapValue().GetFields() {
			fields[ownership.RenamedText(name, f.Tenant, f.Pseudonym)] = renamed(value, f)
		}
		return docdb.Map(fields)
	case v.GetArrayValue() != nil:
		var all []*docdb.Value
		for _, value := range v.GetArrayValue().GetValues() {
			all = append(all, renamed(value, f))
		}
		return docdb.Array(all)
	case v.GetStringValue() != "":
		return docdb.Text(ownership.RenamedText(v.GetStringValue(), f.Tenant, f.Pseudonym))
	}
	return v
}
