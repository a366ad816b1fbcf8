package storetest

import (
	"context"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Outside is who writes to a registry's documents without its store: programs that
// know nothing of ours, and later releases. Its methods panic if the database
// fails.
type Outside struct {
	DB docdb.DB
}

// SetPlain is that of a Backend.
func (o Outside) SetPlain(name, tenantID string, merge bool) {
	w := docdb.Write{Name: o.DB.Name("realtime_registry", name), Fields: map[string]*docdb.Value{"tenant_id": docdb.Text(tenantID)}}
	if merge {
		w.Mask = []string{"tenant_id"}
	}
	o.commit(w)
}

// SetField is that of a Backend.
func (o Outside) SetField(name, field, value string) {
	o.commit(o.fields(o.DB.Name("realtime_registry", name), map[string]*docdb.Value{field: docdb.Text(value)}))
}

// Fields is that of a Backend.
func (o Outside) Fields(name string) map[string]any {
	full := o.DB.Name("realtime_registry", name)
	found, _, err := o.DB.Get(context.Background(), []string{full})
	must(err)
	return plainFields(found[full].GetFields())
}

func plainFields(fields map[string]*docdb.Value) map[string]any {
	plain := map[string]any{}
	for name, v := range fields {
		plain[name] = plainValue(v)
	}
	return plain
}

func plainValue(v *docdb.Value) any {
	switch {
	case v.GetTimestampValue() != nil:
		return v.GetTimestampValue().AsTime()
	case v.GetMapValue() != nil:
		return plainFields(v.GetMapValue().GetFields())
	case v.GetArrayValue() != nil:
		var all []any
		for _, item := range v.GetArrayValue().GetValues() {
			all = append(all, plainValue(item))
		}
		return all
	case docdb.Missing(v):
		return nil
	case v.GetStringValue() != "":
		return v.GetStringValue()
	}
	return v.GetIntegerValue()
}

// SetFormat is that of a Backend.
func (o Outside) SetFormat(name string, format int64) {
	o.commit(o.fields(o.DB.Name("realtime_registry", name), map[string]*docdb.Value{"format": docdb.Integer(format)}))
}

// SetMoveFormat is that of a Backend.
func (o Outside) SetMoveFormat(source, id string, format int64) {
	all := o.all(docdb.Query{Collection: "realtime_registry_ledger"})
	head := all[slices.IndexFunc(all, func(d *docdb.Document) bool { return path.Base(d.Name) == "head" })]
	entry := all[slices.IndexFunc(all, func(d *docdb.Document) bool {
		return d.Fields["source"].GetStringValue() == source && d.Fields["id"].GetStringValue() == id
	})]
	position := docdb.Integer(head.Fields["position"].GetIntegerValue() + 1)
	change := map[string]*docdb.Value{"format": docdb.Integer(format), "seq": position}
	if ownership.CheckFormat(format) == nil {
		change["time"] = docdb.Timestamp(time.Now())
	}
	o.commit(o.fields(entry.Name, change), o.fields(head.Name, map[string]*docdb.Value{"position": position}))
}

// SetHead is that of a Backend.
func (o Outside) SetHead(field string, value int64) {
	o.commit(o.fields(o.DB.Name("realtime_registry_ledger", "head"), map[string]*docdb.Value{field: docdb.Integer(value)}))
}

// Feed is that of a Backend.
func (o Outside) Feed() (resources []registry.Resource) {
	all := o.all(docdb.Query{Collection: "realtime_registry_feed"})
	slices.SortFunc(all, func(a, b *docdb.Document) int { return a.UpdateTime.AsTime().Compare(b.UpdateTime.AsTime()) })
	for _, d := range all {
		names := d.Fields["resources"].GetArrayValue().GetValues()
		if len(names) == 0 {
			names = []*docdb.Value{d.Fields["resource"]}
		}
		for _, name := range names {
			resource, err := registry.ParseDocumentID(name.GetStringValue())
			must(err)
			resources = append(resources, resource)
		}
	}
	return resources
}

// fields sets fields of a document, and leaves others alone.
func (o Outside) fields(name string, fields map[string]*docdb.Value) docdb.Write {
	return docdb.Write{Name: name, Fields: fields, Mask: slices.Collect(maps.Keys(fields))}
}

func (o Outside) commit(writes ...docdb.Write) {
	_, err := o.DB.Commit(context.Background(), writes...)
	must(err)
}

func (o Outside) all(q docdb.Query) (found []*docdb.Document) {
	must(o.DB.Query(context.Background(), q, func(d *docdb.Document) error {
		found = append(found, d)
		return nil
	}))
	return found
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
